package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/api"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (window, terminal *os.File) {
	t.Helper()
	window, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { window.Close() })
	if err := unix.IoctlSetPointerInt(int(window.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(window.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return window, terminal
}

// TestTopLive shows a host in a terminal of 30 columns, until SIGINT, also once the host is gone.
func TestTopLive(t *testing.T) {
	d := startRun(t, "--mode", "inline")
	window, terminal := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(window.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 30}); err != nil {
		t.Fatal(err)
	}
	top := exec.Command(binary(t), "top", "--url", "http://"+d.addr)
	top.Stdout = terminal
	if err := top.Start(); err != nil {
		t.Fatal(err)
	}
	defer top.Process.Kill() // it has ended, unless the test failed
	terminal.Close()
	shown := &serving{logs: bufio.NewReader(window), ended: func() any { return top.Wait() }}
	shown.await(t, `^(\x1b\[H)`)
	if line := shown.await(t, `^(TRANSFORM.*\x1b\[K)`)[1]; line != "TRANSFORM                   T…\x1b[K" {
		t.Errorf("%q", line)
	}
	shown.await(t, `^(cascade )`)
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
	shown.await(t, `^(since then: no host answers)`)
	if err := top.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := top.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTerminalIsGone closes the terminal's window in which the command runs: it drains. If a service
// manager has started it, a SIGHUP is a reload all the same.
func TestTerminalIsGone(t *testing.T) {
	heedHangUps(t)
	for name, tc := range map[string]struct{ shell, want string }{
		"a user's":            {`exec "$0" "$@"`, "msg=(draining)"},
		"a service's":         {`SYSTEMD_EXEC_PID=$$ exec "$0" "$@"`, "msg=(reloaded)"},
		"a service's shell's": {`SYSTEMD_EXEC_PID=1 INVOCATION_ID=x exec "$0" "$@"`, "msg=(draining)"},
	} {
		t.Run(name, func(t *testing.T) {
			window, terminal := openTerminal(t)
			cmd := exec.Command("sh", "-c", tc.shell, binary(t), "run", "--listen", "127.0.0.1:0", "--mode", "inline")
			cmd.Stdin = terminal
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill() // it has ended, unless the test failed
			terminal.Close()
			p := childOf(cmd, stderr)
			p.await(t, "msg=(listening)")
			window.Close() // the kernel sends SIGHUP
			p.await(t, tc.want)
			if tc.want == "msg=(reloaded)" {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			if last, code := p.end(t); code != api.ExitOK || !strings.Contains(last, "msg=drained") {
				t.Errorf("exit code %d, %s", code, last)
			}
		})
	}
}
