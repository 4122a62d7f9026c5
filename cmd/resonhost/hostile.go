package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/workload"
)

// hostile measures what hostile clients do to others. This program is the server, too, and the hostile
// clients, each in a process of its own.
func (o *options) hostile(ctx context.Context, t *workload.Bench, b *bench) (*workload.Report, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &workload.Hostile{
		Serve: func(ctx context.Context) (workload.Target, int, func() error, error) {
			return o.serveBench(ctx, program, true)
		},
		Attack: func(ctx context.Context, name string, target workload.Target, atMost float64) (did workload.Attacked, err error) {
			c := exec.CommandContext(ctx, program, "attack", name, target.Addr, fmt.Sprint(atMost)) //nolint:gosec // this program
			c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
			c.Env = append(os.Environ(), tokenVariable+"="+target.Token)
			var out, stderr bytes.Buffer
			c.Stdout, c.Stderr = &out, &stderr
			err = c.Run()
			told := ctx.Err() != nil
			if err != nil && !told {
				return did, fmt.Errorf("hostile clients: %w: %s", err, strings.TrimSpace(stderr.String()))
			}
			if out.Len() == 0 && told {
				return did, nil //nolint:nilerr // it was told to end before it had begun
			}
			err = json.Unmarshal(out.Bytes(), &did)
			return did, err
		},
		Rounds: b.rounds,
	}
	if b.clients != "" {
		h.Kinds = strings.Split(b.clients, ",")
	}
	return t.Hostile(ctx, h)
}

// attackCommand is the hostile clients of bench hostile.
func attackCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "attack", Hidden: true, Usage: "be the hostile clients of bench hostile",
		UsageText: "resonhost attack KIND ADDRESS RATE", OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.NArg() != 3 {
				return usagef("attack takes a kind, an address, and how many requests a second clients send that behave well, or 0")
			}
			atMost, err := strconv.ParseFloat(c.Args().Get(2), 64)
			if err != nil {
				return usagef("attack: the rate must be a number, is %q", c.Args().Get(2))
			}
			workload.GiveWay()
			did, err := workload.Attack(c.Context, c.Args().First(), workload.Target{Addr: c.Args().Get(1), Token: os.Getenv(tokenVariable)}, atMost)
			if err != nil {
				return usagef("attack: %w", err)
			}
			return terminal.Encode(std.out, did)
		},
	}
}
