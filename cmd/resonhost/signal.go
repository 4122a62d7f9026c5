package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/api"
)

// signalBurst is how long after the first signal further ones are taken for the same request.
// GNU timeout signals its child and then the child's whole group; a terminal signals a group
// of which a parent passes the signal on.
const signalBurst = time.Second

// interruptible returns a context that ends with the first SIGINT, SIGTERM or SIGHUP, until stop
// is called. A later signal ends the process at once, which stderr is told, see [watchSignals].
// That does not return to the signal's own way to end a process: that may be to ignore it, as
// in the background of a shell's script. A SIGHUP that is ignored, as by nohup, stays so.
//
// SIGPIPE ends nothing: the write fails instead, so that a reader of the log who goes away does
// not end tasks, and results that nobody takes are an error.
func interruptible(ctx context.Context, stderr io.Writer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, over := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	unread := make(chan os.Signal, 1) // to ignore it would have child processes do so too
	signal.Notify(unread, syscall.SIGPIPE)
	var watch sync.WaitGroup
	watch.Go(func() {
		if s := watchSignals(signals, over, cancel); s != nil {
			fmt.Fprintf(stderr, "resonhost: a second signal (%v): ended at once, without what was under way\n", s)
			os.Exit(api.ExitInterrupted)
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(unread)
		close(over)
		watch.Wait()
		cancel()
	}
}

// watchSignals calls first at the first signal, and returns the first that comes later than
// signalBurst after that one; or nil when over is closed.
func watchSignals(signals <-chan os.Signal, over <-chan struct{}, first func()) os.Signal {
	var began time.Time
	for {
		select {
		case s := <-signals:
			switch {
			case began.IsZero():
				began = time.Now()
				first()
			case time.Since(began) >= signalBurst:
				return s
			}
		case <-over:
			return nil
		}
	}
}
