//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSupervised has the command do what a unit with a socket, readiness and a watchdog has it do: it
// serves at the socket that it is passed, and says when it serves, that it lives, and when it drains.
func TestSupervised(t *testing.T) {
	heedHangUps(t)
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "http"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	passed, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()

	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" run --mode inline --listen systemd`, binary(t))
	cmd.ExtraFiles = []*os.File{passed}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+heard.LocalAddr().String(), "WATCHDOG_USEC=100000")
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // it has ended, unless the test failed
	// states are those that came up to one that begins with a text.
	states := func(until string) (all []string) {
		b := make([]byte, 4096)
		for {
			n, err := heard.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.Split(string(b[:n]), "\n")...)
			if slices.Contains(all, until) {
				return all
			}
		}
	}
	if got := states("READY=1"); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "STATUS=serving at ") }) {
		t.Errorf("it says %q", got)
	}
	client := &http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket.Addr().String()) }}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://localhost/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, resp); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	states("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	got := states("READY=1")
	at := slices.Index(got, "RELOADING=1")
	if at < 0 || runtime.GOOS == "linux" && !regexp.MustCompile(`^MONOTONIC_USEC=[1-9]\d*$`).MatchString(got[at+1]) {
		t.Errorf("it says of a reload %q", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	states("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
}

// TestWatchdogNeedsTheHost has no sign of life come from a host that answers nothing.
func TestWatchdogNeedsTheHost(t *testing.T) {
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	t.Setenv("NOTIFY_SOCKET", heard.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	s, err := newSupervised(nil)
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	stop := s.watch(func() {
		asked <- struct{}{}
		<-answer
	})
	<-asked
	s.tell("none came before")
	answer <- struct{}{}
	<-asked // the first answer has been told
	close(answer)
	var got []string
	b := make([]byte, 100)
	for range 2 {
		n, err := heard.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b[:n]))
	}
	if want := []string{"none came before", "WATCHDOG=1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	over := make(chan struct{})
	go func() {
		stop()
		close(over)
	}()
	for {
		select {
		case <-asked:
		case <-over:
			return
		}
	}
}
