package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// group is settings that have a table of their own in docs/reference/configuration.md.
type group struct {
	name, title string
	settings    []setting
}

func groups() []group {
	o := newOptions()
	return []group{
		{"serving", "Serving", o.runSettings()},
		{"identity", "Who may call", o.identitySettings()},
		{"state", "State that lasts", o.stateSettings()},
		{"fleet", "A fleet", slices.Concat(o.fleetSettings(), o.memberSettings())},
		{"submitting", "Submitting", o.submitSettings()},
		{"host", "The host", o.hostSettings("")},
		{"loading", "Loading", o.loadSettings()},
		{"watching", "Watching", o.watchSettings()},
		{"plugins", "Plugins", pluginSettings(&host.PluginConfig{})},
		{"calling", "Calling", o.callSettings()},
		{"logging", "Logging", o.logSettings(0)},
	}
}

// commandFlag is a flag as a command has it.
type commandFlag struct{ command, def, usage string }

// flagsOf are all commands' flags by name.
func flagsOf(app *cli.App) map[string][]commandFlag {
	all := make(map[string][]commandFlag)
	for _, c := range app.VisibleCommands() {
		for _, f := range c.Flags {
			d, ok := f.(cli.DocGenerationFlag)
			if !ok || f.Names()[0] == "help" {
				continue
			}
			def := d.GetDefaultText()
			switch {
			case !d.TakesValue():
				def = "false"
			case def == "":
				def = "–"
			}
			all[f.Names()[0]] = append(all[f.Names()[0]], commandFlag{c.Name, def, d.GetUsage()})
		}
	}
	return all
}

// defaults are those of a flag, of which the commands may have different ones.
func defaults(flags []commandFlag) string {
	var texts []string
	for _, f := range flags {
		if !slices.Contains(texts, f.def) {
			texts = append(texts, f.def)
		}
	}
	if len(texts) == 1 {
		return texts[0]
	}
	texts = nil
	for _, f := range flags {
		texts = append(texts, fmt.Sprintf("%s: %s", f.command, f.def))
	}
	return strings.Join(texts, "; ")
}

func commandsOf(flags []commandFlag) string {
	var names []string
	for _, f := range flags {
		names = append(names, f.command)
	}
	return strings.Join(names, ", ")
}

func settingsTable(g group, all map[string][]commandFlag) string {
	var b strings.Builder
	b.WriteString("| setting | default | does | heeded by |\n| --- | --- | --- | --- |\n")
	for _, s := range g.settings {
		// A command may have a flag of the same name that is another thing, and config has those of run,
		// of which it heeds none.
		f := slices.DeleteFunc(slices.Clone(all[s.name]), func(f commandFlag) bool { return f.usage != s.usage || f.command == "config" })
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.key(), defaults(f), s.usage, commandsOf(f))
	}
	return b.String()
}

// companionTable is what a companion file may set.
func companionTable() string {
	var b strings.Builder
	b.WriteString("| setting | stricter is |\n| --- | --- |\n")
	for _, s := range host.PluginSettings(&host.PluginConfig{}) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.Key(), s.Stricter)
	}
	return b.String()
}

// commandReference is what docs/reference/cli.md has of a command: how it is used, where its
// settings stand, and the flags that no table of settings has.
func commandReference(c *cli.Command) string {
	has := make(map[string]cli.DocGenerationFlag)
	for _, f := range c.Flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && f.Names()[0] != "help" {
			has[f.Names()[0]] = d
		}
	}
	var b strings.Builder
	b.WriteString("```\n")
	for line := range strings.Lines(c.UsageText) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	b.WriteString("```\n\n")
	var whole, parts []string
	for _, g := range groups() {
		var names []string
		for _, s := range g.settings {
			if d, ok := has[s.name]; ok && d.GetUsage() == s.usage {
				names = append(names, s.name)
			}
		}
		ref := fmt.Sprintf("[%s](configuration.md#%s)", g.title, strings.ReplaceAll(strings.ToLower(g.title), " ", "-"))
		switch {
		case len(names) == 0:
			continue
		case len(names) == len(g.settings):
			whole = append(whole, ref)
		default:
			parts = append(parts, fmt.Sprintf("of %s `--%s`", ref, strings.Join(names, "`, `--")))
		}
		for _, name := range names {
			delete(has, name)
		}
	}
	if all := slices.Concat(whole, parts); len(all) > 0 {
		fmt.Fprintf(&b, "Settings: %s.\n\n", strings.Join(all, "; "))
	}
	delete(has, "config")
	if len(has) == 0 {
		return strings.TrimSuffix(b.String(), "\n\n") + "\n"
	}
	b.WriteString("| flag | default | does |\n| --- | --- | --- |\n")
	for _, f := range c.Flags { // in their order
		name := f.Names()[0]
		d, ok := has[name]
		if !ok {
			continue
		}
		def := d.GetDefaultText()
		if def == "" || !d.TakesValue() {
			def = "–"
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", name, def, d.GetUsage())
	}
	return b.String()
}

var generated = regexp.MustCompile(`(?s)(<!-- (settings|command): (\w+)\. Written by go test [^>]*-->\n)(.*?)(<!-- end -->)`)

// TestReference holds the tables of docs/reference to what the commands take. With -update it
// writes them.
func TestReference(t *testing.T) {
	app := newApp(stdio{in: strings.NewReader(""), out: newOutput(io.Discard), err: io.Discard})
	all := flagsOf(app)
	want := make(map[string]string)
	for _, g := range groups() {
		want["settings "+g.name] = settingsTable(g, all)
	}
	for _, c := range app.VisibleCommands() {
		if c.Name != "help" {
			want["command "+c.Name] = commandReference(c)
		}
	}
	want["settings companion"] = companionTable()
	for _, name := range []string{"configuration.md", "cli.md", "companion.md"} {
		file := filepath.Join(guesttest.Root(), "docs", "reference", name)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := generated.ReplaceAllStringFunc(string(b), func(s string) string {
			m := generated.FindStringSubmatch(s)
			key := m[2] + " " + m[3]
			text, ok := want[key]
			if !ok {
				t.Errorf("docs/reference/%s: there is no %s", name, key)
				return s
			}
			delete(want, key)
			return m[1] + "\n" + text + "\n" + m[5]
		})
		if got == string(b) {
			continue
		}
		if !*update {
			t.Errorf("docs/reference/%s is not what the commands take; write it anew by go test ./cmd/resonhost -run TestReference -update", name)
			continue
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for key := range want {
		t.Errorf("docs/reference has no table of %s", key)
	}
}

// TestEventKindsOfRun has in the table of events each kind that comes from run, and run send what the reference says.
func TestEventKindsOfRun(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(guesttest.Root(), "docs/reference/http.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile("`resonhost run` sends ([^,]*(?:, [^,]*)*?), and refuses").FindSubmatch(doc)
	if said == nil {
		t.Fatal("docs/reference/http.md does not say which kinds of events run sends")
	}
	var want, got []string
	for _, name := range regexp.MustCompile("`([a-z.]+)`").FindAllSubmatch(said[1], -1) {
		want = append(want, string(name[1]))
	}
	for _, k := range eventKinds {
		got = append(got, k.String())
		if !regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(k.String()) + "` \\| .* \\|$").Match(doc) {
			t.Errorf("the table of events lacks %s", k)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("run sends %v, the reference says %v", got, want)
	}
}
