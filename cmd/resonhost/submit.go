package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/fleet/fleetlines"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/value"
)

// submitOptions are how lines are submitted.
type submitOptions struct {
	key, tenant string
	frame       int
	deadline    time.Duration
}

// submitSettings are about what is submitted to a fleet.
func (o *options) submitSettings() []setting {
	s := &o.submit
	return []setting{
		{"key", "submit under `NAME`: the same lines under the same name are done once, and get the same results", "one of its own", value.Text(&s.key)},
		{"submit-tenant", "submit on behalf of the tenant `NAME`", "none", value.Text(&s.tenant)},
		{"frame", "send at most `N` lines in one message", fmt.Sprint(fleet.MaxTasks), value.Count(&s.frame)},
		{"deadline", "give a task up that is not done within `TIME` of its submission, or none for ever", "none", value.DurationOrNone(&s.deadline)},
	}
}

func submitCommand(std stdio) *cli.Command {
	o := newOptions()
	lines := o.callSettings()
	lines[2].def = "none" // a fleet has to know the key of a stream, which a transform's own JSON is read for later
	return &cli.Command{
		Name:      "submit",
		Usage:     "have a fleet run tasks from JSON lines",
		UsageText: "resonhost submit TRANSFORM --nats URL [options] < tasks.ndjson",
		Description: "Reads a task from each line, has hosts of the fleet do them, and writes results as lines\n" +
			"in the same order. Lines are submitted in frames of up to 64. What is submitted is done, whatever\n" +
			"becomes of this command: with --key, the same lines may be submitted again for their results.\n" +
			"A transform that no host serves is refused before. Without any host, lines wait for one.\n\n" + exitCodes,
		Flags:        flags(o.fleetSettings(), o.submitSettings(), lines, o.logSettings(slog.LevelWarn), o.config()),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return usagef("say which transform is to do the tasks: resonhost submit TRANSFORM")
			case 1:
			default:
				return usagef("submit takes one transform, got %q besides", c.Args().Get(1))
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.submitLines(c.Context, c.Args().First(), std)
		},
	}
}

func (o *options) submitLines(ctx context.Context, transform string, std stdio) (err error) {
	switch {
	case o.fleet.URLs == "" || o.fleet.URLs == ownServer:
		return usagef("say where the fleet is: --nats URL")
	case o.submit.frame > fleet.MaxTasks:
		return usagef("--frame: must be at most %d", fleet.MaxTasks)
	}
	in, closeInput, err := o.openInput(std)
	if err != nil {
		return err
	}
	defer closeInput()
	f, err := o.fleet.open(ctx, o.logger(std.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := o.served(ctx, f, transform, std.err); err != nil {
		return err
	}
	sub, err := f.Client(o.submit.tenant, host.PriorityNormal).Submit(ctx, o.submit.key, 0)
	switch {
	case err != nil && ctx.Err() != nil:
		return &exit{api.ExitInterrupted, errInterrupted}
	case err != nil:
		return inFlags(err)
	}
	defer sub.Close()
	out, closeOutput, err := o.openOutput(std, in)
	if err != nil {
		return err
	}
	done, err := fleetlines.Run(ctx, sub, transform, in, out, fleetlines.Options{
		Frame: o.submit.frame, Deadline: max(o.submit.deadline, 0), StreamField: o.streamField,
	})
	err = errors.Join(err, closeOutput())
	switch {
	case ctx.Err() != nil:
		return &exit{api.ExitInterrupted, fmt.Errorf("%w after %s", errInterrupted, counted(done.Lines, "line"))}
	case err != nil:
		return &exit{api.ExitFailed, fmt.Errorf("stopped: %w", err)}
	case done.Failed > 0:
		return &exit{api.ExitFailed, fmt.Errorf("%d of %s failed; their results say why", done.Failed, counted(done.Lines, "line"))}
	}
	return nil
}

// served refuses a transform that no host of the fleet serves, before anything is submitted: hosts would leave its frames to one another for
// long. Lines that may have been submitted before may have results all the same; of those it is told alone. So is it that no host is there.
func (o *options) served(ctx context.Context, f *fleet.Fleet, transform string, stderr io.Writer) error {
	err := f.Serves(ctx, transform)
	unknown := (*host.Error)(nil)
	switch {
	case err == nil || ctx.Err() != nil:
		return nil //nolint:nilerr // what follows ends, too
	case errors.As(err, &unknown) && o.submit.key == "":
		return &exit{api.RuleOf(unknown.Kind).Exit, errors.New(unknown.Message)}
	case unknown != nil:
		fmt.Fprintf(stderr, "resonhost: %s\n", printable(unknown.Message))
	case errors.Is(err, fleet.ErrNoHosts):
		fmt.Fprintf(stderr, "resonhost: %v; lines are kept until one is, or until --deadline\n", err)
	default:
		o.logger(stderr).Debug("which transforms the fleet has cannot be read", "error", err)
	}
	return nil
}
