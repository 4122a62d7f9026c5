package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/scaffold"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
)

// project is what new is told.
type project struct {
	scaffold.Options

	dir  string
	json bool
}

func newCommand(std stdio) *cli.Command {
	kinds := scaffold.Kinds()
	var words []string
	for _, l := range scaffold.Languages(kinds[0]) { // which has all of them
		words = append(words, l.Name)
	}
	p := &project{Options: scaffold.Options{Kind: kinds[0], Language: words[0]}}
	return &cli.Command{
		Name:      "new",
		Usage:     "begin a plugin: write a project that builds",
		UsageText: "resonhost new NAME [options]",
		Description: "Writes a plugin that is complete, self-tests included, in the language of --lang,\n" +
			"and says how to build, check and call it. No file is overwritten.\n\n" +
			kindsOf(kinds) +
			"In Go a plugin requires the module " + scaffold.Module + " at the\n" +
			"version of this command. Where that is no release, and for work on the module\n" +
			"itself, --replace names a checkout of it.\n\n" + exitCodes,
		Flags: append(flags([]setting{
			{
				"lang", "write the plugin in `LANGUAGE` " + alternatives(words), words[0],
				value.Choice(&p.Language, words, words),
			},
			{
				"kind", "write a plugin of `KIND` " + alternatives(kinds), kinds[0],
				value.Choice(&p.Kind, kinds, kinds),
			},
			{"dir", "write to `DIR`", "the plugin's name", value.Text(&p.dir)},
			{"replace", "have a plugin in Go use the checkout `DIR` of " + scaffold.Module, "none", value.Text(&p.Replace)},
		}), jsonFlag("print JSON", &p.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return usagef("say what the plugin is called: resonhost new NAME")
			case 1:
			default:
				return usagef("new takes one name, got %q besides", c.Args().Get(1))
			}
			p.Name = c.Args().First()
			p.Version = moduleVersion()
			return p.write(std.out)
		},
	}
}

func (p *project) write(out io.Writer) error {
	if err := manifest.CheckName(p.Name); err != nil {
		return usagef("%q is no name for a plugin: %w%s", p.Name, err, suggestion(p.Name))
	}
	if p.Replace != "" && (p.Kind != scaffold.Native || p.Language != "go" && p.Language != "tinygo") {
		return usagef("--replace: is for plugins in Go of kind %s", scaffold.Native)
	}
	if p.dir == "" {
		p.dir = p.Name
	}
	files, err := scaffold.Write(p.dir, p.Options)
	var fault *abi.FieldError
	var there *scaffold.ExistError
	switch {
	case errors.Is(err, scaffold.ErrNoRelease):
		return usagef("this resonhost was built from a checkout and is no release, which a go.mod would require; say where the checkout is: --replace DIR")
	case errors.As(err, &fault): // of --replace or --lang: the name was checked
		return usagef("--%w", fault)
	case errors.As(err, &there):
		return usagef("%w; nothing was written", there)
	case err != nil:
		return err
	}
	return p.print(out, files)
}

// suggestion is how a name that is none could be written.
func suggestion(name string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9_]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s == name || manifest.CheckName(s) != nil {
		return ""
	}
	return spell.DidYouMean(s, []string{s})
}

// moduleVersion is the version of the module that this command is of.
func moduleVersion() string {
	recorded := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = info.Main.Version
	}
	return released(version, recorded)
}

// pastTag is how git describe ends where it does not name a tag.
var pastTag = regexp.MustCompile(`(-\d+-g[0-9a-f]+)?(-dirty)?$`)

// released is the version that was set when the command was built, if it names a
// release, or else what the toolchain recorded.
func released(set, recorded string) string {
	if strings.HasPrefix(set, "v") && pastTag.FindString(set) == "" {
		return set
	}
	return recorded
}

// steps are what there is to do next.
type steps struct {
	Build string `json:"build"`
	Check string `json:"check"`
	Call  string `json:"call"`
}

func (p *project) print(out io.Writer, files []string) error {
	next := steps{
		Build: "make",
		Check: fmt.Sprintf("resonhost inspect %s.wasm", p.Name),
		Call:  fmt.Sprintf(`echo '"hello"' | resonhost call %s --plugins .`, p.Name),
	}
	if p.json {
		return terminal.Encode(out, struct {
			Name     string   `json:"name"`
			Kind     string   `json:"kind"`
			Language string   `json:"language"`
			Dir      string   `json:"dir"`
			Files    []string `json:"files"`
			Steps    steps    `json:"steps"`
			Untested string   `json:"untested,omitempty"`
		}{p.Name, p.Kind, p.Language, p.dir, files, next, p.untested()})
	}
	// A tabwriter keeps what goes wrong for Flush.
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range files {
		fmt.Fprintln(t, printable(filepath.Join(p.dir, filepath.FromSlash(f))))
	}
	fmt.Fprintf(t, "\n  cd %s\n", shellWord(p.dir))
	fmt.Fprintf(t, "  %s\tbuilds %s.wasm\n", next.Build, p.Name)
	fmt.Fprintf(t, "  %s\tchecks it and runs its self-tests\n", next.Check)
	fmt.Fprintf(t, "  %s\n", next.Call)
	if u := p.untested(); u != "" {
		fmt.Fprintf(t, "\n%s\n", u)
	}
	return t.Flush()
}

func (p *project) untested() string {
	l, _ := scaffold.Find(p.Kind, p.Language) // it was written
	return l.Untested
}

// kindsOf says of kinds but the first in which languages they are.
func kindsOf(kinds []string) string {
	var order []string
	of := map[string][]string{}
	for _, kind := range kinds[1:] {
		var names []string
		for _, l := range scaffold.Languages(kind) {
			names = append(names, l.Name)
		}
		languages := strings.Join(names, ", ")
		if of[languages] == nil {
			order = append(order, languages)
		}
		of[languages] = append(of[languages], kind)
	}
	var b strings.Builder
	for _, languages := range order {
		fmt.Fprintf(&b, "A plugin of kind %s is in %s.\n", alternatives(of[languages]), languages)
	}
	return b.String() + "\n"
}

// alternatives are words, of which one is to be chosen, as a sentence has them.
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

var plainWord = regexp.MustCompile(`^[\w./+,:@%=][\w./+,:@%=-]*$`)

// shellWord quotes a path so that a shell takes it for one word, and no flag.
func shellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
