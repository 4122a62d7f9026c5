package server_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

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
