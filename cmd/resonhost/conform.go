package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
)

func conformCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "conform",
		Usage:     "check that plugins keep the plugin contract, for authors of plugins and of kits",
		UsageText: "resonhost conform [options] FILE...",
		Description: "Does with a plugin what no host does: it sends frames of no item and of many,\n" +
			"nonsense and long states, asks for more room than there is, and compares\n" +
			"instances. Prints a line for each check. The exit code is 3 if one fails.\n\n" + exitCodes,
		Flags: append(flags(o.cacheSettings(), o.networkSettings(), o.config(), pluginSettings(&o.host.Defaults)),
			jsonFlag("print JSON, a line for each file", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			var failed []error
			err := eachFile(o, c, std, conformFile, func(_ int, name string, conformance host.Conformance) error {
				if !conformance.Passed() {
					failed = append(failed, &fileError{name, errors.New("does not keep " + contractOf(&conformance))})
				}
				return printConformance(std.out, name, conformance, o.json)
			})
			return exitWith(api.ExitPlugins, append(failed, err))
		},
	}
}

// contractOf says which contract a plugin is held to.
func contractOf(c *host.Conformance) string {
	for i := range c.Checks {
		if c.Checks[i].Section == "" {
			return "the contract of its kind, " + c.Kind
		}
	}
	return "the plugin contract"
}

func conformFile(c *cli.Context, name string, cfg host.Config) (host.Conformance, error) {
	s, err := readBare(c.Context, name, cfg)
	if err != nil {
		return host.Conformance{}, err
	}
	conformance, err := host.Conform(c.Context, s, cfg)
	return conformance, loadFault(err)
}

// jsonCheck is a check in JSON.
type jsonCheck struct {
	Name    string `json:"name"`
	Section string `json:"section"`
	Passed  bool   `json:"passed"`
	Fault   string `json:"fault,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

func printConformance(w io.Writer, file string, of host.Conformance, asJSON bool) error {
	if asJSON {
		checks := []jsonCheck{}
		for _, c := range of.Checks {
			checks = append(checks, jsonCheck{c.Name, c.Section, c.Fault == "" && c.Skipped == "", c.Fault, c.Skipped})
		}
		return terminal.Encode(w, struct {
			File   string      `json:"file"`
			Kind   string      `json:"kind"`
			Passed bool        `json:"passed"`
			Checks []jsonCheck `json:"checks"`
		}{file, of.Kind, of.Passed(), checks})
	}
	if _, err := fmt.Fprintf(w, "%s, %s\n", printable(file), dash(of.Kind)); err != nil {
		return err
	}
	for _, c := range of.Checks {
		line := "pass  " + c.Name
		switch {
		case c.Fault != "":
			line = fmt.Sprintf("FAIL  %s: %s", c.Name, c.Fault)
			if c.Section != "" {
				line += fmt.Sprintf(" (plugin contract, %s)", c.Section)
			}
		case c.Skipped != "":
			line = fmt.Sprintf("–     %s: not checked, as %s", c.Name, c.Skipped)
		}
		if _, err := fmt.Fprintln(w, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
