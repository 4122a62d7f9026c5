package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
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

// TestTerminalIsGone closes the terminal's window in which the command runs: it drains. If a service
// manager has started it, a SIGHUP is a reload all the same.
func TestTerminalIsGone(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Fatal("SIGHUP is ignored, as under nohup: run this test without")
	}
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
