package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

const nativeManifest = `{
  "name": "n", "version": "1",
  "transforms": [
    {"name": "n.blow", "input": "text/plain", "output": "text/plain"},
    {"name": "n.wait", "input": "text/plain", "output": "text/plain"},
    {"name": "n.own", "input": "application/vnd.n", "output": "application/vnd.n"}
  ]
}`

// withNative has transforms of this process in the guest's stead: n.blow answers with so many
// bytes as it is told, and n.wait once go is closed.
func withNative(wait <-chan struct{}) func(*host.Config, *server.Options) {
	blow := func(t *guest.Task) error {
		n, err := strconv.Atoi(string(t.Input))
		t.Output = append(t.Output, bytes.Repeat([]byte("x"), n)...)
		return err
	}
	never := func(*guest.Task) error { return errors.New("called without a codec") }
	block := func(t *guest.Task) error {
		<-wait
		t.Output = append(append(t.Output, "waited "...), t.Input...)
		return nil
	}
	return func(cfg *host.Config, _ *server.Options) {
		cfg.Mode, cfg.Plugins, cfg.Overrides = host.ModeInline, nil, nil
		cfg.Native = []host.Native{guest.New(nativeManifest, blow, block, never)}
	}
}

// metric returns a metric's value.
func (s *served) metric(t *testing.T, name string) int {
	t.Helper()
	_, _, text := s.do(t, http.MethodGet, "/metrics", "", "")
	_, rest, _ := strings.Cut(text, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	f, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatalf("metric %s: %v", name, err)
	}
	return int(f)
}

// TestHeldIsBounded has four clients who send lines whose answers are large, and read none of
// them at first.
func TestHeldIsBounded(t *testing.T) {
	const clients, sent, size, limit = 4, 64, 256 << 10, 16 << 20
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.MaxBody, o.MaxHeld = 1<<20, limit
	})
	var conns [clients]net.Conn
	body := strings.Repeat(fmt.Sprintf("\"%d\"\n", size), sent)
	for i := range conns {
		conns[i] = s.dial(t)
		if err := conns[i].(*net.TCPConn).SetReadBuffer(64 << 10); err != nil { // what it takes is not held
			t.Fatal(err)
		}
		fmt.Fprintf(conns[i], "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	most, before, same := 0, 0, 0
	for same < 20 { // until nothing goes on any more
		held := s.metric(t, "resonhost_http_held_bytes")
		if most = max(most, held); held == before && held > 0 {
			same++
		} else {
			before, same = held, 0
		}
		// Others are served meanwhile.
		if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/n.blow", "application/json", `"3"`); status != 200 || body != "\"xxx\"\n" {
			t.Fatalf("another client: status %d, %.300s", status, body)
		}
	}
	if most > limit {
		t.Errorf("%d bytes were held, the limit is %d", most, limit)
	}
	if got := s.metric(t, "resonhost_http_held_limit_bytes"); got != limit {
		t.Errorf("the metric says %d", got)
	}
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			answer, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			out, err := io.ReadAll(answer.Body)
			if n := bytes.Count(out, []byte("\n")); err != nil || n != sent {
				t.Errorf("%d lines, err %v", n, err)
			}
			if ok := bytes.Count(out, []byte("\"xx")); ok != sent {
				t.Errorf("%d lines succeeded of %d", ok, sent)
			}
		})
	}
	wg.Wait()
	await(t, func() bool { return s.server.Held() == 0 })
}

// TestHeldIsRefused has requests that hold nearly all there is.
func TestHeldIsRefused(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.MaxBody, o.MaxHeld, o.StallTimeout = 128<<10, 2<<20, time.Hour
	})
	var conns [31]net.Conn
	half := strings.Repeat("x", 32<<10)
	for i := range conns { // bodies that stop half-way
		conn := s.dial(t)
		conns[i] = conn
		before := s.server.Held()
		fmt.Fprintf(conn, "POST /v1/transforms/hostile.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", 2*len(half), half)
		await(t, func() bool { return s.server.Held() >= before+2*len(half) })
	}
	status, header, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", octets, strings.Repeat(half, 2))
	if status != 429 || header.Get("Retry-After") == "" || !strings.Contains(body, "hold all the memory that they may (MaxHeld, --max-held); try again when some have ended") {
		t.Errorf("a body: status %d, %v, %s", status, header, body)
	}
	status, header, body = s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", server.MediaTypeLines, "1\n")
	if status != 429 || header.Get("Retry-After") == "" || !strings.Contains(body, "queue_full") {
		t.Errorf("lines: status %d, %v, %s", status, header, body)
	}
	if s.metric(t, "resonhost_http_held_refused_total") != 2 {
		t.Error("it is not counted")
	}
	if metric, held := s.metric(t, "resonhost_http_held_bytes"), s.server.Held(); metric != held {
		t.Errorf("the metric says %d bytes, of %d", metric, held)
	}
	for _, conn := range conns {
		conn.Close()
	}
	await(t, func() bool { return s.server.Held() == 0 })
	if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", octets, half); status != 200 || body != half {
		t.Errorf("afterwards: status %d", status)
	}
}

// TestHeldIsGivenBackOnce has clients who are in the middle of a line when their lines end: one
// takes no answers, and with the other the server drains.
func TestHeldIsGivenBackOnce(t *testing.T) {
	for name, drain := range map[string]bool{"cut": false, "drained": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(cfg *host.Config, o *server.Options) {
				withNative(nil)(cfg, o)
				cfg.Overrides = map[string]host.PluginConfig{"n": {MaxOutput: 64 << 20}}
				if o.StallTimeout = time.Second; drain {
					o.StallTimeout = time.Hour
				}
			})
			conn := s.dial(t)
			var sending sync.WaitGroup
			defer sending.Wait()
			defer conn.Close()
			fmt.Fprint(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n")
			first := "\"5000000\"\n"
			if drain {
				first = "\"5\"\n"
			}
			half := strings.Repeat("x", 700_000)
			fmt.Fprint(conn, first, half)
			await(t, func() bool { return s.server.Held() > len(half) })
			if drain {
				s.server.SetDraining()
			} else {
				sending.Go(func() { // goes on until it is cut
					for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
						if _, err := fmt.Fprint(conn, strings.Repeat("x", 100)); err != nil {
							return
						}
					}
				})
			}
			await(t, func() bool { return s.metric(t, "resonhost_http_requests_in_flight") == 1 }) // the question itself
			await(t, func() bool { return !reading() })
			if held := s.server.Held(); held != 0 {
				t.Errorf("%d bytes are held at the end", held)
			}
		})
	}
}

// reading reports whether the lines of a request are still read.
func reading() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("resonhost/lines.(*pipeline).read"))
}

func TestMaxHeldIsChecked(t *testing.T) {
	h, err := host.New(host.Config{StartEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[int64]string{
		1 << 20: "MaxHeld: must be at least 8 × MaxBody, which is 8388608 bytes, is 1048576",
		1 << 10: "MaxHeld: must be at least 1114112 bytes, 8 × what JSON lines take, is 1048576",
	} {
		_, err = server.New(h, nil, server.Options{MaxBody: body, MaxHeld: 1 << 20})
		if err == nil || err.Error() != want {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

// TestAnswerOfAnySize has one that is larger than all may hold, of the only request there is
// beside a client of JSON lines who pauses.
func TestAnswerOfAnySize(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.MaxBody, o.MaxHeld = 1<<10, 8*136<<10
	})
	idle := s.dial(t)
	fmt.Fprint(idle, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n")
	await(t, func() bool { return s.server.Held() == 136<<10 })
	if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/n.blow", "application/json", `"2000000"`); status != 200 || len(body) != 2_000_003 {
		t.Errorf("status %d, %d bytes", status, len(body))
	}
}

// TestSlowReader has a client who takes a large answer for several times as long as a piece
// of it may take.
func TestSlowReader(t *testing.T) {
	const size = 8 << 20
	for _, contentType := range []string{"application/json", server.MediaTypeLines} {
		s := serve(t, func(cfg *host.Config, o *server.Options) {
			withNative(nil)(cfg, o)
			cfg.Overrides = map[string]host.PluginConfig{"n": {MaxOutput: 2 * size}}
			o.StallTimeout = 2 * time.Second
		})
		conn := s.dial(t)
		if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf("\"%d\"", size)
		fmt.Fprintf(conn, "POST /v1/transforms/n.blow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
		tick := time.NewTicker(40 * time.Millisecond)
		began := time.Now()
		answer, err := http.ReadResponse(bufio.NewReaderSize(&paced{conn, tick.C}, 64<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		tick.Stop()
		if took := time.Since(began); err != nil || n != size+3 || took < 4*time.Second {
			t.Errorf("%s: %d bytes in %v, err %v", contentType, n, took, err)
		}
	}
}

// paced reads 64 KiB a tick.
type paced struct {
	r    io.Reader
	tick <-chan time.Time
}

func (p *paced) Read(b []byte) (int, error) {
	<-p.tick
	return p.r.Read(b[:min(len(b), 64<<10)])
}

// TestHeldLists has clients who ask for large lists and take none of them: what is held for them has its
// bound, and small answers still come.
func TestHeldLists(t *testing.T) {
	const limit = 8 << 20
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		cfg.Native = nil
		never := func(*guest.Task) error { return errors.New("called") }
		for p := range 6 {
			var transforms []string
			for i := range 4 {
				transforms = append(transforms, fmt.Sprintf(`{"name": "n%d.%d", "input": "application/json", "output": "application/json", "input_schema": {"description": %q}}`,
					p, i, strings.Repeat("x", 60<<10)))
			}
			cfg.Native = append(cfg.Native, guest.New(fmt.Sprintf(`{"name": "n%d", "version": "1", "transforms": [%s]}`, p, strings.Join(transforms, ",")), slices.Repeat([]guest.Transform{never}, 4)...))
		}
		o.MaxBody, o.MaxHeld, o.StallTimeout = 1<<20, limit, time.Hour
	})
	for _, path := range []string{"/v1/transforms", "/v1/openapi.json", "/v1/plugins"} {
		var conns []net.Conn
		for status := 200; status != http.StatusTooManyRequests; {
			if len(conns) > 30 {
				t.Fatalf("%s: %d answers are not taken, and %d bytes held", path, len(conns), s.server.Held())
			}
			conn, before := s.dial(t), s.server.Held()
			if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
			first, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			status, _ = strconv.Atoi(strings.Fields(first)[1])
			if held := s.server.Held(); held > limit || status == http.StatusOK && held < before+1<<20 {
				t.Fatalf("%s: %d bytes are held, before %d", path, held, before)
			}
			conns = append(conns, conn)
		}
		if status, _, body := s.do(t, http.MethodGet, "/v1/stats", "", ""); status != http.StatusOK {
			t.Errorf("%s: figures: status %d, %s", path, status, body)
		}
		for _, conn := range conns {
			conn.Close()
		}
		await(t, func() bool { return s.server.Held() == 0 })
	}
}
