package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/value"
)

// samples has a value for each setting of a table that is not the default.
func samples(t *testing.T, settings []setting) string {
	t.Helper()
	var b strings.Builder
	for i, s := range settings {
		var sample string
		for _, try := range []string{
			"true", fmt.Sprint(3 + i), fmt.Sprintf("%dms", 3+i), fmt.Sprintf("%dKiB", 3+i), "25%", "clock, random", "interpreter", "inline", "reject", "shared", "runtime", "reset", "debug", "sample:9", "call,read",
		} {
			if reflect.TypeOf(s.value) == reflect.TypeOf(value.Text(nil)) {
				try = fmt.Sprintf("it's \"%d\": # no comment, null\t\u00b5", i)
			}
			if s.value.Set(try) == nil {
				sample = try
				break
			}
		}
		if sample == "" {
			t.Fatalf("no sample is a value of %s", s.name)
		}
		quoted, err := json.Marshal(sample)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s: %s\n", s.key(), quoted)
	}
	return b.String()
}

// TestConfigPrintIsTaken has each setting of run in a file, and what is printed of it again.
func TestConfigPrintIsTaken(t *testing.T) {
	file := samples(t, newOptions().ofRun()) +
		"plugin_overrides:\n  \"null\": {}\n  'a: b':\n    " + strings.ReplaceAll(samples(t, pluginSettings(new(host.PluginConfig))), "\n", "\n    ") +
		"\ntenant_weights: {\"\": 2, 'it''s': 3}\n"
	read := func(file string) *options {
		o := newOptions()
		o.ofRun() // which sets the level of the log
		o.configFile = "run.yaml"
		if err := o.decodeConfig([]byte(file), func(string) bool { return false }); err != nil {
			t.Fatalf("%v in\n%s", err, file)
		}
		return o
	}
	first := read(file)
	var printed bytes.Buffer
	if err := first.printConfig(&printed, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "# default") {
		t.Errorf("a setting that is given is printed as a default:\n%s", &printed)
	}
	again := read(printed.String())
	for _, o := range []*options{first, again} { // lines differ
		o.given, o.weights = nil, nil
		o.overrides = nil
	}
	if !reflect.DeepEqual(first, again) {
		t.Errorf("what is printed is taken as\n%+v\nwant\n%+v", again, first)
	}
}

// TestConfigPrintHidesPasswords has a URL with a password, which no output may have.
func TestConfigPrintHidesPasswords(t *testing.T) {
	const secret = "http://user:hunter2@host/x"
	for _, format := range []string{"", "--json"} {
		var out, stderr bytes.Buffer
		args := []string{"resonhost", "config", "print", "--plugins", secret}
		if format != "" {
			args = append(args, format)
		}
		if code := run(t.Context(), args, strings.NewReader(""), &out, &stderr); code != 0 {
			t.Fatal(code, &stderr)
		}
		if strings.Contains(out.String()+stderr.String(), "hunter2") || !strings.Contains(out.String(), "plugins") {
			t.Errorf("%q prints %s", format, &out)
		}
	}
}

// TestConfigFlags holds the flags of config to those of run.
func TestConfigFlags(t *testing.T) {
	app := newApp(stdio{in: strings.NewReader(""), out: newOutput(io.Discard), err: io.Discard})
	has := make(map[string]bool)
	for _, f := range app.Command("config").Flags {
		has[f.Names()[0]] = true
	}
	for _, f := range app.Command("run").Flags {
		if !has[f.Names()[0]] {
			t.Errorf("config lacks --%s", f.Names()[0])
		}
	}
}

// TestRunTellsAllFaults has run say what config check does of a file.
func TestRunTellsAllFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte("workers: many\npoll: soon\nfoo: 1\nplugin_overrides:\n  a: {weight: x, wait: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, args := range [][]string{{"run"}, {"config", "check", "--plugins", t.TempDir()}} {
		var out, stderr bytes.Buffer
		if code := run(t.Context(), append(append([]string{"resonhost"}, args...), "--config", file), strings.NewReader(""), &out, &stderr); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
		said = append(said, stderr.String())
	}
	if said[0] != said[1] || strings.Count(said[0], "\n") != 5 {
		t.Errorf("run says\n%s\nconfig check says\n%s", said[0], said[1])
	}
}
