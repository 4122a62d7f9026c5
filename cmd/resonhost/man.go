package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func manCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name:         "man",
		Usage:        "write the manual page",
		UsageText:    "resonhost man > resonhost.1",
		Description:  "Read it with man ./resonhost.1, or keep it as share/man/man1/resonhost.1.\n\n" + exitCodes,
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("man takes no arguments, got %q", c.Args().First())
			}
			_, err := io.WriteString(std.out, manual(c.App))
			return err
		},
	}
}

// manual is the manual page, in the macros of man(7). A flag that means the same as one of run's is
// described there alone.
func manual(app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH RESONHOST 1 \"\" \"resonhost %s\" \"User Commands\"\n", roff(currentVersion()))
	fmt.Fprintf(&b, ".SH NAME\nresonhost \\- %s\n", roff(app.Usage))
	b.WriteString(".SH SYNOPSIS\n.nf\n")
	for _, c := range app.VisibleCommands() {
		for line := range strings.Lines(c.UsageText) {
			b.WriteString(roffLine(strings.TrimSpace(line)))
		}
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n" + roffLine("Every flag is a setting, which the environment and a file can set too; see ENVIRONMENT and FILES.") + ".SH COMMANDS\n")
	of := make(map[string]string) // usages of the flags that have been described
	for _, c := range app.VisibleCommands() {
		if c.Name == "help" {
			continue
		}
		fmt.Fprintf(&b, ".SS %s\n%s.PP\n.nf\n", roff(c.Name), roffLine(sentence(c.Usage)))
		body, _, _ := strings.Cut(c.Description, "Exit codes:")
		for line := range strings.Lines(strings.TrimSpace(body) + "\n") {
			b.WriteString(roffLine(strings.TrimRight(line, "\n")))
		}
		b.WriteString(".fi\n")
		writeFlags(&b, c, of)
	}
	b.WriteString(".SH ENVIRONMENT\n" + roffLine("The flag --queue-timeout is the variable "+envPrefix+"QUEUE_TIMEOUT, and others likewise. A flag goes before a variable. An empty variable counts as not set."))
	b.WriteString(".SH FILES\n" + roffLine("The file of --config is YAML, in which --queue-timeout is queue_timeout. What it sets holds where neither a flag nor a variable does. It can set plugin_overrides and tenant_weights besides."))
	b.WriteString(".SH EXIT STATUS\n")
	for line := range strings.Lines(strings.TrimPrefix(exitCodes, "Exit codes: ")) {
		b.WriteString(roffLine(strings.TrimRight(line, "\n")))
	}
	return b.String()
}

// writeFlags describes a command's flags, and names those that have been described.
func writeFlags(b *strings.Builder, c *cli.Command, of map[string]string) {
	var others []string
	for _, f := range c.Flags {
		name := f.Names()[0]
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || name == "help" {
			continue
		}
		usage := d.GetUsage()
		if of[name] == usage {
			others = append(others, "--"+name)
			continue
		}
		if of[name] == "" {
			of[name] = usage
		}
		value := ""
		if m := valueName.FindStringSubmatch(usage); m != nil && d.TakesValue() {
			value = " \\fI" + roff(m[1]) + "\\fR"
		}
		if def := d.GetDefaultText(); def != "" && d.TakesValue() {
			usage += " (default: " + def + ")"
		}
		fmt.Fprintf(b, ".TP\n\\fB\\-\\-%s\\fR%s\n%s", roff(name), value, roffLine(strings.ReplaceAll(usage, "`", "")))
	}
	if len(others) > 0 {
		b.WriteString(".PP\n" + roffLine("It takes these as well, which are described above: "+strings.Join(others, ", ")+"."))
	}
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// roff is text with what troff reads otherwise.
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "").Replace(s)
}

// roffLine is text as a line, of which a first dot or quote would be a command.
func roffLine(s string) string {
	s = roff(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s + "\n"
}
