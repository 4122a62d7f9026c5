package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
)

// verbs are what a running host can be asked to do with a plugin.
var verbs = []string{"ls", "reload", "rollback", "promote", "pause", "resume"}

func pluginsCommand(std stdio) *cli.Command {
	o := newOptions()
	var rule string
	return &cli.Command{
		Name:      "plugins",
		Usage:     "say what a running host serves, and change it",
		UsageText: "resonhost plugins ls [options]\n   resonhost plugins reload|rollback|promote|pause|resume NAME [options]",
		Description: "   ls        list the plugins, with why the newest version does not serve if it does not\n" +
			"   reload    load the plugin's file again, also if it was refused or rolled back\n" +
			"   rollback  give its canary up; without one, go back to the version before, with\n" +
			"             --state-rule reset also if that cannot read the states of streams\n" +
			"   promote   have its canary serve alone, before its time\n" +
			"   pause     refuse its tasks, until resume; a host that watches its directory and has\n" +
			"             a --cache-dir stays paused at its next start\n\n" +
			"SINCE is when the version began to serve, as --cache-dir has it: a restart keeps that, and\n" +
			"hosts of one plugin directory that share a --cache-dir share it.\n\n" +
			"Asks the host that resonhost run serves at --url. NAME is the plugin's, or that of\n" +
			"its file without .wasm.\n\n" + exitCodes,
		Flags: append(append(o.remote.flags(), flags(o.config())...),
			stateRuleFlag(&rule),
			jsonFlag("print JSON", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			if rule != "" && c.Args().First() != "rollback" {
				return usagef("--state-rule: is for plugins rollback")
			}
			return o.plugins(c.Context, std, c.Args().Slice(), rule)
		},
	}
}

func (o *options) plugins(ctx context.Context, std stdio, args []string, rule string) error {
	verb := "ls"
	if len(args) > 0 {
		verb = args[0]
	}
	switch {
	case !slices.Contains(verbs, verb):
		return usagef("plugins: there is no command %q%s", verb, thereAre(verb, verbs))
	case verb == "ls" && len(args) > 1:
		return usagef("plugins ls takes no arguments, got %q", args[1])
	case verb != "ls" && len(args) != 2:
		return usagef("say of which plugin: resonhost plugins %s NAME", verb)
	}
	host, err := o.remote.open(std.err)
	if err != nil {
		return err
	}
	defer host.close()
	if verb == "ls" {
		var list api.Plugins
		if err := host.ask(ctx, http.MethodGet, host.base.JoinPath("v1", "plugins"), &list); err != nil {
			return err
		}
		if o.json {
			return terminal.Encode(std.out, list)
		}
		return printPlugins(std.out, list.Plugins)
	}
	var changed api.Changed
	at := host.base.JoinPath("v1", "plugins", url.PathEscape(args[1]), verb)
	if rule != "" {
		at.RawQuery = url.Values{"state_rule": {rule}}.Encode()
	}
	if err := host.ask(ctx, http.MethodPost, at, &changed); err != nil {
		return err
	}
	if p := changed.Plugin; p != nil && p.Unsaved {
		fmt.Fprintf(std.err, "resonhost: warning: %s: %s; if the host ends before, its next start does not know of it\n", printable(named(p)), notStored)
	}
	if o.json {
		return terminal.Encode(std.out, changed)
	}
	if p := changed.Plugin; p != nil {
		fmt.Fprintf(std.out, "%s %s %s\n", printable(named(p)), p.Version, doing(p))
	}
	return nil
}

// notStored is what is told of a plugin that has changed while the store of states was away.
const notStored = "this is done, and not stored, as the store of states is away or slow; the host keeps it in memory, and stores it once the store is back"

// stateRuleFlag is of a single rollback. The environment has the rule of plugins, by the same
// name.
func stateRuleFlag(rule *string) cli.Flag {
	words := []string{"refuse", "reset"}
	return &cli.GenericFlag{
		Name: "state-rule", Value: value.Choice(rule, words, words), DefaultText: "the plugin's",
		Usage: "if the version before cannot read streams' states, `DO` refuse, or reset them; of rollback",
	}
}

// named is a plugin's name, with its file's where that is another.
func named(p *api.Plugin) string {
	if p.Name == "" || p.Name == p.Source {
		return p.Source
	}
	return p.Name + " (" + p.Source + ".wasm)"
}

// doing says in a few words what a plugin does.
func doing(p *api.Plugin) string {
	var words []string
	switch {
	case p.Hash == "" && p.Failure == nil: // which it would have if none were on the way
		return "loading"
	case p.Hash == "":
		words = append(words, "refused")
	case p.Paused:
		words = append(words, "paused")
	case p.Suspended:
		words = append(words, "suspended")
	default:
		words = append(words, "serving")
	}
	if c := p.Canary; c != nil {
		words = append(words, fmt.Sprintf("canary %s at %.3g %%", c.Version, 100*c.Share))
	}
	if p.Unsaved {
		words = append(words, "not stored yet")
	}
	if p.Deploying {
		words = append(words, "loading a version")
	}
	return strings.Join(words, ", ")
}

// since says since when the version serves, and what had it do so.
func since(p *api.Plugin) string {
	if p.Since.IsZero() {
		return "-"
	}
	return strings.TrimSpace(p.Since.Local().Format(time.DateTime) + " " + strings.ReplaceAll(string(p.By), "_", " "))
}

func printPlugins(w io.Writer, list []api.Plugin) error {
	// A tabwriter keeps what goes wrong for Flush.
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVERSION\tKIND\tHASH\tSTATE\tSINCE\tTRANSFORMS")
	var more []string
	for i := range list {
		p := &list[i]
		name := named(p)
		transforms := make([]string, len(p.Transforms))
		for i := range p.Transforms {
			transforms[i] = p.Transforms[i].Name
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(name), dash(p.Version), dash(p.Kind), dash(p.Hash[:min(12, len(p.Hash))]), doing(p), since(p), dash(strings.Join(transforms, " ")))
		if p.Mismatch != "" {
			more = append(more, fmt.Sprintf("%s: answers differ from the interpreter's: %s", printable(name), printable(p.Mismatch)))
		}
		if f := p.Failure; f != nil {
			for reason := range strings.Lines(f.Step.In(f.Error)) {
				more = append(more, fmt.Sprintf("%s: the newest version does not serve, since %s: %s",
					printable(p.Source), f.Time.Local().Format(time.DateTime), printable(strings.TrimSuffix(reason, "\n"))))
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range more {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
