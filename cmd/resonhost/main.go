// Command resonhost serves, calls and inspects transforms that are compiled to
// WebAssembly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/server/auth"
)

func main() { os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) }

const exitCodes = `Exit codes: 0 all went well; 1 a line of input or a write failed, tasks had to
be interrupted, or anything else went wrong; 2 wrong usage or configuration; 3 a
plugin could not be loaded, or its new version was refused; 4 call --verify
sample:N has found that an interpreter answers a task differently; 130
interrupted by a signal; 141 whoever read standard output, as head does, has
closed it.`

// exit is an error with the exit code it leads to.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exit{api.ExitUsage, fmt.Errorf(format, args...)}
}

// heapFloor is how many bytes are taken and never touched, so that they cost nothing
// and yet count for the garbage collector: it would run for every few MiB that tasks
// return, as all that lives is as small, and look at the stack of each task that waits.
const heapFloor = 64 << 20

// run is the command: args begin with its name. It ends early when ctx does or a
// signal comes, see [interruptible].
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, hangups, stop := interruptible(ctx, stderr)
	defer stop()

	ballast := make([]byte, heapFloor)
	defer runtime.KeepAlive(ballast)
	out := newOutput(stdout)
	app := newApp(stdio{stdin, out, stderr, hangups})
	for _, w := range misspelt(app, os.Environ()) {
		fmt.Fprintln(stderr, "resonhost: warning:", printable(w))
	}
	args, err := interspersed(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	switch told := errors.Is(err, out.err); {
	case out.unread() && (err == nil || told):
		return api.ExitUnread
	case out.err != nil && !told && !out.unread(): // a command that wrote without a look
		err = errors.Join(err, out.err)
	}
	if err == nil {
		return api.ExitOK
	}
	if e := cli.ExitCoder(nil); errors.As(err, &e) { // the library's, of help
		err = unknownCommand(app, args[len(args)-1])
	}
	for line := range strings.Lines(err.Error()) {
		// Somebody may have given a token where a file's name is expected.
		fmt.Fprintln(stderr, "resonhost:", printable(auth.Mask(strings.TrimSuffix(line, "\n"))))
	}
	if e := (*exit)(nil); errors.As(err, &e) {
		return e.code
	}
	if e := (*host.Error)(nil); errors.As(err, &e) {
		return api.RuleOf(e.Kind).Exit
	}
	return api.ExitFailed
}

// stdio is what the command reads and writes.
type stdio struct {
	in  io.Reader
	out *output
	err io.Writer
	// hangups are what the command makes of SIGHUP; nil for nothing.
	hangups *hangups
}

func newApp(std stdio) *cli.App {
	return &cli.App{
		Name:        "resonhost",
		Usage:       "run CPU-heavy transforms as sandboxed WebAssembly plugins",
		UsageText:   "resonhost COMMAND [options]",
		Description: exitCodes,
		HideVersion: true, // the flag below
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}},
		Commands: []*cli.Command{
			runCommand(std), callCommand(std), submitCommand(std), fleetCommand(std), pluginsCommand(std), readyCommand(std), topCommand(std), logsCommand(std), tokenCommand(std), whoamiCommand(std), stateCommand(std), configCommand(std), inspectCommand(std), validateCommand(std), conformCommand(std), newCommand(std), devCommand(std), benchCommand(std), attackCommand(std), completionCommand(std), manCommand(std), versionCommand(std),
		},
		Action: func(c *cli.Context) error {
			switch {
			case c.Bool("version"):
				return printVersion(std.out, false)
			case c.Args().Present():
				return unknownCommand(c.App, c.Args().First())
			}
			return usagef("say which command to run: %s; resonhost help tells more", strings.Join(commandNames(c.App), ", "))
		},
		OnUsageError:   usageError,
		Writer:         std.out,
		ErrWriter:      std.err,
		ExitErrHandler: func(*cli.Context, error) {}, // run prints and returns
	}
}

func unknownCommand(app *cli.App, name string) error {
	if ours := otherCommands[name]; ours != "" {
		return usagef("there is no command %q; did you mean %q?", name, ours)
	}
	return usagef("there is no command %q%s", name, thereAre(name, commandNames(app)))
}

// otherCommands are other programs' names for ours.
var otherCommands = map[string]string{
	"serve": "run", "server": "run", "start": "run", "exec": "call", "invoke": "call", "list": "plugins ls", "ls": "plugins ls", "ps": "plugins ls", "log": "logs", "tail": "logs",
	"reload": "plugins reload", "rollback": "plugins rollback", "promote": "plugins promote", "pause": "plugins pause", "resume": "plugins resume",
	"check": "validate", "verify": "validate", "test": "validate", "info": "inspect", "show": "inspect", "init": "new", "create": "new", "watch": "dev", "benchmark": "bench",
}

// thereAre suggests what is nearest to a name that there is not, or says which there are.
func thereAre(name string, known []string) string {
	if did := spell.DidYouMean(name, known); did != "" {
		return did
	}
	return spell.ThereAre(known)
}

func commandNames(app *cli.App) (names []string) {
	for _, c := range app.VisibleCommands() {
		if c.Name != "help" {
			names = append(names, c.Name)
		}
	}
	return names
}

// interspersed moves a command's flags before its arguments: package flag ends at
// the first argument, and users do not. A flag that is there twice is an error: one of its values
// would have no effect.
func interspersed(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	var cmd *cli.Command
	for _, c := range app.Commands {
		if c.HasName(args[1]) {
			cmd = c
		}
	}
	if cmd == nil {
		return args, nil
	}
	var flags, rest []string
	seen := make(map[string]bool)
	for i := 2; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		if slices.Contains([]string{"-h", "-help", "--help"}, a) {
			return append(args[:2:2], a), nil // of the command, whatever else there is
		}
		flags = append(flags, a)
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		first := name // of the flag's names
		if f := flagOf(cmd, name); f != nil {
			first = f.Names()[0]
		}
		switch {
		case seen[first] && first != name:
			return nil, usagef("--%s is there twice, once as --%s", first, name)
		case seen[first]:
			return nil, usagef("--%s is there twice", name)
		}
		seen[first] = true
		if takesValue(cmd, strings.TrimLeft(a, "-")) {
			if i++; i == len(args) {
				return append(args[:2:2], flags...), nil // package flag complains about the last
			}
			flags = append(flags, args[i])
		}
	}
	out := append([]string{args[0], args[1]}, flags...)
	return append(append(out, "--"), rest...), nil
}

// takesValue reports whether the argument after a flag is its value.
func takesValue(cmd *cli.Command, name string) bool {
	f := flagOf(cmd, name)
	return f != nil && f.TakesValue()
}

// namedFlag is a flag of a command, which tells whether it has a value.
type namedFlag interface {
	cli.Flag
	TakesValue() bool
}

// flagOf is the flag of a command that has a name, nil if there is none.
func flagOf(cmd *cli.Command, name string) namedFlag {
	for _, f := range cmd.Flags {
		if d, ok := f.(namedFlag); ok && slices.Contains(f.Names(), name) {
			return d
		}
	}
	return nil
}

// printable makes text that may come from a plugin fit for a terminal.
func printable(s string) string { return terminal.Printable(s) }
