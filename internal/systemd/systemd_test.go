//go:build unix

package systemd_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/systemd"
)

func getenv(vars ...string) func(string) string {
	return func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// TestNotify hears what a notifier says at a real socket, of a path and of an abstract name.
func TestNotify(t *testing.T) {
	for _, addr := range []string{filepath.Join(t.TempDir(), "notify"), "@resonhost-test-" + strconv.Itoa(os.Getpid())} {
		heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { heard.Close() })
		n, err := systemd.NewNotifier(getenv("NOTIFY_SOCKET=" + addr))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Notify(systemd.Ready, "STATUS=serving"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		got, err := heard.Read(b)
		if want := "READY=1\nSTATUS=serving"; err != nil || string(b[:got]) != want {
			t.Errorf("%s: %q, err %v, want %q", addr, b[:got], err, want)
		}
	}
}

func TestNotifier(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, tc := range []struct {
		vars     []string
		none     bool
		watchdog time.Duration
		err      string
	}{
		{none: true},
		{vars: []string{"WATCHDOG_USEC=1000"}, none: true},
		{vars: []string{"NOTIFY_SOCKET=/x"}},
		{vars: []string{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=2000000"}, watchdog: 2 * time.Second},
		{vars: []string{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=2000000", "WATCHDOG_PID=" + pid}, watchdog: 2 * time.Second},
		{vars: []string{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=2000000", "WATCHDOG_PID=1"}},
		{vars: []string{"NOTIFY_SOCKET=x"}, err: "NOTIFY_SOCKET=x: must begin with / or @"},
		{vars: []string{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=soon"}, err: "WATCHDOG_USEC=soon: must be a number of microseconds"},
		{vars: []string{"NOTIFY_SOCKET=/x", "WATCHDOG_USEC=9223372036854775807"}, err: "WATCHDOG_USEC=9223372036854775807: must be a number of microseconds"},
	} {
		n, err := systemd.NewNotifier(getenv(tc.vars...))
		if fmt.Sprint(err) != fmt.Sprint(map[bool]any{true: nil, false: tc.err}[tc.err == ""]) {
			t.Errorf("%q: err %v, want %q", tc.vars, err, tc.err)
		}
		if (n == nil) != (tc.none || tc.err != "") || n.Watchdog() != tc.watchdog {
			t.Errorf("%q: %+v, want a watchdog of %v", tc.vars, n, tc.watchdog)
		}
	}
	if err := (*systemd.Notifier)(nil).Notify(systemd.Ready); err != nil {
		t.Error(err)
	}
}

// TestListener answers at a socket that this process, as a child, was passed.
func TestListener(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		l, err := systemd.Listener(os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("hello"))
		c.Close()
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" -test.run='^TestListener$'`, os.Args[0])
	cmd.ExtraFiles = []*os.File{f}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	f.Close()
	l.Close() // the child alone has it
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("%q, err %v", b, err)
	}
	c.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, &out)
	}
}

func TestNoListener(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, vars := range [][]string{{}, {"LISTEN_FDS=1"}, {"LISTEN_FDS=1", "LISTEN_PID=1"}, {"LISTEN_FDS=x", "LISTEN_PID=" + pid}, {"LISTEN_FDS=2", "LISTEN_PID=" + pid}} {
		if l, err := systemd.Listener(getenv(vars...)); err == nil {
			t.Errorf("%q: %v", vars, l.Addr())
		}
	}
}
