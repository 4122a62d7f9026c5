package server_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

// TestADefectKeepsItsKey has handlers that panic once they have done something: a second request is not done.
func TestADefectKeepsItsKey(t *testing.T) {
	var done atomic.Int64
	broken := func(begin bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !server.HeedKey(w, r) {
				return
			}
			done.Add(1)
			if begin {
				w.WriteHeader(http.StatusAccepted)
			}
			panic("a defect")
		}
	}
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.Routes = []server.Route{
			{Method: http.MethodPost, Path: "/v1/before", Handler: broken(false), Doc: server.Operation{Summary: "breaks before its answer"}},
			{Method: http.MethodPost, Path: "/v1/within", Handler: broken(true), Doc: server.Operation{Summary: "breaks within its answer"}},
		}
	})
	for i, path := range []string{"/v1/before", "/v1/within"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(server.HeaderIdempotencyKey, path)
		if resp, err := s.Client().Do(r); err == nil { // else the answer was cut short
			resp.Body.Close()
		}
		status, head, body := s.do(t, http.MethodPost, path, "", "", server.HeaderIdempotencyKey, path)
		if status != http.StatusInternalServerError || head.Get(server.HeaderReplayed) != "true" || !strings.Contains(body, "the server has a defect") {
			t.Errorf("%s again: %d %v %s", path, status, head, body)
		}
		if got := done.Load(); got != int64(i+1) {
			t.Errorf("%s was done, all together, %d times", path, got)
		}
	}
}

// TestRoutes has routes of an embedder's own, two of one path, which are as the server's own are.
func TestRoutes(t *testing.T) {
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.Routes = []server.Route{
			{
				Method: http.MethodGet, Path: "/v1/things/{id}", Handler: says("read"), Query: []server.Parameter{{Name: "wait"}},
				Doc: server.Operation{Summary: "reads a thing"},
			},
			{Method: http.MethodDelete, Path: "/v1/things/{id}", Handler: says("deleted")},
		}
	})
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{http.MethodGet, "/v1/things/a?wait=1", http.StatusOK, "read"},
		{http.MethodDelete, "/v1/things/a", http.StatusOK, "deleted"},
		{http.MethodDelete, "/v1/things/a?wait=1", http.StatusBadRequest, "wait: is not a known parameter; there are none here"},
		{http.MethodGet, "/v1/things/a?wate=1", http.StatusBadRequest, `wate: is not a known parameter`},
		{http.MethodPut, "/v1/things/a", http.StatusMethodNotAllowed, "the method must be GET or HEAD or DELETE"},
		{http.MethodGet, "/", http.StatusOK, "GET /v1/things/{id}               reads a thing\nDELETE /v1/things/{id}\n"},
		{http.MethodGet, "/metrics", http.StatusOK, `resonhost_http_requests_total{code="200",route="DELETE /v1/things/{id}"} 1`},
	} {
		status, header, body := s.do(t, c.method, c.path, "", "")
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: status %d, %s; want %d, %s", c.method, c.path, status, body, c.status, c.want)
		}
		if allow := header.Get("Allow"); status == http.StatusMethodNotAllowed && allow != "GET, HEAD, DELETE, OPTIONS" {
			t.Errorf("Allow: %s", allow)
		}
	}
}

// TestRoutesThatCannotBe has routes that a server refuses.
func TestRoutesThatCannotBe(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}})
	if err != nil {
		t.Fatal(err)
	}
	handler := func(http.ResponseWriter, *http.Request) {}
	for name, c := range map[string]struct {
		route server.Route
		want  string
	}{
		"no method":    {server.Route{Path: "/a", Handler: handler}, `Routes: must each have a method, a path that begins with / and a handler; " /a" does not`},
		"no path":      {server.Route{Method: "GET", Path: "a", Handler: handler}, `Routes: must each have`},
		"no handler":   {server.Route{Method: "GET", Path: "/a"}, `Routes: must each have`},
		"there twice":  {server.Route{Method: "GET", Path: "/v1/plugins", Handler: handler}, `Routes: must not have GET /v1/plugins twice, or as the server has it`},
		"all paths":    {server.Route{Method: "GET", Path: "/", Handler: handler}, `Routes: pattern "/v1/transforms/{name}"`},
		"in two parts": {server.Route{Method: "POST", Path: "/v1/{any}/x", Handler: handler}, `Routes: pattern "POST /v1/{any}/x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := server.New(h, codec.New(), server.Options{Routes: []server.Route{c.route}})
			if field := (*abi.FieldError)(nil); !errors.As(err, &field) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
