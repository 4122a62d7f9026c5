package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/internal/wait"
)

// fleetVerbs are what a fleet can be asked to do.
var fleetVerbs = []string{"push", "rollback", "rm", "ls", "top", "events", "drain"}

// fleetFlagsOf says which of them a flag is for.
var fleetFlagsOf = map[string][]string{
	"share": {"push"}, "watch": {"push"}, "max-errors": {"push"}, "detach": {"push", "drain"}, "undo": {"drain"}, "once": {"top"}, "kinds": {"events"},
}

// fleetPoll is how often a command looks how far the fleet is.
const fleetPoll = 200 * time.Millisecond

// fleetCommands are what the commands of a fleet can be told.
type fleetCommands struct {
	push               fleet.PushOptions
	detach, undo, once bool
	kinds              string
}

func fleetCommand(std stdio) *cli.Command {
	o := newOptions()
	var f fleetCommands
	own := []setting{
		{"share", "let a `SHARE` of the hosts try the version at a time, such as 0.1 or 10%, at least one host; of push", value.Share(new(fleet.DefaultShare)).String(), value.Share(&f.push.Share)},
		{"watch", "have a host watch the version for `TIME` before it counts as good; of push", fleet.DefaultWatch.String(), value.Duration(&f.push.Watch)},
		{"max-errors", "let a `SHARE` of a host's tasks fail by the plugin's fault, beyond those that did before; of push", value.Share(new(fleet.DefaultMaxErrors)).String(), value.Share(&f.push.MaxErrors)},
		{"detach", "do not wait for the end; of push and drain", "", value.Toggle{P: &f.detach}},
		{"undo", "have the host take frames again; of drain", "", value.Toggle{P: &f.undo}},
		{"once", "print one view, and end; of top", "", value.Toggle{P: &f.once}},
		{"kinds", "print events of the `KINDS` alone, with commas, such as plugin.changed,state.outage; of events", "all that hosts tell", value.Text(&f.kinds)},
	}
	return &cli.Command{
		Name:      "fleet",
		Usage:     "say what the hosts of a fleet do, and change what they serve",
		UsageText: "resonhost fleet push FILE --nats URL [options]\nresonhost fleet rollback|rm|drain NAME --nats URL [options]\nresonhost fleet ls|top|events --nats URL [options]",
		Description: "   push      have all hosts serve the plugin of FILE, NAME.wasm, and what lies beside it: a share\n" +
			"             of them at a time; a host that refuses it, or sees too many faults, stops the\n" +
			"             roll-out, and those that have it go back\n" +
			"   rollback  stop the roll-out of the plugin NAME; without one, have all hosts serve the version\n" +
			"             before, at once\n" +
			"   rm        forget the plugin NAME, such as one whose first roll-out was refused; hosts that\n" +
			"             serve it do so until they end\n" +
			"   ls        list the hosts, what they do, and the plugins that were pushed\n" +
			"   top       show live what the hosts do\n" +
			"   events    print what happens in the hosts from now on: versions that come and go, a store of\n" +
			"             states that is away and back; --json prints JSON lines\n" +
			"   drain     have the host NAME take no frames and no calls of the fleet, until --undo; it ends\n" +
			"             those that it has\n\n" +
			"A roll-out goes on if this command ends.\n\n" + exitCodes,
		Flags:        append(flags(o.fleetSettings(), o.config(), own), jsonFlag("print JSON", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.commandFleet(c.Context, std, c.Args().Slice(), &f)
		},
	}
}

// commandFleet does what the command says.
func (o *options) commandFleet(ctx context.Context, std stdio, args []string, f *fleetCommands) (err error) {
	if len(args) == 0 {
		args = []string{""}
	}
	verb, rest := args[0], args[1:]
	takes, what := 0, ""
	switch verb {
	case "push":
		takes, what = 1, "say which file: resonhost fleet push FILE"
	case "rollback":
		takes, what = 1, "say which plugin: resonhost fleet rollback NAME"
	case "rm":
		takes, what = 1, "say which plugin: resonhost fleet rm NAME"
	case "drain":
		takes, what = 1, "say which host: resonhost fleet drain NAME"
	}
	switch {
	case !slices.Contains(fleetVerbs, verb):
		return usagef("fleet: there is no command %q%s", verb, thereAre(verb, fleetVerbs))
	case len(rest) < takes:
		return usagef("%s", what)
	case len(rest) > takes:
		return usagef("fleet %s takes no argument %q", verb, rest[takes])
	case o.fleet.URLs == "" || o.fleet.URLs == ownServer:
		return usagef("say where the fleet is: --nats URL")
	}
	if err := o.given.only("fleet", verb, fleetFlagsOf); err != nil {
		return err
	}
	kinds, err := f.eventKinds()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.fleet.MustExist = true // it has no say in how a fleet is stored
	conn, err := o.fleet.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	control, err := conn.Control(ctx)
	if err != nil {
		return err
	}
	c := &fleetClient{fleet: conn, control: control, eye: fleetEye{control: control, name: conn.Name()}, json: o.json, std: std, opts: f}
	switch verb {
	case "push":
		err = c.push(ctx, rest[0])
	case "rollback":
		err = c.near(ctx, rest[0], c.rollback(ctx, rest[0]))
	case "rm":
		err = c.near(ctx, rest[0], c.remove(ctx, rest[0]))
	case "drain":
		err = c.drain(ctx, rest[0])
	case "top":
		err = c.top(ctx)
	case "events":
		err = c.events(ctx, kinds)
	default:
		err = c.ls(ctx)
	}
	if ctx.Err() != nil && err != nil {
		return &exit{api.ExitInterrupted, errInterrupted}
	}
	return err
}

// fleetClient does the commands of a fleet.
type fleetClient struct {
	fleet   *fleet.Fleet
	control *fleet.Control
	eye     fleetEye
	json    bool
	std     stdio
	opts    *fleetCommands
}

// push rolls a plugin out, and tells how it goes.
func (c *fleetClient) push(ctx context.Context, file string) error {
	s, err := readSource(ctx, file, host.Config{Defaults: host.PluginConfig{MaxModule: fleet.MaxRelease}})
	if err != nil {
		return &fileError{file, err}
	}
	w, begun, err := c.control.Push(ctx, s, c.opts.push)
	switch f := (*abi.FieldError)(nil); {
	case errors.As(err, &f):
		return inPushFlags(err)
	case err != nil:
		return err
	case !begun:
		return c.tell(w, "%s: the fleet has this version already\n", w.Plugin)
	case c.opts.detach:
		return c.tell(w, "%s: hosts begin to serve %.12s; resonhost fleet ls shows how far they are\n", w.Plugin, w.Rollout.Release.Hash)
	}
	return c.seeThrough(ctx, w)
}

// inPushFlags says what is wrong with a push in terms of flags.
func inPushFlags(err error) error {
	var errs []error
	for _, e := range joinedErrors(err) {
		if f := (*abi.FieldError)(nil); errors.As(e, &f) {
			switch f.Field {
			case "Share", "Watch", "MaxErrors":
				e = fmt.Errorf("--%s: %s", separated(f.Field, '-'), f.Rule)
			}
		}
		errs = append(errs, e)
	}
	return &exit{api.ExitUsage, errors.Join(errs...)}
}

// joinedErrors are the errors that one joins, or that one.
func joinedErrors(err error) []error {
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		return list.Unwrap()
	}
	return []error{err}
}

// seeThrough waits for the end of a roll-out, and tells each step.
func (c *fleetClient) seeThrough(ctx context.Context, w *fleet.Wanted) error {
	id, told, said := w.Rollout.ID, make(map[string]fleet.Step), ""
	for {
		now, err := c.control.Plugin(ctx, w.Plugin)
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, fleet.ErrNotPushed): // a server may be away
			if text := printable(err.Error()); text != said {
				said = text
				fmt.Fprintln(c.std.err, "resonhost:", text)
			}
		case err != nil:
			return err
		case now.Rollout.ID != id:
			return fmt.Errorf("%s: the roll-out is over, and another has begun", w.Plugin)
		default:
			w, said = now, ""
		}
		c.tellSteps(w, told)
		switch w.Rollout.State {
		case fleet.RolloutDone:
			return c.tell(w, "%s: all hosts serve %s\n", w.Plugin, releaseName(w.Rollout.Release.Version, w.Rollout.Release.Hash))
		case fleet.RolloutStopped:
			if err := c.tell(w, ""); err != nil {
				return err
			}
			return &exit{api.ExitPlugins, fmt.Errorf("%s: the roll-out is stopped, and hosts go back: %s", w.Plugin, w.Rollout.Reason)}
		}
		if err := wait.For(ctx, fleetPoll); err != nil {
			return err
		}
	}
}

// tellSteps tells which hosts have begun to try a release and which have found it good since it told last.
func (c *fleetClient) tellSteps(w *fleet.Wanted, told map[string]fleet.Step) {
	if c.json {
		return
	}
	for instance, p := range w.Rollout.Places {
		if told[instance] == p.Step {
			continue
		}
		told[instance] = p.Step
		switch p.Step {
		case fleet.StepTrying:
			fmt.Fprintf(c.std.out, "host %s tries it\n", printable(p.Host))
		case fleet.StepGood:
			fmt.Fprintf(c.std.out, "host %s: good\n", printable(p.Host))
		}
	}
}

// tell prints a record as JSON, or else a text.
func (c *fleetClient) tell(w *fleet.Wanted, form string, args ...any) error {
	if c.json {
		return terminal.Encode(c.std.out, fleetPlugin(w))
	}
	_, err := fmt.Fprintf(c.std.out, form, args...)
	return err
}

// releaseName is a release in words.
func releaseName(version, hash string) string {
	if version == "" {
		return fmt.Sprintf("%.12s", hash)
	}
	return fmt.Sprintf("%s (%.12s)", printable(version), hash)
}

// rollback stops a roll-out, or goes back.
func (c *fleetClient) rollback(ctx context.Context, plugin string) error {
	w, err := c.control.Rollback(ctx, plugin)
	if err != nil {
		return misnamed(err)
	}
	if w.Current == nil {
		return c.tell(w, "%s: the roll-out is stopped; hosts go back to what they had\n", w.Plugin)
	}
	return c.tell(w, "%s: all hosts go back to %s\n", w.Plugin, releaseName(w.Current.Version, w.Current.Hash))
}

// misnamed returns an error about a name that is none as one of usage.
func misnamed(err error) error {
	if f := (*abi.FieldError)(nil); errors.As(err, &f) {
		return usagef("%w", err)
	}
	return err
}

// near adds to the error of a plugin that the fleet does not have which one may have been meant.
func (c *fleetClient) near(ctx context.Context, plugin string, err error) error {
	if !errors.Is(err, fleet.ErrNotPushed) {
		return err
	}
	all, failed := c.control.Plugins(ctx)
	if failed != nil {
		return err // which says enough
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: nothing was pushed to it", err)
	}
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = w.Plugin
	}
	return fmt.Errorf("%w%s", err, thereAre(plugin, names))
}

// remove has the fleet forget a plugin.
func (c *fleetClient) remove(ctx context.Context, plugin string) error {
	w, err := c.control.Remove(ctx, plugin)
	if err != nil {
		return misnamed(err)
	}
	if w.Current == nil {
		return c.tell(w, "%s: the fleet has forgotten it\n", w.Plugin)
	}
	return c.tell(w, "%s: the fleet has forgotten it; hosts serve %s until they end\n", w.Plugin, releaseName(w.Current.Version, w.Current.Hash))
}

// drain drains hosts of a name, and waits until they are.
func (c *fleetClient) drain(ctx context.Context, name string) error {
	if err := c.control.Drain(ctx, name, !c.opts.undo); err != nil {
		return err
	}
	for ctx.Err() == nil {
		hosts, err := c.control.Hosts(ctx)
		if err != nil {
			return err
		}
		hosts = slices.DeleteFunc(hosts, func(h fleet.HostInfo) bool { return h.Host != name })
		through := c.opts.detach || !slices.ContainsFunc(hosts, func(h fleet.HostInfo) bool {
			return h.Draining == c.opts.undo || h.Draining && !h.Drained()
		})
		switch {
		case !through:
		case c.json:
			return terminal.Encode(c.std.out, fleetHosts(hosts, c.control.BeatEvery()))
		case c.opts.undo:
			_, err = fmt.Fprintf(c.std.out, "%s takes frames\n", printable(name))
			return err
		case c.opts.detach:
			_, err = fmt.Fprintf(c.std.out, "%s takes no more frames\n", printable(name))
			return err
		default:
			_, err = fmt.Fprintf(c.std.out, "%s is drained\n", printable(name))
			return err
		}
		if err := wait.For(ctx, fleetPoll); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
