package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/api"
)

// signalBurst is how long after the first signal further ones are taken for the same request.
// GNU timeout signals its child and then the child's whole group; a terminal signals a group
// of which a parent passes the signal on.
const signalBurst = time.Second

// interruptible returns a context that ends with the first SIGINT, SIGTERM or SIGHUP, until stop
// is called. A SIGHUP that the hangups take is none of these. A later signal ends the process at once, which stderr is told, see [watchSignals].
// That does not return to the signal's own way to end a process: that may be to ignore it, as
// in the background of a shell's script. A SIGHUP that is ignored, as by nohup, stays so.
//
// SIGPIPE ends nothing: the write fails instead. So a reader of the log who goes away does not end
// tasks, and a command whose results nobody takes ends in order, see [output].
func interruptible(ctx context.Context, stderr io.Writer) (_ context.Context, _ *hangups, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, over := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	unread := make(chan os.Signal, 1) // to ignore it would have child processes do so too
	signal.Notify(unread, syscall.SIGPIPE)
	hang := &hangups{asked: make(chan struct{}, 1)}
	var watch sync.WaitGroup
	watch.Go(func() {
		if s := watchSignals(signals, over, hang, cancel); s != nil {
			fmt.Fprintf(stderr, "resonhost: a second signal (%v): ended at once, without what was under way\n", s)
			os.Exit(api.ExitInterrupted)
		}
	})
	return ctx, hang, func() {
		signal.Stop(signals)
		signal.Stop(unread)
		close(over)
		watch.Wait()
		cancel()
	}
}

// hangups are what becomes of SIGHUP. It ends the command, as other signals do, until the command takes
// it. A nil one takes none.
type hangups struct {
	taken atomic.Bool
	asked chan struct{} // of capacity 1
}

// take has those that come from now on make the channel ready, and end nothing.
func (h *hangups) take() <-chan struct{} {
	if h == nil {
		return nil
	}
	h.taken.Store(true)
	return h.asked
}

// takes reports whether a signal is taken.
func (h *hangups) takes(s os.Signal) bool {
	if h == nil || s != syscall.SIGHUP || !h.taken.Load() {
		return false
	}
	select {
	case h.asked <- struct{}{}:
	default: // one that is waiting stands for both
	}
	return true
}

// hangupReloads reports whether a SIGHUP asks this process to read its files anew. A process that has a
// terminal gets one when the terminal is gone, unless a service manager has started the process itself.
// INVOCATION_ID would not tell: a terminal's window may be a service, whose shells inherit it.
func hangupReloads(getenv func(string) string) bool {
	if getenv("NOTIFY_SOCKET") != "" || getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()) {
		return true
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return true
	}
	_ = tty.Close() // nothing was written to it
	return false
}

// watchSignals calls first at the first signal that the hangups do not take, and returns the first that comes later than
// signalBurst after that one; or nil when over is closed.
func watchSignals(signals <-chan os.Signal, over <-chan struct{}, hang *hangups, first func()) os.Signal {
	var began time.Time
	for {
		select {
		case s := <-signals:
			switch {
			case hang.takes(s):
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
