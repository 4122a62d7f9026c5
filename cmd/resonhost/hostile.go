package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/workload"
	"github.com/resonhost/resonhost/server/auth"
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
			return o.serveBench(ctx, program)
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

// benchPlugins is how many plugins have the transforms of bench.
const benchPlugins = 2

// serveBench starts a server of the plugins, with a token of its own.
func (o *options) serveBench(ctx context.Context, program string) (target workload.Target, process int, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "resonhost-bench")
	if err != nil {
		return target, 0, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	good, goodHash := auth.NewToken()
	hostile, hostileHash := auth.NewToken()
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("good "+goodHash+" scopes=call\nhostile "+hostileHash+" scopes=call,read\n"), 0o600); err != nil {
		return target, 0, nil, errors.Join(err, remove())
	}
	args := []string{"run", "--plugins", o.host.PluginDir, "--listen", "127.0.0.1:0", "--tokens", tokens, "--drain-timeout", "1s"}
	if o.host.Workers > 0 {
		args = append(args, "--workers", fmt.Sprint(o.host.Workers))
	}
	c := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	logs, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return target, 0, nil, errors.Join(err, remove())
	}
	listening := make(chan string, 1)
	read := make(chan struct{})
	go func() { // until the server ends
		defer close(read)
		defer close(listening)
		lines := bufio.NewScanner(logs)
		addr := ""
		for ready := 0; lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), "msg=listening addr="); ok {
				addr = at
			}
			if strings.Contains(lines.Text(), `msg="plugin is ready"`) {
				ready++
			}
			if addr != "" && ready == benchPlugins {
				listening <- addr
				ready++ // so that it is told once
			}
		}
		_, _ = io.Copy(io.Discard, logs)
	}()
	stop = func() error {
		err := c.Process.Signal(syscall.SIGTERM)
		<-read
		_ = c.Wait() // it may not have drained in its second
		return errors.Join(err, remove())
	}
	if target.Addr = <-listening; target.Addr == "" {
		return target, 0, nil, errors.Join(errors.New("bench hostile: the server has ended; bench needs the plugins cascade and tick"), stop())
	}
	target.Token, target.GoodToken = hostile, good
	return target, c.Process.Pid, stop, nil
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
