package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func wordsFor(line ...string) (kind string, words []string) {
	c := complete(newApp(stdio{in: strings.NewReader(""), out: newOutput(io.Discard), err: io.Discard}), line)
	for _, w := range c.words {
		words = append(words, w[0])
	}
	return c.kind, words
}

func TestComplete(t *testing.T) {
	for _, tc := range []struct {
		line string // with | between words
		kind string
		want string // with blanks between words
	}{
		{"ru", "", "run"},
		{"con", "", "config conform"},
		{"help|val", "", "validate"},
		{"nothing|", "", ""},
		{"run|--can", "", "--canary --canary-time --canary-errors --canary-slowdown"},
		{"run|--canary|10%|--canary-e", "", "--canary-errors"},
		{"run|--canary-errors=1%|--canary-e", "", ""},
		{"run|--mode|", "", "sandbox inline"},
		{"run|--mode=i", "", "--mode=inline"},
		{"run|--mode|=|i", "", "inline"},
		{"run|--mode|=", "", "sandbox inline"},
		{"run|--verify|s", "", "self-tests"},
		{"run|--trust-tenant=t", "", "--trust-tenant=true"},
		{"config|print|--mode|s", "", "sandbox"},
		{"run|--config|x", "files", ""},
		{"run|--plugins=x", "dirs", ""},
		{"run|--workers|", "", ""},
		{"run|", "", ""},
		{"plugins|r", "", "reload rollback resume"},
		{"plugins|--url|http://h|pro", "", "promote"},
		{"plugins|reload|r", "", ""},
		{"bench|l", "", "lag load"},
		{"config|", "", "check print"},
		{"completion|b", "", "bash"},
		{"validate|a.wasm|b", "files", ""},
		{"dev|", "dirs", ""},
		{"run|--|--can", "", ""},
		{"", "", "run call submit fleet plugins ready top logs token whoami state config inspect validate conform new dev bench completion man version"},
	} {
		kind, words := wordsFor(strings.Split(tc.line, "|")...)
		if got := strings.Join(words, " "); got != tc.want || kind != tc.kind {
			t.Errorf("%q: %s %q, want %s %q", tc.line, kind, got, tc.kind, tc.want)
		}
	}
	if _, words := wordsFor(); words != nil {
		t.Errorf("no word at all: %q", words)
	}
}

// TestCompleteKnowsCommands has each command say what arguments it takes.
func TestCompleteKnowsCommands(t *testing.T) {
	for _, c := range commandNames(newApp(stdio{in: strings.NewReader(""), out: newOutput(io.Discard), err: io.Discard})) {
		if argumentsOf[c] == nil {
			t.Errorf("argumentsOf lacks %s", c)
		}
	}
}

// shell is a real one, in which a line is typed up to a Tab. It prints what there would be.
type shell struct {
	name, debian string
	script       string // of $FILE and the words $W1, $W2, …; it prints a candidate a line
}

func TestCompletionInShells(t *testing.T) {
	bin := filepath.Dir(binary(t))
	dir := t.TempDir()
	for _, name := range []string{"a plugin.wasm", "other.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "a folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, sh := range []shell{
		{"bash", "bash", `source "$FILE"
complete -p resonhost >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_resonhost "$1"
printf '%s\n' "${COMPREPLY[@]}"`},
		// compadd, _files and _describe are what zsh's own completion has; here they print.
		{"zsh", "zsh", `compdef() { : }
source "$FILE"
compset() { : }
_files() { if [[ $1 = -/ ]]; then print -rl -- *(/); else print -rl -- a*; fi }
_describe() { print -rl -- "${(@)${(P)2}%%:*}" }
words=("$@") CURRENT=$#
_resonhost`},
		{"fish", "fish", `source $FILE
complete -C (string join ' ' -- $argv) | string replace -r '\t.*' ''
true`},
	} {
		t.Run(sh.name, func(t *testing.T) {
			path, err := exec.LookPath(sh.name)
			if err != nil {
				t.Fatalf("%s is missing: install Debian's %s", sh.name, sh.debian)
			}
			script, err := exec.Command(filepath.Join(bin, "resonhost"), "completion", sh.name).Output()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(file, script, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, tc := range []struct{ line, want string }{
				{"ru", "run"},
				{"run|--canary-", "--canary-errors|--canary-slowdown|--canary-time"},
				{"run|--mode|i", "inline"},
				{"plugins|pr", "promote"},
				{"validate|a", "a folder|a plugin.wasm"},
				{"run|--plugins|a", "a folder"},
			} {
				words := append([]string{"resonhost"}, strings.Split(tc.line, "|")...)
				args := []string{"-c", sh.script, sh.name}
				if sh.name == "fish" {
					args = []string{"--no-config", "-c", sh.script}
				}
				cmd := exec.Command(path, append(args, words...)...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "FILE="+file, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+t.TempDir())
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil || stderr.Len() > 0 {
					t.Errorf("%s: %v %s", tc.line, err, &stderr)
				}
				var got []string
				for line := range strings.Lines(string(out)) {
					got = append(got, strings.TrimSuffix(strings.TrimSpace(line), "/"))
				}
				slices.Sort(got)
				if g := strings.Join(got, "|"); g != tc.want {
					t.Errorf("%s: %q, want %q", tc.line, g, tc.want)
				}
			}
		})
	}
}

// overstruck is how a terminal writes bold and underlined letters: one, a backspace, the letter.
var overstruck = regexp.MustCompile(".\b")

// TestManual has mandoc, which is strict, read the manual page, and looks for each command and flag in
// what a reader sees.
func TestManual(t *testing.T) {
	path, err := exec.LookPath("mandoc")
	if err != nil {
		t.Fatal("mandoc is missing: install Debian's mandoc")
	}
	app := newApp(stdio{in: strings.NewReader(""), out: newOutput(io.Discard), err: io.Discard})
	page := manual(app)
	mandoc := func(args ...string) string {
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(page)
		out, _ := cmd.CombinedOutput() // the exit code of -T lint is what it prints
		return string(out)
	}
	for line := range strings.Lines(mandoc("-T", "lint", "-W", "warning")) {
		if !strings.Contains(line, "missing date") { // a build has none that another has too
			t.Error(line)
		}
	}
	seen := strings.Join(strings.Fields(overstruck.ReplaceAllString(mandoc("-T", "ascii", "-O", "width=400"), "")), " ")
	for _, c := range app.VisibleCommands() {
		if c.Name == "help" {
			continue
		}
		for _, want := range []string{c.Name, c.Usage[1:]} {
			if !strings.Contains(seen, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		for _, f := range c.Flags {
			if want := "--" + f.Names()[0]; !strings.Contains(seen, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
	}
	if !strings.Contains(seen, "130 interrupted by a signal; 141 ") {
		t.Error("the page lacks the exit codes")
	}
}
