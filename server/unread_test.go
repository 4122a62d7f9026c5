package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// TestBodiesThatDoNotCome has requests that are answered without their body, which does not come:
// they are answered, and the connection ends.
func TestBodiesThatDoNotCome(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.StallTimeout = time.Second
	})
	const length, chunked, localhost = "Content-Length: 10", "Transfer-Encoding: chunked", "localhost"
	for _, c := range []struct {
		line, host, header string
		status             int
	}{
		{"GET /healthz", localhost, length, 200},
		{"GET /healthz", localhost, chunked, 200},
		{"POST /x", localhost, length, 404},
		{"POST /x", localhost, chunked + "\r\nExpect: 100-continue", 404},
		{"POST /v1/plugins/zz/pause", localhost, length, 409},
		{"POST /v1/transforms/n.blow?zz=1", localhost, length, 400},
		{"GET /healthz", "example.org", chunked, 421},
	} {
		t.Run(c.line+" "+c.header, func(t *testing.T) {
			t.Parallel() // each takes StallTimeout
			conn := s.dial(t)
			if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", c.line, c.host, c.header)
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", c.status)) {
				t.Errorf("%q, err %v, want %d", answer, err, c.status)
			}
		})
	}
}

// TestPanicWithinAnAnswer has handlers that panic once the header is out: what the client has is not
// whole, and it can tell.
func TestPanicWithinAnAnswer(t *testing.T) {
	s := serve(t, withNative(nil))
	s.server.Handle("/flush", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		panic("a defect")
	})
	s.server.Handle("/write", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("a defect")
	})
	for _, path := range []string{"/flush", "/write"} {
		conn := s.dial(t)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
		answer, err := io.ReadAll(conn)
		if err != nil || strings.Contains(string(answer), "defect") || strings.HasSuffix(string(answer), "\r\n0\r\n\r\n") {
			t.Errorf("%s: %q, err %v, want no more than has gone out", path, answer, err)
		}
	}
	if _, _, metrics := s.do(t, http.MethodGet, "/metrics", "", ""); !strings.Contains(metrics, `resonhost_http_requests_total{code="aborted",route="/write"} 1`) {
		t.Error("it is not counted as aborted")
	}
}

// TestLinesThatEndEarly has a first line after which no further one is read, and a body that does not
// come to its end.
func TestLinesThatEndEarly(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.StallTimeout = time.Second
	})
	for _, header := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		conn := s.dial(t)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		first := "\"\x001\x00\"\x00\n"
		if strings.HasSuffix(header, "chunked") {
			first = fmt.Sprintf("%x\r\n%s\r\n", len(first), first)
		}
		fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n%s\r\n\r\n%s", header, first)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "no further line was read") || !strings.HasSuffix(string(answer), "\r\n0\r\n\r\n") {
			t.Errorf("%s: %q, err %v", header, answer, err)
		}
	}
}

// TestBrokenOffAtTheBuffersEnd has a client that closes its side within the header of a chunk, where
// net/http has room for one more byte.
func TestBrokenOffAtTheBuffersEnd(t *testing.T) {
	s := serve(t, withNative(nil))
	conn := s.dial(t)
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n5;%s", strings.Repeat("x", 4093))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "the body broke off before line 1") || !strings.HasSuffix(string(answer), "\r\n0\r\n\r\n") {
		t.Errorf("%q, err %v", answer, err)
	}
}

// TestExpectOfHTTP10 has a client of HTTP/1.0, which knows of no status but the last.
func TestExpectOfHTTP10(t *testing.T) {
	s := serve(t, withNative(nil))
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/n.blow HTTP/1.0\r\nContent-Type: application/x-ndjson\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n\"1\"\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "HTTP/1.0 200 OK\r\n" {
		t.Errorf("%q, err %v, want 200 first", line, err)
	}
}

// TestCharsets has text and JSON that say they are not UTF-8.
func TestCharsets(t *testing.T) {
	s := serve(t, withNative(nil))
	for contentType, want := range map[string]int{ // statuses
		"text/plain; charset=utf-16":           415,
		"text/plain; charset=UTF-8":            200,
		"application/x-ndjson; charset=utf-16": 415,
		"application/vnd.n; charset=utf-16":    415, // not of this transform, and not text
	} {
		if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/n.blow", contentType, "1"); status != want {
			t.Errorf("%s: status %d, %s, want %d", contentType, status, body, want)
		}
	}
}

// TestOutputNotUTF8 has an output that its transform calls text, and that is none: as it is, it goes out.
func TestOutputNotUTF8(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Mode, cfg.Plugins, cfg.Overrides = host.ModeInline, nil, nil
		cfg.Native = []host.Native{guest.New(`{"name": "raw", "version": "1", "transforms": [{"name": "raw", "input": "text/plain", "output": "text/plain"}]}`, func(task *guest.Task) error {
			task.Output = append(task.Output, 0xff)
			return nil
		})}
	})
	if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/raw", "text/plain", "x"); status != 200 || body != "\xff" {
		t.Errorf("as it is: status %d, %q", status, body)
	}
	if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/raw", "application/json", `"x"`); status != 502 || !strings.Contains(body, "the output is not of its media type, text/plain: ") {
		t.Errorf("in JSON: status %d, %s", status, body)
	}
}
