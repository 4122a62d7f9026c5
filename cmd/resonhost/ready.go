package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/value"
)

// readyTimeout is how long a host may take to say whether it is ready.
const readyTimeout = 10 * time.Second

func readyCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "ready",
		Usage:     "say whether a running host takes tasks",
		UsageText: "resonhost ready [options]",
		Description: "Asks for /readyz, which takes no token. The exit code is 1 if the host takes no tasks, or\n" +
			"does not answer within 10 s. It is for the health check of an image that has no shell.\n\n" + exitCodes,
		Flags:        flags([]setting{{"url", "the host is at `URL`", o.remote.url, value.Text(&o.remote.url)}}, o.config()),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("ready takes no arguments, got %q", c.Args().First())
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return askReady(c.Context, std.out, o.remote.url, readyTimeout)
		},
	}
}

// askReady prints what a host says of itself within a time.
func askReady(ctx context.Context, w io.Writer, at string, patience time.Duration) error {
	base, err := url.Parse(at)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return usagef("--url %s: must be a URL such as http://127.0.0.1:8080", at)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("readyz").String(), http.NoBody)
	if err != nil {
		return usagef("--url: %w", err)
	}
	var body []byte
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		err = errors.Join(err, res.Body.Close())
	}
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &exit{api.ExitFailed, fmt.Errorf("the host at %s: %w", base.Host, err)}
	}
	if res.StatusCode != http.StatusOK {
		var problem api.Error
		if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
			problem.Detail = res.Status
		}
		return &exit{api.ExitFailed, fmt.Errorf("the host at %s: %s", base.Host, problem.Detail)}
	}
	for line := range strings.Lines(string(body)) {
		if _, err := fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
