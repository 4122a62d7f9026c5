package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/server"
)

// TestExpectContinue has clients who send a body only when they are asked for it.
func TestExpectContinue(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.MaxBody = 1 << 10
	})
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour, DisableKeepAlives: true}}
	for _, c := range []struct{ contentType, body, want string }{
		{server.MediaTypeLines, strings.Repeat("\"3\"\n", 300), strings.Repeat("\"xxx\"\n", 300)},
		{"application/json", `"3"`, "\"xxx\"\n"},
		{"text/plain", "3", "xxx"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/transforms/n.blow", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.contentType)
		req.Header.Set("Expect", "100-continue")
		answer, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || string(body) != c.want {
			t.Errorf("%s: status %d, %.100q, err %v", c.contentType, answer.StatusCode, body, err)
		}
	}
	// What is too long is not asked for.
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "HTTP/1.1 413 Request Entity Too Large\r\n" {
		t.Errorf("%q, err %v, want 413 first", line, err)
	}
}

// TestHalfClosed has clients who close their side once they have sent all, and then wait.
func TestHalfClosed(t *testing.T) {
	for _, c := range []struct{ name, version, contentType, body, before, want string }{
		{"JSON", "1.1", "application/json", `"a"`, "HTTP/1.1 100 Continue\r\n\r\n", "\"waited a\"\n"},
		{"text", "1.1", "text/plain", "a", "HTTP/1.1 100 Continue\r\n\r\n", "waited a"},
		{"HTTP/1.0", "1.0", "application/json", `"a"`, "", "\"waited a\"\n"},
		{"lines", "1.1", server.MediaTypeLines, strings.Repeat("\"a\"\n", 3), "1\r\n \r\n", "\"waited a\"\n"},
		{"lines, HTTP/1.0", "1.0", server.MediaTypeLines, strings.Repeat("\"a\"\n", 3), "\r\n\r\n ", "\"waited a\"\n\"waited a\"\n\"waited a\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := make(chan struct{})
			s := serve(t, withNative(wait))
			conn := s.dial(t)
			fmt.Fprintf(conn, "POST /v1/transforms/n.wait HTTP/%s\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.version, c.contentType, len(c.body), c.body)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			var got strings.Builder
			for !strings.HasSuffix(got.String(), c.before) { // which the server sends when it sees it
				b, err := r.ReadByte()
				if err != nil {
					t.Fatalf("%q, err %v", got.String(), err)
				}
				got.WriteByte(b)
			}
			close(wait)
			rest, err := io.ReadAll(r)
			got.Write(rest)
			if n := strings.Count(got.String(), "\"waited a\"\n") + strings.Count(got.String(), "\r\nwaited a"); err != nil || !strings.Contains(got.String(), c.want) || n != max(1, strings.Count(c.body, "\n")) {
				t.Errorf("%q, err %v", got.String(), err)
			}
		})
	}
}

// TestHalfClosedAndGone has clients who first close their side, and then go.
func TestHalfClosedAndGone(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Overrides["hostile"] = host.PluginConfig{RunTimeout: time.Hour}
	})
	for _, c := range [][3]string{{octets, "!", "100 Continue\r\n\r\n"}, {server.MediaTypeLines, "{\"base64\": \"IQ==\"}\n", "1\r\n \r\n"}} {
		conn := s.dial(t)
		fmt.Fprintf(conn, "POST /v1/transforms/hostile.spin HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c[0], len(c[1]), c[1])
		await(t, func() bool { return s.host.Stats().Active == 1 })
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		for got := ""; !strings.HasSuffix(got, c[2]); {
			b, err := r.ReadByte()
			if err != nil {
				t.Fatalf("%q, err %v", got, err)
			}
			got += string(b)
		}
		if s.host.Stats().Active != 1 {
			t.Error("its task has ended with its side of the connection")
		}
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		await(t, func() bool { return s.host.Stats().Active == 0 })
	}
}

// TestTruncatedBody has clients who close their side before they have sent all.
func TestTruncatedBody(t *testing.T) {
	s := serve(t, nil)
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/hostile.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\nhalf")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), "the body broke off") {
		t.Errorf("%s, err %v", answer, err)
	}
}

// TestPipelining has two requests in one write, of which the first is still worked on when the
// server sees that its client has closed its side.
func TestPipelining(t *testing.T) {
	wait := make(chan struct{})
	s := serve(t, withNative(wait))
	conn := s.dial(t)
	const one = "POST /v1/transforms/n.wait HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n"
	fmt.Fprint(conn, one+"1"+one+"2")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	next := func() (status int, body string) {
		t.Helper()
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b)
	}
	// What it sends to see whether the client is still there comes before the answer. It may send
	// it for the second request too.
	if status, body := next(); status != http.StatusContinue || body != "" {
		t.Errorf("at first: status %d, %q", status, body)
	}
	close(wait)
	for _, want := range []string{"waited 1", "waited 2"} {
		status, body := next()
		for status == http.StatusContinue {
			status, body = next()
		}
		if status != http.StatusOK || body != want {
			t.Errorf("status %d, %q, want %s", status, body, want)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("after the answers: %q, err %v", rest, err)
	}
}

// TestTricklingClients send a byte now and then, which is no progress.
func TestTricklingClients(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.StallTimeout = time.Second
	})
	for contentType, want := range map[string]string{
		"text/plain":          "the body did not go on by 65536 bytes within 1s",
		server.MediaTypeLines: `{"error":{"status":504,"detail":"line 1 did not go on by 65536 bytes within 1s (StallTimeout)","kind":"timeout","transform":"n.blow","line":1}}`,
	} {
		conn := s.dial(t)
		fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: 100000\r\n\r\n", contentType)
		answered := make(chan string)
		go func() {
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				answered <- err.Error()
				return
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			answered <- fmt.Sprint(string(body), err)
		}()
		pace := time.NewTicker(10 * time.Millisecond)
		for got := ""; got == ""; {
			select {
			case <-pace.C:
				_, _ = io.WriteString(conn, " ") // until it is closed
			case got = <-answered:
				if !strings.Contains(got, want) {
					t.Errorf("%s: %s, want %s", contentType, got, want)
				}
			}
		}
		pace.Stop()
	}
}

// TestLinesMayPause has a client who pauses between two lines, and not within one, for longer than
// a line may.
func TestLinesMayPause(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.StallTimeout = 2 * time.Second // within which answers are written, too
	})
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 8\r\n\r\n\"1\"\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	r := bufio.NewReader(answer.Body)
	if got, err := r.ReadString('\n'); err != nil || got != "\"x\"\n" {
		t.Fatalf("%q, err %v", got, err)
	}
	pause := time.NewTimer(2500 * time.Millisecond)
	<-pause.C
	fmt.Fprint(conn, "\"2\"\n")
	if got, err := io.ReadAll(r); err != nil || string(got) != "\"xx\"\n" {
		t.Fatalf("%q, err %v", got, err)
	}
}

// TestCutAnswer has a client who takes nothing of a large answer: it is aborted, and logged once.
func TestCutAnswer(t *testing.T) {
	for _, contentType := range []string{"text/plain", server.MediaTypeLines} {
		var log logtest.Log
		s := serve(t, func(cfg *host.Config, o *server.Options) {
			withNative(nil)(cfg, o)
			cfg.Overrides = map[string]host.PluginConfig{"n": {MaxOutput: 64 << 20}}
			o.StallTimeout, o.Logger = time.Second, slog.New(slog.NewTextHandler(&log, nil))
		})
		conn := s.dial(t)
		body := "33000000"
		if contentType == server.MediaTypeLines {
			body = `"33000000"`
		}
		fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
		await(t, func() bool {
			_, _, metrics := s.do(t, http.MethodGet, "/metrics", "", "")
			return strings.Contains(metrics, `resonhost_http_requests_total{code="aborted",route="POST /v1/transforms/{name}"} 1`)
		})
		if n := strings.Count(log.String(), "cut short"); n != 1 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	}
}

func TestMisspeltArguments(t *testing.T) {
	s := serve(t, withNative(nil))
	for _, c := range []struct {
		method, path, contentType, header string
		status                            int
		want                              string
	}{
		{"POST", "/v1/transforms/n.blow?stream_feild=s", server.MediaTypeLines, "", 400, `{"title":"Bad Request","status":400,"detail":"stream_feild: is not a known parameter; did you mean \"stream_field\"?","kind":"invalid_argument","field":"stream_feild"}`},
		{"POST", "/v1/transforms/n.blow?stream_field=%zz", server.MediaTypeLines, "", 400, `"detail":"query: is malformed: invalid URL escape \"%zz\""`},
		{"POST", "/v1/transforms/n.blow?stream_field=a;b", server.MediaTypeLines, "", 400, `query: is malformed: invalid semicolon separator in query`},
		{"POST", "/v1/transforms/n.blow?stream_field=a&stream_field=a", server.MediaTypeLines, "", 400, `stream_field: must not be there twice`},
		{"POST", "/v1/transforms/n.blow?stream_field=", server.MediaTypeLines, "", 400, `stream_field: must have 1 to 256 bytes, has 0`},
		{"POST", "/v1/transforms/n.blow?stream_field=" + strings.Repeat("a", 257), server.MediaTypeLines, "", 400, `stream_field: must have 1 to 256 bytes, has 257`},
		{"POST", "/v1/transforms/n.blow?stream_field=a", "application/json", "", 400, `stream_field: is for JSON lines; a single task has the header Resonhost-Stream`},
		{"POST", "/v1/transforms/n.blow?stream_field=a", "text/plain", "", 400, `stream_field: is for JSON lines`},
		{"POST", "/v1/transforms/n.blow", "application/json", "Resonhost-Steam", 400, `Resonhost-Steam: is not a known header; did you mean \"Resonhost-Stream\"?`},
		{"POST", "/v1/transforms/n.blow", "application/json", "X-Resonhost-Stream", 400, `X-Resonhost-Stream: is not a known header; did you mean \"Resonhost-Stream\"?`},
		{"POST", "/v1/transforms/n.blow", "application/json", "Resonhost-Priority", 400, `Resonhost-Priority: is not a known header; there are Resonhost-Stream, Resonhost-Tenant, Idempotency-Key`},
		{"POST", "/v1/transforms/n.blow", "application/json", "Resonance-Id", 200, "x"},
		{"GET", "/healthz?a=b", "", "", 200, "ok\n"},
		{"GET", "/readyz?verbose&verbose&%zz", "", "", 200, "ready\n"},
		{"GET", "/?a=b", "", "", 400, `a: is not a known parameter; there are none here`},
		{"POST", "/v1/transforms/n.blow?timeout=5s", "application/json", "", 400, `timeout: is not a known parameter; there is only stream_field`},
		{"GET", "/v1/plugins?" + strings.Repeat("a", 1000) + "=b", "", "", 400, strings.Repeat("a", 128) + "…: is not"},
		{"GET", "/v1/plugins?name=a", "", "", 400, `name: is not a known parameter`},
		{"GET", "/metrics?name[]=go_goroutines&name[]=go_threads", "", "", 200, "go_threads "},
		{"GET", "/metrics?names[]=go_goroutines", "", "", 400, `did you mean \"name[]\"?`},
		{"POST", "/v1/plugins/n/reload?force=1", "", "", 400, `force: is not a known parameter`},
		{"POST", "/v1/plugins/n/reload?state_rule=reset", "", "", 400, `state_rule: is for a rollback`},
		{"GET", "/v2?a=b", "", "", 404, "not_found"},
	} {
		var header []string
		if c.header != "" {
			header = []string{c.header, "a"}
		}
		status, _, body := s.do(t, c.method, c.path, c.contentType, `"1"`, header...)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %.80s: status %d, %s; want %d, %s", c.method, c.path, status, body, c.status, c.want)
		}
	}
}

// TestRepeatedHeaders has headers twice of which one decides.
func TestRepeatedHeaders(t *testing.T) {
	s := serve(t, withNative(nil))
	const twice = ": must not be there twice"
	for _, c := range []struct{ header, want string }{
		{"Content-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: 1", "Content-Type" + twice},
		{"Content-Type: text/plain\r\nContent-Type: text/plain\r\nContent-Length: 1", "Content-Type" + twice},
		{"Content-Type: text/plain\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 1", "Content-Encoding" + twice},
		{"Content-Type: text/plain\r\nResonhost-Stream: a\r\nResonhost-Stream: a\r\nContent-Length: 1", "Resonhost-Stream" + twice},
		{"Content-Type: text/plain\r\nResonhost-Tenant: a\r\nResonhost-Tenant: b\r\nContent-Length: 1", "Resonhost-Tenant" + twice},
		{"Content-Type: text/plain\r\nContent-Length: 1\r\nContent-Length: 2", "400 Bad Request"}, // net/http's
	} {
		conn := s.dial(t)
		fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n\r\n1", c.header)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(string(answer), c.want) {
			t.Errorf("%q: %s, err %v, want 400, %s", c.header, answer, err, c.want)
		}
	}
}

// TestByteOrderMarks has bodies that begin with one.
func TestByteOrderMarks(t *testing.T) {
	s := serve(t, withNative(nil))
	for _, c := range []struct {
		contentType, body string
		status            int
		want              string
	}{
		{"application/json", "\ufeff\"1\"", 200, "\"x\"\n"},
		{server.MediaTypeLines, "\ufeff\"1\"\n\"2\"\n", 200, "\"x\"\n\"xx\"\n"},
		{server.MediaTypeLines, "\ufeff\n\"2\"\n", 200, "\"xx\"\n"},
		{"application/json", "\xff\xfe\"\x001\x00\"\x00", 400, `"detail":"document: the text is UTF-16, and must be UTF-8"`},
		{server.MediaTypeLines, "\"\x001\x00\"\x00\n\x00\"\x002\x00\"\x00\n\x00", 200, `{"error":{"status":400,"detail":"the text is UTF-16, and must be UTF-8; no further line was read","kind":"invalid_argument","transform":"n.blow","line":1}}` + "\n"},
	} {
		status, _, body := s.do(t, http.MethodPost, "/v1/transforms/n.blow", c.contentType, c.body)
		if status != c.status || !strings.Contains(body, c.want) || status == 200 && body != c.want {
			t.Errorf("%q: status %d, %s; want %d, %s", c.body, status, body, c.status, c.want)
		}
	}
}

// TestUnsupportedNamesWhatIsTaken has media types that a transform does not take.
func TestUnsupportedNamesWhatIsTaken(t *testing.T) {
	s := serve(t, withNative(nil))
	for _, c := range [][4]string{
		{"n.blow", "text/html", "application/json, application/x-ndjson, text/plain", "the Content-Type must be application/json, application/x-ndjson or text/plain"},
		{"n.own", "text/html", "application/vnd.n", "the Content-Type must be application/vnd.n"},
		{"n.own", "application/json", "application/vnd.n", "no codec for application/vnd.n and application/vnd.n; the Content-Type must be application/vnd.n"},
		{"n.own", server.MediaTypeLines, "application/vnd.n", "the Content-Type must be application/vnd.n"},
	} {
		status, header, body := s.do(t, http.MethodPost, "/v1/transforms/"+c[0], c[1], "1")
		if status != 415 || header.Get("Accept") != c[2] || !strings.Contains(body, c[3]) {
			t.Errorf("%s as %s: status %d, Accept %q, %s", c[0], c[1], status, header.Get("Accept"), body)
		}
	}
}

// TestLongNames has names that nobody would read to their end.
func TestLongNames(t *testing.T) {
	var log logtest.Log
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	long := strings.Repeat("a", 30_000)
	for _, path := range []string{"/v1/transforms/" + long, "/v1/plugins/" + long + "/pause", "/" + long, "/v1/plugins/n/" + long} {
		if status, _, body := s.do(t, http.MethodPost, path, "application/json", "{}"); status < 400 || len(body) > 1000 {
			t.Errorf("%.20s: status %d, %d bytes", path, status, len(body))
		}
	}
	for contentType, body := range map[string]string{"application/json": `{"` + long + `": 1}`, server.MediaTypeLines: `{"` + long + `": 1}`} {
		if _, _, answer := s.do(t, http.MethodPost, "/v1/transforms/n.blow", contentType, body); len(answer) > 1000 {
			t.Errorf("%s: %d bytes", contentType, len(answer))
		}
	}
	if n := len(log.String()); n > 5000 {
		t.Errorf("%d bytes in the log", n)
	}
}

func TestOptions(t *testing.T) {
	s := serve(t, nil)
	for path, allow := range map[string]string{"/healthz": "GET, HEAD, OPTIONS", "/v1/transforms/hostile.echo": "POST, OPTIONS"} {
		status, header, body := s.do(t, http.MethodOptions, path, "", "")
		if status != http.StatusNoContent || header.Get("Allow") != allow || body != "" {
			t.Errorf("%s: status %d, %v, %s", path, status, header, body)
		}
	}
	if status, header, body := s.do(t, http.MethodHead, "/healthz", "", ""); status != 200 || body != "" || header.Get("Content-Length") != "3" {
		t.Errorf("HEAD: status %d, %v, %q", status, header, body)
	}
}

func TestPanicsAreCounted(t *testing.T) {
	var log logtest.Log
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.server.Panic("GET /panic")
	status, _, body := s.do(t, http.MethodGet, "/panic", "", "")
	if status != 500 || !strings.Contains(body, `"kind":"host"`) || strings.Contains(body, "a defect\"") {
		t.Errorf("status %d, %s", status, body)
	}
	if s.metric(t, "resonhost_http_panics_total") != 1 || s.metric(t, "resonhost_http_requests_in_flight") != 1 {
		t.Error("it is not counted")
	}
	if n := strings.Count(log.String(), `panic="a defect"`); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

// TestCodecPanics has codecs with a defect: it fails the task, and is logged.
func TestCodecPanics(t *testing.T) {
	for name, c := range map[string]codec.Func{
		"decode": func([]byte) (codec.Call, error) { panic(errors.New("a defect")) },
		"encode": func([]byte) (codec.Call, error) {
			return codec.Call{Encode: func([]byte) ([]byte, error) { panic(errors.New("a defect")) }}, nil
		},
	} {
		var log logtest.Log
		s := serveWith(t, func(set *codec.Set) { set.Register(octets, octets, c) }, func(_ *host.Config, o *server.Options) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", "application/json", "{}")
		if status != 500 || !strings.Contains(body, `"kind":"host"`) || strings.Contains(body, "goroutine") || strings.Contains(body, "a defect") {
			t.Errorf("%s: status %d, %s", name, status, body)
		}
		status, _, body = s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", server.MediaTypeLines, "{}\n")
		if status != 200 || !strings.Contains(body, `"kind":"host"`) || strings.Contains(body, "goroutine") || strings.Contains(body, "a defect") {
			t.Errorf("%s, by lines: status %d, %s", name, status, body)
		}
		if s.metric(t, "resonhost_http_panics_total") != 0 || s.metric(t, "resonhost_http_held_bytes") != 0 || s.metric(t, "resonhost_http_requests_in_flight") != 1 {
			t.Errorf("%s: it counts as a handler's, or left something", name)
		}
		if n := strings.Count(log.String(), `stack="panic: a defect`); n != 2 {
			t.Errorf("%s: logged %d times: %s", name, n, log.String())
		}
	}
}

// TestFirstOfSeveral has the same header of several be refused each time.
func TestFirstOfSeveral(t *testing.T) {
	s := serve(t, nil)
	for range 20 {
		status, _, body := s.do(t, "POST", "/v1/transforms/n.blow", "application/json", `"1"`, "Resonhost-C", "a", "Resonhost-A", "a", "Resonhost-B", "a")
		if status != 400 || !strings.Contains(body, `"field":"Resonhost-A"`) {
			t.Fatalf("status %d, %s; want that Resonhost-A is refused", status, body)
		}
	}
}

// TestBodyBeyondItsLength has a handler in between give the request a body that is longer than its length.
func TestBodyBeyondItsLength(t *testing.T) {
	s := serve(t, nil)
	for _, length := range []int{0, 1, 4095, 4096, 100_000} {
		for _, more := range []int{1, 2, 200_000} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/v1/transforms/hostile.echo", strings.NewReader(strings.Repeat(" ", length+more)))
			r.ContentLength = int64(length)
			r.Header.Set("Content-Type", "application/octet-stream")
			w := httptest.NewRecorder()
			s.server.Handler().ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "longer than the request's Content-Length") {
				t.Errorf("%d bytes beyond %d: %d, %s", more, length, w.Code, w.Body)
			}
		}
	}
}
