//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// child is a `resonhost run` in a process, and in a session of its own, which has no terminal.
type child struct {
	serving

	cmd *exec.Cmd
}

// startChild starts the command with a shell's traps, and waits until it serves.
func startChild(t *testing.T, traps string, args ...string) *child {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", traps + `exec "$@"`, "sh", binary(t), "run", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
		http.DefaultClient.CloseIdleConnections()
	})
	c := childOf(cmd, stderr)
	c.addr = c.await(t, `msg=listening addr=(\S+)`)[1]
	return c
}

// childOf is a command that has begun, and whose log is read.
func childOf(cmd *exec.Cmd, log io.Reader) *child {
	return &child{serving{logs: bufio.NewReader(log), ended: func() any { return cmd.Wait() }}, cmd}
}

// end waits for the process, and returns the last line of its log and its exit code.
func (c *child) end(t *testing.T) (last string, code int) {
	t.Helper()
	for {
		line, err := c.logs.ReadString('\n')
		if err != nil {
			break
		}
		last = strings.TrimSuffix(line, "\n")
	}
	if exit := (*exec.ExitError)(nil); errors.As(c.cmd.Wait(), &exit) {
		return last, exit.ExitCode()
	}
	return last, 0
}

// TestSignalsDrain has signals that belong together end the command once: the request under way
// is answered.
func TestSignalsDrain(t *testing.T) {
	const toGroup = -1
	type kill struct {
		whom   int // 1 or toGroup
		signal syscall.Signal
	}
	cases := map[string]struct {
		traps string
		kills []kill
	}{
		"SIGTERM":           {"", []kill{{1, syscall.SIGTERM}}},
		"GNU timeout":       {"", []kill{{1, syscall.SIGTERM}, {toGroup, syscall.SIGTERM}, {toGroup, syscall.SIGCONT}}},
		"a terminal":        {"", []kill{{toGroup, syscall.SIGINT}, {1, syscall.SIGINT}}},
		"a service manager": {"", []kill{{1, syscall.SIGTERM}, {1, syscall.SIGHUP}, {1, syscall.SIGINT}}},
		"nohup":             {`trap "" HUP; `, []kill{{1, syscall.SIGHUP}, {1, syscall.SIGTERM}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := startChild(t, c.traps, "--mode", "inline", "--drain-timeout", "1h")
			answer := p.underWay(t)
			for _, k := range c.kills {
				if err := syscall.Kill(k.whom*p.cmd.Process.Pid, k.signal); err != nil {
					t.Fatal(err)
				}
			}
			p.await(t, `msg=(draining)`)
			answer()
			if last, code := p.end(t); code != api.ExitOK || !strings.Contains(last, "msg=drained") {
				t.Errorf("exit code %d, %s", code, last)
			}
		})
	}
}

// TestLogIsGone has who reads the log go away: the command goes on and drains.
func TestLogIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary(t), "run", "--listen", "127.0.0.1:0", "--mode", "inline")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := childOf(cmd, r)
	c.await(t, `msg=(listening)`)
	r.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWatchSignals takes for the same request what comes within a moment of the first signal.
func TestWatchSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals, over := make(chan os.Signal), make(chan struct{})
		firsts, second := 0, make(chan os.Signal, 1)
		watch := func() { second <- watchSignals(signals, over, nil, func() { firsts++ }) }
		go watch()
		for range 4 {
			signals <- syscall.SIGTERM
			time.Sleep(signalBurst / 4)
		}
		synctest.Wait()
		if firsts != 1 || len(second) != 0 {
			t.Errorf("%d first ones, %d second ones; want 1 and 0", firsts, len(second))
		}
		signals <- syscall.SIGHUP
		if s := <-second; s != syscall.SIGHUP || firsts != 1 {
			t.Errorf("%v, %d first ones", s, firsts)
		}
		go watch()
		close(over)
		if s := <-second; s != nil {
			t.Errorf("%v, want nothing once it is over", s)
		}
	})
}

// TestHangups has a hang-up that is taken end nothing.
func TestHangups(t *testing.T) {
	signals, over := make(chan os.Signal), make(chan struct{})
	hang := &hangups{asked: make(chan struct{}, 1)}
	ended, firsts := make(chan struct{}), 0
	asked := hang.take()
	go func() {
		defer close(ended)
		watchSignals(signals, over, hang, func() { firsts++ })
	}()
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM // by when the others are dealt with
	signals <- syscall.SIGHUP
	close(over)
	<-ended
	if firsts != 1 || len(asked) != 1 {
		t.Errorf("%d signals ended it, %d reloads are asked for, want 1 of each", firsts, len(asked))
	}
}

// TestSecondSignal has a second signal end a command that still drains, also where the first
// would have been ignored but for the command, as in the background of a script.
func TestSecondSignal(t *testing.T) {
	plugins := t.TempDir()
	if err := os.Symlink(filepath.Join(guesttest.Root(), "testdata/guests/hostile.wasm"), filepath.Join(plugins, "hostile.wasm")); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, `trap "" INT; `, "--plugins", plugins, "--run-timeout", "1h", "--drain-timeout", "1h")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		resp, err := http.Post("http://"+c.addr+"/v1/transforms/hostile.spin", "application/json", strings.NewReader(`"!"`))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	c.untilBusy(t)
	began := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.await(t, `msg=(draining)`)
	ended := make(chan struct{})
	go func() {
		for { // those of the first moment do nothing
			select {
			case <-ended:
				return
			case <-time.After(signalBurst / 10):
				_ = c.cmd.Process.Signal(syscall.SIGINT) // or it has ended
			}
		}
	}()
	last, code := c.end(t)
	close(ended)
	<-gone
	if want := "resonhost: a second signal (interrupt): ended at once, without what was under way"; code != api.ExitInterrupted || last != want {
		t.Errorf("exit code %d, %s, want %d, %s", code, last, api.ExitInterrupted, want)
	}
	if took := time.Since(began); took < signalBurst {
		t.Errorf("it ended after %v, want %v at least", took, signalBurst)
	}
}

// TestCallInterrupted sends signals while call waits for lines.
func TestCallInterrupted(t *testing.T) {
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sent) { // as of this process, and so of the command, under nohup
			continue
		}
		in, toIn := io.Pipe()
		out, w := io.Pipe()
		var stderr strings.Builder
		code := make(chan int)
		go func() {
			code <- run(context.Background(), []string{"resonhost", "call", "tick.connection", "--mode", "inline"}, in, w, &stderr)
		}()
		fmt.Fprintln(toIn, `{"a": {"frequency": 1}, "b": {"frequency": 1}}`)
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it runs, and has its signals
			t.Fatal(err)
		}
		if err := syscall.Kill(syscall.Getpid(), sent); err != nil {
			t.Fatal(err)
		}
		if got := <-code; got != api.ExitInterrupted || stderr.String() != "resonhost: interrupted after 1 line\n" {
			t.Errorf("%v: exit code %d, %s", sent, got, stderr.String())
		}
		toIn.Close()
	}
}
