package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// spare is how many connections there may be beyond the bound.
const spare = 64

// overTLS serves a server once more, with TLS, at a listener of its own.
func (s *served) overTLS(t *testing.T) *httptest.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(s.server.Handler())
	web.Listener = s.server.Listener(web.Listener)
	web.Config.ConnContext = server.ConnContext
	web.StartTLS()
	t.Cleanup(web.Close)
	return web
}

// get sends a request on a connection, and returns the answer.
func get(t *testing.T, c net.Conn, path string) (*http.Response, string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// TestMaxConnections has two clients more than are served, one of them with TLS, and then as many as are
// accepted.
func TestMaxConnections(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.MaxConnections = 1 })
	secret := s.overTLS(t)
	first := s.dial(t)
	if res, body := get(t, first, "/v1/plugins"); res.StatusCode != http.StatusOK { //nolint:bodyclose // get closes it
		t.Fatalf("the first: %d, %s", res.StatusCode, body)
	}
	sealed, err := (&tls.Dialer{Config: secret.Client().Transport.(*http.Transport).TLSClientConfig}).DialContext(t.Context(), "tcp", secret.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"plain": s.dial(t), "TLS": sealed} {
		if res, body := get(t, c, "/healthz"); res.StatusCode != http.StatusOK || body != "ok\n" { //nolint:bodyclose // get closes it
			t.Errorf("%s: health: %d, %s", name, res.StatusCode, body)
		}
		res, body := get(t, c, "/v1/plugins") //nolint:bodyclose // get closes it
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !res.Close || res.Header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(body, "there are as many connections as are served at once (MaxConnections, --max-connections)") {
			t.Errorf("%s: %d, %v, %s", name, res.StatusCode, res.Header, body)
		}
		_ = c.Close()
	}
	await(t, func() bool { return s.server.Connections() == 1 })
	for range spare {
		if res, _ := get(t, s.dial(t), "/healthz"); res.StatusCode != http.StatusOK { //nolint:bodyclose // get closes it
			t.Fatalf("a client beyond the bound: %d", res.StatusCode)
		}
	}
	// The next is accepted, and has no answer before another ends.
	late := s.dial(t)
	answered := make(chan int, 1)
	go func() {
		res, _ := get(t, late, "/healthz") //nolint:bodyclose // get closes it
		answered <- res.StatusCode
	}()
	if n := s.server.Connections(); n != 1+spare {
		t.Errorf("%d connections, want %d", n, 1+spare)
	}
	_ = first.Close()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the last: %d", status)
	}
	if n := s.server.Connections(); n != 1+spare {
		t.Errorf("%d connections, want %d", n, 1+spare)
	}
}

// TestMaxConnectionsOfUnixSockets has a client more than are served, at a Unix socket.
func TestMaxConnectionsOfUnixSockets(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.MaxConnections = 1 })
	plain, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	web := &httptest.Server{Listener: s.server.Listener(plain), Config: &http.Server{Handler: s.server.Handler(), ConnContext: server.ConnContext}}
	web.Start()
	t.Cleanup(web.Close)
	for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		c, err := new(net.Dialer).DialContext(t.Context(), "unix", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if res, body := get(t, c, "/v1/plugins"); res.StatusCode != want { //nolint:bodyclose // get closes it
			t.Errorf("%d, want %d: %s", res.StatusCode, want, body)
		}
	}
}

// TestListenerCloses has a listener end that waits for a place.
func TestListenerCloses(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.MaxConnections = 1 })
	for range 1 + spare {
		if res, _ := get(t, s.dial(t), "/healthz"); res.StatusCode != http.StatusOK { //nolint:bodyclose // get closes it
			t.Fatal(res.StatusCode)
		}
	}
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := s.server.Listener(plain)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	waiting, err := new(net.Dialer).DialContext(t.Context(), "tcp", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// crowd is a listener to which clients come without end.
type crowd struct{ net.Listener }

func (crowd) Accept() (net.Conn, error) {
	ours, _ := net.Pipe()
	return discards{ours}, nil
}

func (crowd) Close() error { return nil }

// discards is a connection whose client takes all.
type discards struct{ net.Conn }

func (discards) Write(p []byte) (int, error) { return len(p), nil }

// TestNewcomers has more clients come at once than come at a time.
func TestNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := server.NewBounded(crowd{}, 10_000)
		came := make(chan net.Conn, 10_000)
		var accepting sync.WaitGroup
		accepting.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				came <- c
			}
		})
		want := func(n int) {
			t.Helper()
			if synctest.Wait(); len(came) != n {
				t.Errorf("%d have come, want %d", len(came), n)
			}
		}
		want(server.Newcomers)
		answered, gone := <-came, <-came
		_, _ = answered.Write([]byte("an answer"))
		_, _ = answered.Write([]byte("and more"))
		_ = gone.Close()
		want(server.Newcomers) // two of them in place of these
		time.Sleep(server.ComesFor)
		want(2 * server.Newcomers)
		_ = l.Close()
		accepting.Wait()
		time.Sleep(server.ComesFor)
	})
}
