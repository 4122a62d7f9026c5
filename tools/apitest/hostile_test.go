package apitest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

// operation is what the document says of a method of a path.
type operation struct {
	method, path string

	Parameters []struct {
		Name    string `json:"name"`
		In      string `json:"in"`
		Example any    `json:"example"`
		Schema  struct {
			Enum []string `json:"enum"`
		} `json:"schema"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]json.RawMessage `json:"content"`
	} `json:"requestBody"`
	Responses map[string]json.RawMessage `json:"responses"`
}

// operations are all of the document, in order.
func (s *service) operations(t testing.TB) (all []*operation) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]*operation `json:"paths"`
	}
	if err := json.Unmarshal(s.doc, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b *operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// attacker makes requests by the document, and then what the document does not have. The same seed makes
// the same requests.
type attacker struct {
	*rand.Rand

	ops []*operation
}

// one of some.
func one[T any](a *attacker, of ...T) T { return of[a.IntN(len(of))] }

// text is what a parameter or a piece of a body may be.
func (a *attacker) text() string {
	return one(a, "", "cascade", "tick", "hostile.echo", "hostile.trap", "n", "pause", "reload", "0", "-1", "9999999999999999999", "1e400", "true", "30s", "wait=1",
		"..", "../../etc/passwd", "%00", "%2f%2f", "a b", "é", "\x00", "\xff\xfe", "{}", "*", "<script>", strings.Repeat("a", 300), strings.Repeat("A/", 2000))
}

// body is one that a task, a job or a network may have, or none of them.
func (a *attacker) body() []byte {
	whole := one(a, `{}`, `"text"`, `!23456789`, `{"base64":"ISEhISEhISE="}`, `{"timestamp": 6, "phiValue": 1.5}`, `{"transform":"hostile.echo","input":"x"}`, `{"transform":"cascade","input":{},"timeout":"1ns"}`,
		`{"now_ms": 1, "nodes": [{"id": "a"}]}`, `{"id":"n","node_period":"1s"}`, `{"a":"a","b":"b"}`, "", "\x00", "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00", "{}\n{}\n{}\n",
		`{"a":`+strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 5000), strings.Repeat(" ", 9000), `{"phiValue":1e999}`, "\"\\ud800\"", "{}\n!\n\n\"x\"\n")
	b := []byte(whole)
	switch a.IntN(4) {
	case 0: // some bytes are others
		for range 1 + a.IntN(4) {
			if len(b) > 0 {
				b[a.IntN(len(b))] = byte(a.IntN(256))
			}
		}
	case 1: // cut off
		b = b[:a.IntN(len(b)+1)]
	}
	return b
}

// request is the next. op is nil if no operation of the document has its method and path.
func (a *attacker) request(base string) (r *http.Request, op *operation, err error) {
	op = a.ops[a.IntN(len(a.ops))]
	path := op.path
	query, header := "", http.Header{}
	for _, p := range op.Parameters {
		value := a.text()
		if len(p.Schema.Enum) > 0 && a.IntN(3) > 0 {
			value = one(a, p.Schema.Enum...)
		}
		if example, ok := p.Example.(string); ok && a.IntN(3) == 0 {
			value = example
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", escape(value))
		case a.IntN(2) == 0: // not there
		case p.In == "query":
			query += "&" + escape(p.Name) + "=" + escape(value)
		default:
			header.Set(p.Name, strings.Map(func(c rune) rune {
				if c < ' ' || c > '~' {
					return -1 // what Go's client does not send
				}
				return c
			}, value))
		}
	}
	if a.IntN(20) == 0 {
		query += "&" + one(a, "%zz", "frob=1", "name=a&name=b", ";", strings.Repeat("&", 1000))
	}
	method := op.method
	if a.IntN(10) == 0 {
		method, op = one(a, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"), nil
	}
	body := a.body()
	types := []string{"application/json", server.MediaTypeLines, "text/plain", "application/octet-stream", "multipart/form-data", "a", "application/json; charset=utf-16", "", "*/*"}
	if op != nil {
		for t := range op.RequestBody.Content {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	header.Set("Content-Type", one(a, types...))
	switch coding := one(a, "", "", "gzip", "zstd", "br", "identity", "gzip, gzip"); coding {
	case "":
	case "gzip":
		if a.IntN(2) == 0 {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = w.Write(bytes.Repeat(body, 1+a.IntN(2000)))
			_ = w.Close()
			body = b.Bytes()
		}
		fallthrough
	default:
		header.Set("Content-Encoding", coding)
	}
	if a.IntN(3) == 0 {
		header.Set("Accept-Encoding", one(a, "gzip", "zstd", "*;q=0", "identity;q=0", "gzip;q=x"))
	}
	if a.IntN(10) == 0 {
		header.Set(one(a, "Resonhost-Tenant", "Resonhost-Tenat", "Idempotency-Key", "Origin", "Authorization", "Accept"), one(a, "a", "null", "Bearer x", strings.Repeat("k", 300)))
	}
	r, err = http.NewRequestWithContext(context.Background(), method, base+path+"?"+strings.TrimPrefix(query, "&"), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header = header
	return r, op, nil
}

// escape is url.PathEscape, and sometimes leaves what the URL's parser takes as it is.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
	}
	return b.String()
}

// hostile starts a server for an attacker.
func hostile(t testing.TB) *service {
	bus := event.New(16)
	t.Cleanup(func() { _ = bus.Close(context.Background()) })
	return start(t, func(cfg *host.Config, o *server.Options) {
		cfg.Plugins = append(cfg.Plugins, host.Source{Name: "cascade", WASM: guesttest.Build(t, guesttest.Cascade)}, host.Source{Name: "tick", WASM: guesttest.Build(t, guesttest.Tick)})
		cfg.Defaults.RunTimeout, cfg.Defaults.MaxFuel = 10*time.Second, 1<<22
		cfg.Events, o.Events = bus, bus
		o.MaxBody = 64 << 10
	})
}

// send sends a request, and holds what comes to what the document says.
func (s *service) send(t testing.TB, r *http.Request, op *operation) {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	resp, err := s.Client().Do(r.WithContext(ctx))
	at := r.Method + " " + r.URL.String()
	if err != nil {
		t.Fatalf("%.300s: %v", at, err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return // it has no end
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil && resp.StatusCode < 300 {
		return // an answer that was cut short, of lines that broke off
	}
	if resp.StatusCode < 400 {
		return
	}
	var problem api.Error
	if r.Method != http.MethodHead {
		if err := json.Unmarshal(body, &problem); err != nil || problem.Status != resp.StatusCode || resp.Header.Get("Content-Type") != api.MediaTypeProblem {
			t.Errorf("%.300s: status %d, %s, %.200s", at, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	}
	if resp.StatusCode < 500 {
		return
	}
	if problem.Kind == host.KindHost {
		t.Errorf("%.300s with %.200v: a defect: %s", at, r.Header, problem.Detail)
	}
	if op == nil || op.Responses[strconv.Itoa(resp.StatusCode)] == nil {
		t.Errorf("%.300s: status %d, which the document does not have: %.200s", at, resp.StatusCode, body)
	}
}

// TestHostileClient has a client send thousands of requests that are nearly those of the document, to every
// path, with every kind of body. No answer is a failure of the server's, and nothing stays behind.
func TestHostileClient(t *testing.T) {
	s := hostile(t)
	a := &attacker{Rand: rand.New(rand.NewPCG(1, 2)), ops: s.operations(t)}
	for range 200 { // what is made once
		s.attack(t, a)
	}
	goroutines, descriptors := s.settled(t, 1<<20, 1<<20)
	for range 3000 {
		s.attack(t, a)
	}
	s.settled(t, goroutines+20, descriptors+20)
	metrics := s.get(t, "/metrics")
	if !strings.Contains(metrics, "\nresonhost_http_panics_total 0\n") {
		t.Error("a handler has panicked")
	}
}

// attack sends the next request of an attacker that a client can send.
func (s *service) attack(t testing.TB, a *attacker) {
	t.Helper()
	if r, op, err := a.request(s.URL); err == nil {
		s.send(t, r, op)
	}
}

// settled waits until the process has at most so many goroutines and descriptors, and returns how many it
// has.
func (s *service) settled(t testing.TB, goroutines, descriptors int) (int, int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.Client().CloseIdleConnections()
		open, _ := os.ReadDir("/proc/self/fd")
		g, d := runtime.NumGoroutine(), len(open)
		held := !strings.Contains(s.get(t, "/metrics"), "\nresonhost_http_held_bytes 0\n")
		if g <= goroutines && d <= descriptors && !held {
			return g, d
		}
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			t.Fatalf("%d goroutines of %d, %d descriptors of %d, bytes held: %v\n%s", g, goroutines, d, descriptors, held, b[:runtime.Stack(b, true)])
		}
	}
}

func (s *service) get(t testing.TB, path string) string {
	t.Helper()
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzHostileClient goes on from any seed.
func FuzzHostileClient(f *testing.F) {
	s := hostile(f)
	ops := s.operations(f)
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, x, y uint64) {
		a := &attacker{Rand: rand.New(rand.NewPCG(x, y)), ops: ops}
		for range 10 {
			s.attack(t, a)
		}
	})
}
