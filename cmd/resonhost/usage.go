package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/internal/spell"
)

// usageError says what the flag package says in terms of this command.
func usageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "flag provided but not defined: -"); ok {
		typed := "-" + name // package flag leaves one out
		name = strings.TrimPrefix(name, "-")
		if len(name) > 1 {
			typed = "--" + name
		}
		name, _, _ = strings.Cut(name, "=")
		typed, _, _ = strings.Cut(typed, "=")
		return usagef("there is no flag %s%s", typed, instead(c, name))
	}
	for _, w := range wordings {
		msg = w.theirs.ReplaceAllString(msg, w.ours)
	}
	return usagef("%s", msg)
}

// instead says what may have been meant by a flag that a command does not have: a flag of its own, that
// another command has it, or where its flags are listed.
func instead(c *cli.Context, name string) string {
	var known []string
	for _, f := range c.Command.Flags {
		known = append(known, "--"+f.Names()[0])
	}
	for _, ours := range synonyms[name] {
		if slices.Contains(known, ours) {
			return fmt.Sprintf("; did you mean %q?", ours)
		}
	}
	if did := spell.DidYouMean("--"+name, known); did != "" {
		return did
	}
	command := c.Command.Name
	if command == c.App.Name {
		command = ""
	}
	if slices.Contains(known, "--plugins") && (name == "url" || name == "token-file" || slices.Contains(synonyms[name], "--url")) {
		return fmt.Sprintf("; %s runs the plugins of --plugins DIR itself. POST /v1/transforms/TRANSFORM has a running host run tasks", command)
	}
	var others []string
	for _, other := range c.App.VisibleCommands() {
		if flagOf(other, name) != nil {
			others = append(others, other.Name)
		}
	}
	switch {
	case len(others) > 0 && command == "":
		return fmt.Sprintf(" before the command; it stands after one, as in resonhost %s --%s", others[0], name)
	case len(others) > 0:
		return fmt.Sprintf(" of %s; %s", command, theyHave(others))
	case command == "":
		return "; resonhost help lists the commands"
	}
	return fmt.Sprintf("; resonhost %s --help lists them", command)
}

// maxOthers is how many other commands are named that have a flag.
const maxOthers = 4

// theyHave says that commands have what the one at hand has not.
func theyHave(commands []string) string {
	switch n := len(commands); {
	case n == 1:
		return commands[0] + " has it"
	case n > maxOthers:
		return fmt.Sprintf("%s and %d others have it", strings.Join(commands[:maxOthers-1], ", "), n-maxOthers+1)
	default:
		return fmt.Sprintf("%s and %s have it", strings.Join(commands[:n-1], ", "), commands[n-1])
	}
}

// synonyms are flags of other commands' names for ours.
var synonyms = map[string][]string{
	"addr": {"--url", "--listen"}, "address": {"--url", "--listen"}, "host": {"--url", "--listen"}, "server": {"--url"},
	"endpoint": {"--url"}, "bind": {"--listen"}, "port": {"--listen", "--url"}, "dir": {"--plugins"}, "plugin-dir": {"--plugins"},
	"jobs": {"--workers"}, "threads": {"--workers"}, "timeout": {"--run-timeout"}, "in": {"--input"}, "out": {"--output"}, "cache": {"--cache-dir"},
	"f": {"--follow"}, "n": {"--tail"}, "lines": {"--tail"}, "url": {"--listen"}, "language": {"--lang"},
	"c": {"--config"}, "p": {"--plugins"}, "i": {"--input"}, "o": {"--output"}, "format": {"--json"},
	"v": {"--log-level"}, "verbose": {"--log-level"}, "debug": {"--log-level"}, "q": {"--log-level"}, "quiet": {"--log-level"},
}

// wordings are what package flag and urfave/cli say of a flag, and what we do.
var wordings = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`^flag needs an argument: -`), "flag needs a value: --"},
	{regexp.MustCompile(`^(invalid value ".*" for )flag -`), "$1--"},
	{regexp.MustCompile(`^invalid boolean value (".*") for -(\S+): .*`), "invalid value $1 for --$2: must be true or false"},
	{regexp.MustCompile(`^could not parse (".*") from environment variable "(\w+)" as value for flag \S+: `), "invalid value $1 of $2: "},
	{regexp.MustCompile(`^could not parse (".*") as bool value from environment variable "(\w+)" .*`), "invalid value $1 of $2: must be true or false"},
}
