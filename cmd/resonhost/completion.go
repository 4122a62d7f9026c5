package main

import (
	"embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// scripts are what shells read, a file for each. They ask the command itself what may come next, so that
// they fit the version that is run.
//
//go:embed completion
var scripts embed.FS

// shells are those that there are scripts for.
var shells = []string{"bash", "zsh", "fish"}

func completionCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "write what completes commands, flags and their values in a shell",
		UsageText: "resonhost completion bash|zsh|fish",
		Description: "Its first lines say where the script goes. The script asks resonhost at each Tab, by\n" +
			"resonhost completion words, which reads no configuration and asks no host.\n\n" + exitCodes,
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			name := c.Args().First()
			switch {
			case name == "words":
				return writeCandidates(std.out, complete(c.App, c.Args().Tail()))
			case !slices.Contains(shells, name):
				return usagef("completion: there is no shell %q%s", name, thereAre(name, shells))
			case c.NArg() > 1:
				return usagef("completion takes one shell, got %q besides", c.Args().Get(1))
			}
			script, err := scripts.ReadFile("completion/resonhost." + name)
			if err != nil {
				return err
			}
			_, err = std.out.Write(script)
			return err
		},
	}
}

// candidates are what may stand in a place of the command line.
type candidates struct {
	kind  string      // words, or what the shell finds by itself: files, dirs
	words [][2]string // with what each is
}

// argumentsOf is what commands take: words as the first argument, or files.
var argumentsOf = map[string]func() candidates{
	"run": noArguments, "call": noArguments, "submit": noArguments, "new": noArguments, "version": noArguments, "man": noArguments, "ready": noArguments, "top": noArguments, "whoami": noArguments, "logs": noArguments,
	"plugins":    func() candidates { return wordsOf(verbs) },
	"fleet":      func() candidates { return wordsOf(fleetVerbs) },
	"token":      func() candidates { return wordsOf(tokenVerbs) },
	"state":      func() candidates { return wordsOf(stateVerbs) },
	"config":     func() candidates { return wordsOf(configVerbs) },
	"completion": func() candidates { return wordsOf(shells) },
	"bench": func() candidates {
		var names []string
		for _, t := range measurements {
			names = append(names, t.name)
		}
		return wordsOf(names)
	},
	"inspect":  func() candidates { return candidates{kind: "files"} },
	"validate": func() candidates { return candidates{kind: "files"} },
	"conform":  func() candidates { return candidates{kind: "files"} },
	"dev":      func() candidates { return candidates{kind: "dirs"} },
}

func noArguments() candidates { return candidates{} }

func wordsOf(words []string) candidates {
	c := candidates{}
	for _, w := range words {
		c.words = append(c.words, [2]string{w, ""})
	}
	return c
}

// complete returns what may stand for the last of the words after the command's name, which may be empty.
func complete(app *cli.App, words []string) candidates {
	words = joined(words)
	if len(words) == 0 {
		return candidates{}
	}
	last, before := words[len(words)-1], words[:len(words)-1]
	if len(before) == 0 || before[0] == "help" && len(before) == 1 {
		c := candidates{}
		for _, cmd := range app.VisibleCommands() {
			c.words = append(c.words, [2]string{cmd.Name, cmd.Usage})
		}
		return c.beginning(last)
	}
	cmd := app.Command(before[0])
	if cmd == nil {
		return candidates{}
	}
	if before[len(before)-1] == "--" || slices.Contains(before, "--") {
		return candidates{}
	}
	if name, ok := strings.CutPrefix(before[len(before)-1], "--"); ok && takesValue(cmd, name) {
		return valuesOf(cmd, name).beginning(last)
	}
	if flag, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(flag, "--") {
		c := valuesOf(cmd, flag[2:]).beginning(value)
		for i := range c.words {
			c.words[i][0] = flag + "=" + c.words[i][0]
		}
		return c
	}
	if strings.HasPrefix(last, "-") {
		return flagsLeft(cmd, before).beginning(last)
	}
	arguments := argumentsOf[cmd.Name]
	if arguments == nil {
		return candidates{}
	}
	c := arguments()
	if c.kind == "" && hasArgument(cmd, before[1:]) {
		return candidates{}
	}
	return c.beginning(last)
}

// joined puts a flag and its value, which bash has as three words, into one word or two: --a = b is
// --a and b.
func joined(words []string) (out []string) {
	for i, w := range words {
		switch {
		case w == "=" && i == len(words)-1:
			out = append(out, "")
		case w != "=" || i == 0 || !strings.HasPrefix(words[i-1], "--"):
			out = append(out, w)
		}
	}
	return out
}

// hasArgument reports whether one of the words is neither a flag nor a flag's value.
func hasArgument(cmd *cli.Command, words []string) bool {
	for i, w := range words {
		value := i > 0 && strings.HasPrefix(words[i-1], "--") && takesValue(cmd, words[i-1][2:])
		if !strings.HasPrefix(w, "-") && !value {
			return true
		}
	}
	return false
}

// flagsLeft are the flags that a command line does not have yet.
func flagsLeft(cmd *cli.Command, words []string) (c candidates) {
	for _, f := range cmd.Flags {
		name := "--" + f.Names()[0]
		given := slices.ContainsFunc(words, func(w string) bool { return w == name || strings.HasPrefix(w, name+"=") })
		if d, ok := f.(cli.DocGenerationFlag); ok && !given {
			c.words = append(c.words, [2]string{name, strings.ReplaceAll(d.GetUsage(), "`", "")})
		}
	}
	return c
}

// valueName is how a flag's usage names its value.
var valueName = regexp.MustCompile("`([A-Z]+)`")

// valuesOf is what a flag may be set to.
func valuesOf(cmd *cli.Command, name string) (c candidates) {
	for _, f := range cmd.Flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] != name {
			continue
		}
		if !d.TakesValue() {
			return wordsOf([]string{"true", "false"})
		}
		if g, ok := f.(*cli.GenericFlag); ok {
			if w, ok := setBy(g.Value).(interface{ Words() []string }); ok {
				return wordsOf(w.Words())
			}
		}
		switch m := valueName.FindStringSubmatch(d.GetUsage()); {
		case m == nil:
		case m[1] == "FILE":
			c.kind = "files"
		case m[1] == "DIR":
			c.kind = "dirs"
		}
	}
	return c
}

// setBy is what a flag's value is of, which may be wrapped.
func setBy(v cli.Generic) cli.Generic {
	switch v := v.(type) {
	case *countedValue:
		return v.Generic
	case *typed:
		return v.of
	}
	return v
}

func (c candidates) beginning(with string) candidates {
	c.words = slices.DeleteFunc(c.words, func(w [2]string) bool { return !strings.HasPrefix(w[0], with) })
	return c
}

// writeCandidates writes the kind, and then each word with what it is, as the scripts read it.
func writeCandidates(w io.Writer, c candidates) error {
	var b strings.Builder
	if c.kind == "" {
		c.kind = "words"
	}
	b.WriteString(c.kind + "\n")
	for _, word := range c.words {
		fmt.Fprintf(&b, "%s\t%s\n", word[0], word[1])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
