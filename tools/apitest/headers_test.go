package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// transport are the headers that the document leaves out: HTTP clients, proxies and browsers heed them by
// themselves.
var transport = []string{
	"Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Security-Policy", "Content-Type",
	"Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Date", "Referrer-Policy", "Vary", "X-Accel-Buffering", "X-Content-Type-Options",
}

// headers hold the headers of answers to the document.
type headers struct {
	// paths have what each operation sends, by template, method and status: whether a header is required.
	paths map[string]map[string]map[string]map[string]bool

	mu   sync.Mutex
	sent map[string]bool // "STATUS header"
}

func headersOf(t testing.TB, doc []byte) *headers {
	t.Helper()
	var in struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Headers map[string]struct {
					Required bool `json:"required"`
				} `json:"headers"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(doc, &in); err != nil {
		t.Fatal(err)
	}
	h := &headers{paths: make(map[string]map[string]map[string]map[string]bool), sent: make(map[string]bool)}
	for path, operations := range in.Paths {
		h.paths[path] = make(map[string]map[string]map[string]bool)
		for method, op := range operations {
			of := make(map[string]map[string]bool)
			for status, r := range op.Responses {
				of[status] = make(map[string]bool)
				for name, header := range r.Headers {
					of[status][http.CanonicalHeaderKey(name)] = header.Required
				}
			}
			h.paths[path][strings.ToUpper(method)] = of
		}
	}
	return h
}

// find returns the path of the document that a request's path is of: the one with the fewest parameters.
func (h *headers) find(path string) (found string) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for template := range h.paths {
		of := strings.Split(template, "/")
		same := len(of) == len(parts)
		for i := 0; same && i < len(of); i++ {
			same = of[i] == parts[i] || strings.HasPrefix(of[i], "{")
		}
		if same && (found == "" || strings.Count(template, "{") < strings.Count(found, "{")) {
			found = template
		}
	}
	return found
}

// check holds an answer's headers to the document, both ways.
func (h *headers) check(t *testing.T, r request, resp *http.Response) {
	t.Helper()
	status := fmt.Sprint(resp.StatusCode)
	described, ok := h.paths[h.find(r.path)][r.method][status]
	if !ok {
		t.Errorf("%s %s: the document has no answer %s", r.method, r.path, status)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range resp.Header {
		if _, ok := described[name]; !ok && !slices.Contains(transport, name) {
			t.Errorf("%s %s: the document does not have the header %s of the answer %s", r.method, r.path, name, status)
		}
		h.sent[status+" "+name] = true
	}
	for name, required := range described {
		if required && resp.Header.Get(name) == "" {
			t.Errorf("%s %s: the answer %s lacks the header %s, which the document has in all", r.method, r.path, status, name)
		}
	}
}

// want looks that each header of the document was sent, but for others.
func (h *headers) want(t *testing.T, others ...string) {
	t.Helper()
	lacks := make(map[string]bool)
	for _, operations := range h.paths {
		for _, answers := range operations {
			for status, of := range answers {
				for name := range of {
					if header := status + " " + name; !h.sent[header] && !slices.Contains(others, header) {
						lacks[header] = true
					}
				}
			}
		}
	}
	for header := range lacks {
		t.Errorf("the document has the header %s, which no answer had", header)
	}
}

// replays sends requests twice with a key, and has answers of each status that is kept.
func (s *service) replays(t *testing.T) {
	t.Helper()
	for i, r := range []request{
		{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{}`},
		{method: "POST", path: "/v1/networks", contentType: document, body: `{}`},
		{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{`},
		{method: "POST", path: "/v1/transforms/hostile.trap", contentType: octets, body: "!"},
		{method: "POST", path: "/v1/transforms/hostile.badutf8", contentType: octets, body: "!"},
	} {
		r.header = []string{server.HeaderIdempotencyKey, fmt.Sprintf("replay-%d", i)}
		_, first, _ := s.do(t, r)
		if _, status, kind := s.do(t, r); status != first {
			t.Errorf("%s %s again: status %d, kind %q, before %d", r.method, r.path, status, kind, first)
		}
	}
}

// jobHeaders has a job by its Location, and the headers of a network's parts.
func (s *service) jobHeaders(t *testing.T) {
	t.Helper()
	created := func(r request) string {
		resp, err := s.Client().Do(r.make(t, s.URL))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Header.Get("Location")
	}
	job := created(request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {}}`})
	network := created(request{method: "POST", path: "/v1/networks", contentType: document, body: `{}`})
	node := created(request{method: "POST", path: network + "/nodes", contentType: document, body: `{"id": "a b/c"}`})
	for _, r := range []request{
		{method: "GET", path: job, header: []string{"Prefer", "wait=60"}},
		{method: "GET", path: job + "/results"},
		{method: "GET", path: network},
		{method: "GET", path: node},
	} {
		if valid, status, kind := s.do(t, r); !valid || status != http.StatusOK {
			t.Errorf("%s: valid %v, status %d, kind %q", r.path, valid, status, kind)
		}
	}
	if _, status, kind := s.do(t, request{method: "POST", path: network + "/nodes", contentType: document, body: `{"id": "b"}`}); status != http.StatusCreated {
		t.Errorf("a second node: status %d, kind %q", status, kind)
	}
}

// busyKey sends requests with one key side by side, until one comes while another is under way.
func (s *service) busyKey(t *testing.T) {
	t.Helper()
	for i := 0; !s.kinds[api.KindKeyInUse]; i++ {
		r := request{
			method: "POST", path: "/v1/transforms/hostile.spin", contentType: octets, body: "!",
			header: []string{server.HeaderIdempotencyKey, fmt.Sprintf("busy-%d", i)},
		}
		first, beside := make(chan error), r.make(t, s.URL)
		go func() {
			resp, err := s.Client().Do(beside)
			if err == nil {
				err = resp.Body.Close()
			}
			first <- err
		}()
		_, status, kind := s.do(t, r)
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if kind != host.KindTimeout && kind != api.KindKeyInUse {
			t.Fatalf("status %d, kind %q", status, kind)
		}
	}
}
