package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/internal/workload"
	"github.com/resonhost/resonhost/server/auth"
)

// serving measures what a server costs that serves in other ways, each in a process of its own. This program is
// the servers, and the program of --against one more.
func (o *options) serving(ctx context.Context, t *workload.Bench, b *bench) (*workload.Report, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return t.Serve(ctx, &workload.Serving{
		Serve: func(ctx context.Context, against string, identity bool) (workload.Target, int, func() error, error) {
			return o.serveBench(ctx, cmp.Or(against, program), identity)
		},
		Against: b.against, Rounds: b.rounds,
	})
}

// benchPlugins is how many plugins have the transforms of bench.
const benchPlugins = 2

// serveBench starts a server of the plugins. With identity it has tokens of its own.
func (o *options) serveBench(ctx context.Context, program string, identity bool) (target workload.Target, process int, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "resonhost-bench")
	if err != nil {
		return target, 0, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	args := []string{"run", "--plugins", o.host.PluginDir, "--listen", "127.0.0.1:0", "--drain-timeout", "1s"}
	if identity {
		tokens := filepath.Join(dir, "tokens")
		if err := writeBenchTokens(tokens, &target); err != nil {
			return target, 0, nil, errors.Join(err, remove())
		}
		args = append(args, "--tokens", tokens)
	}
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
		return target, 0, nil, errors.Join(errors.New("bench: "+program+" run has ended; bench needs the plugins cascade and tick"), stop())
	}
	return target, c.Process.Pid, stop, nil
}

// writeBenchTokens writes the tokens of a server that is measured, and tells the target of them.
func writeBenchTokens(file string, target *workload.Target) error {
	good, goodHash := auth.NewToken()
	hostile, hostileHash := auth.NewToken()
	target.Token, target.GoodToken = hostile, good
	return os.WriteFile(file, []byte("good "+goodHash+" scopes=call,read,admin\nhostile "+hostileHash+" scopes=call,read\n"), 0o600)
}
