// Package redistest starts Redis for tests, as processes of their own.
package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a redis-server, or a redis-sentinel. It ends with its test.
type Server struct {
	// Addr is where it listens, HOST:PORT. Restarted it has the same.
	Addr string
	// Dir is its directory.
	Dir string

	tb     testing.TB
	args   []string
	cmd    *exec.Cmd
	output *bytes.Buffer
}

// Start starts a server that keeps what it has in its directory, and further arguments override
// that. A machine without redis-server fails the test.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, Dir: tb.TempDir(), Addr: freeAddr(tb)}
	s.args = append([]string{"--appendonly", "yes", "--appendfsync", "always", "--save", ""}, args...)
	s.Restart()
	tb.Cleanup(s.Kill)
	return s
}

// StartTLS starts a server that speaks TLS alone, with certificates from files.
func StartTLS(tb testing.TB, ca, cert, key string) *Server {
	tb.Helper()
	s := &Server{tb: tb, Dir: tb.TempDir(), Addr: freeAddr(tb)}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	s.args = []string{
		"--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-ca-cert-file", ca, "--tls-cert-file", cert, "--tls-key-file", key,
	}
	s.Restart()
	tb.Cleanup(s.Kill)
	return s
}

// StartSentinel starts a Sentinel with the lines of its configuration behind its address.
func StartSentinel(tb testing.TB, lines ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, Dir: tb.TempDir(), Addr: freeAddr(tb)}
	file := filepath.Join(s.Dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.args = []string{"--sentinel"}
	s.start(file)
	tb.Cleanup(s.Kill)
	return s
}

// freeAddr returns an address that nobody listens at. Another process can be faster; then the
// server does not start, and says so.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	return addr
}

// Restart starts a server again that was killed.
func (s *Server) Restart() {
	s.tb.Helper()
	s.start("")
}

func (s *Server) start(config string) {
	s.tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.tb.Fatal("redis-server is missing: install Debian's package redis-server")
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	var args []string
	if config != "" {
		args = []string{config}
	}
	args = append(args, "--port", port, "--bind", "127.0.0.1", "--dir", s.Dir)
	s.output = new(bytes.Buffer)
	s.cmd = exec.Command(path, append(args, s.args...)...) //nolint:gosec,noctx // a program of this machine; Kill ends it
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.ready()
}

// ready waits until the server accepts connections.
func (s *Server) ready() {
	s.tb.Helper()
	dial := net.Dialer{Timeout: time.Second}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if c, err := dial.Dial("tcp", s.Addr); err == nil {
			_ = c.Close()
			return
		}
	}
	s.Kill()
	s.tb.Fatalf("redis-server does not answer at %s:\n%s", s.Addr, s.output)
}

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the server where it is, and Resume has it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// Do has the server do a command, and returns the first line of its reply.
func (s *Server) Do(args ...string) string {
	s.tb.Helper()
	line, _, _ := strings.Cut(s.All(args...), "\r\n")
	return line
}

// All has the server do a command, and returns what comes first of its reply, 64 KiB at most.
func (s *Server) All(args ...string) string {
	s.tb.Helper()
	dial := net.Dialer{Timeout: 10 * time.Second}
	c, err := dial.Dial("tcp", s.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(b.String())); err != nil {
		s.tb.Fatal(err)
	}
	reply := make([]byte, 64<<10)
	n, err := c.Read(reply)
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(reply[:n])
}

// Again starts a server that was killed with other arguments behind those that it had.
func (s *Server) Again(args ...string) {
	s.tb.Helper()
	s.args = append(s.args, args...)
	s.Restart()
}
