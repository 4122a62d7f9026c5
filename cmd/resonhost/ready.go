package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
)

// readyTimeout is how long a host may take to say whether it is ready.
const readyTimeout = 10 * time.Second

func readyCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "ready",
		Usage:     "say whether a running host takes tasks",
		UsageText: "resonhost ready [options]",
		Description: "Asks for /readyz, which needs no token. The exit code is 1 if the host takes no tasks, or\n" +
			"does not answer within 10 s. It is for the health check of an image that has no shell.\n\n" + exitCodes,
		Flags:        append(o.remote.flags(), flags(o.config())...),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("ready takes no arguments, got %q", c.Args().First())
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.remote.askReady(c.Context, std, readyTimeout)
		},
	}
}

// askReady prints what a host says of itself within a time.
func (r *remote) askReady(ctx context.Context, std stdio, patience time.Duration) error {
	host, err := r.open(std.err)
	if err != nil {
		return err
	}
	defer host.close()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	req, err := host.request(ctx, http.MethodGet, host.base.JoinPath("readyz"))
	if err != nil {
		return err
	}
	var body []byte
	res, err := host.http.Do(req)
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		err = errors.Join(err, res.Body.Close())
	}
	if err != nil {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, context.Canceled):
			return &exit{api.ExitInterrupted, errInterrupted}
		case cause != nil:
			return &exit{api.ExitFailed, fmt.Errorf("the host at %s: %w", host.base.Host, cause)}
		}
		return noAnswer(host.base, err)
	}
	if res.StatusCode != http.StatusOK {
		why := refusal(res, body)
		return &exit{why.code, fmt.Errorf("the host at %s: %w", host.base.Host, why.err)}
	}
	for line := range strings.Lines(string(body)) {
		if _, err := fmt.Fprintln(std.out, printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
