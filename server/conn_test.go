package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

const octets = "application/octet-stream"

// TestStallTimeoutSparesTheTask has a task that takes longer than a client may
// keep the server waiting, which is the task's affair and not the client's.
func TestStallTimeoutSparesTheTask(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		o.StallTimeout, cfg.Overrides["hostile"] = time.Second, host.PluginConfig{RunTimeout: 2 * time.Second}
	})
	status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.spin", octets, "!")
	if status != http.StatusGatewayTimeout || !strings.Contains(body, "ran longer than its run timeout of 2s") {
		t.Errorf("status %d, %s", status, body)
	}
}

// TestStallTimeoutSparesTheEmptyBody has a task without payload wait behind another
// for longer than that.
func TestStallTimeoutSparesTheEmptyBody(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		o.StallTimeout, cfg.Overrides["hostile"] = time.Second, host.PluginConfig{RunTimeout: 2 * time.Second}
		cfg.Workers = 1
	})
	spinning := s.host.Submit(t.Context(), "hostile.spin", []byte("!"))
	status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", octets, "")
	if status != http.StatusOK || body != "" {
		t.Errorf("status %d, %s", status, body)
	}
	if _, err := spinning.Wait(); host.KindOf(err) != host.KindTimeout {
		t.Errorf("the task before: err %v", err)
	}
	if ok := s.host.Stats().Plugins[0].Transforms; ok[0].Name != "hostile.echo" || ok[0].OK != 1 {
		t.Errorf("%s succeeded %d times, want hostile.echo once", ok[0].Name, ok[0].OK)
	}
}

// TestStalledBody sends half a body, and then nothing.
func TestStalledBody(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.StallTimeout = time.Second })
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/hostile.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\nhalf")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), "the body did not go on by 65536 bytes within 1s") {
		t.Errorf("status %d, %s, err %v", resp.StatusCode, body, err)
	}
}

// TestStalledReader sends lines and takes no answers: its tasks end, and with
// them the request.
func TestStalledReader(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.StallTimeout = time.Second })
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/hostile.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	line := `"` + strings.Repeat("x", 100<<10) + `"` + "\n"
	for {
		// Until the server breaks the connection off.
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(line), line); err != nil {
			break
		}
	}
	await(t, func() bool {
		st := s.host.Stats()
		return st.Active == 0 && st.QueueDepth == 0
	})
	await(t, func() bool {
		_, _, metrics := s.do(t, http.MethodGet, "/metrics", "", "")
		return strings.Contains(metrics, `resonhost_http_requests_total{code="aborted",route="POST /v1/transforms/{name}"} 1`)
	})
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestInterrupted ends requests as a daemon does whose patience is over; the
// clients are still there and are to learn of it.
func TestInterrupted(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Overrides["hostile"] = host.PluginConfig{RunTimeout: time.Hour}
	})
	for cause, status := range map[error]int{
		errors.New("interrupted"): http.StatusServiceUnavailable,
		context.Canceled:          499, // like a client that has gone, but never 200
	} {
		base, interrupt := context.WithCancelCause(t.Context())
		web := httptest.NewUnstartedServer(s.server.Handler())
		web.Config.BaseContext = func(net.Listener) context.Context { return base }
		web.Start()
		go func() {
			await(t, func() bool { return s.host.Stats().Active == 1 })
			interrupt(cause)
		}()
		resp, err := web.Client().Post(web.URL+"/v1/transforms/hostile.spin", octets, strings.NewReader("!"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != status || !strings.Contains(string(body), `"kind":"cancelled"`) {
			t.Errorf("%v: status %d, %s, err %v", cause, resp.StatusCode, body, err)
		}
		web.Close()
	}
}

func TestUnknownRoutes(t *testing.T) {
	s := serve(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		allow, want  string
	}{
		{http.MethodGet, "/v1/transforms/cascade", 405, "POST, OPTIONS", `{"title":"Method Not Allowed","status":405,"detail":"the method must be POST","kind":"method_not_allowed"}`},
		{http.MethodPost, "/healthz", 405, "GET, HEAD, OPTIONS", `{"title":"Method Not Allowed","status":405,"detail":"the method must be GET or HEAD","kind":"method_not_allowed"}`},
		{http.MethodDelete, "/", 405, "GET, HEAD, OPTIONS", `"kind":"method_not_allowed"`},
		{http.MethodGet, "/v2", 404, "", `{"title":"Not Found","status":404,"detail":"there is nothing here; / lists what there is","kind":"not_found"}`},
	} {
		status, header, body := s.do(t, c.method, c.path, "", "")
		if status != c.status || header.Get("Allow") != c.allow || !strings.Contains(body, c.want) || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: status %d, %v, %s", c.method, c.path, status, header, body)
		}
	}
}
