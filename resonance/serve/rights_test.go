package serve_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// guarded is a service whose callers have tokens.
type guarded struct {
	t       *testing.T
	service *serve.Service
	server  *server.Server
	known   *auth.Identity
}

func guard(t *testing.T) *guarded {
	t.Helper()
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{tick.New()}})
	s, err := serve.New(h, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	known := auth.New(auth.Options{})
	web, err := server.New(h, resonance.Codecs(), server.Options{Identity: known, Routes: s.Routes()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := web.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &guarded{t, s, web, known}
}

// set replaces the lines of tokens.
func (g *guarded) set(lines ...string) {
	g.t.Helper()
	if _, err := g.known.SetTokens([]byte(strings.Join(lines, "\n"))); err != nil {
		g.t.Fatal(err)
	}
}

// do sends a request, and returns the answer, which must have the status.
func (g *guarded) do(ctx context.Context, status int, token, method, path, body string) string {
	g.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, "/v1/networks"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	g.server.Handler().ServeHTTP(w, r)
	if w.Code != status {
		g.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, w.Code, w.Body, status)
	}
	return w.Body.String()
}

// TestGrants has callers who may call some of the transforms.
func TestGrants(t *testing.T) {
	g := guard(t)
	full, hash := auth.NewToken()
	none, noneHash := auth.NewToken()
	nodes, nodesHash := auth.NewToken()
	g.set("all "+hash+" scopes=call tenant=t", "none "+noneHash+" scopes=call tenant=t transforms=cascade",
		"nodes "+nodesHash+" scopes=call tenant=t transforms=tick.node,tick.network")
	ctx := t.Context()
	g.do(ctx, 403, none, http.MethodPost, "", `{"id": "n"}`)
	g.do(ctx, 404, full, http.MethodGet, "/n", ``)
	g.do(ctx, 201, nodes, http.MethodPost, "", `{"id": "n"}`)
	for _, id := range []string{"a", "b"} {
		g.do(ctx, 201, nodes, http.MethodPost, "/n/nodes", `{"id": "`+id+`"}`)
	}
	g.do(ctx, 403, none, http.MethodPost, "/n/nodes", `{"id": "c"}`)
	g.do(ctx, 403, none, http.MethodPost, "/n/nodes/a/resume", ``)
	g.do(ctx, 200, none, http.MethodPost, "/n/nodes/a/stop", ``)
	for _, token := range []string{none, nodes} {
		g.do(ctx, 403, token, http.MethodPost, "/n/connections", `{"a": "a", "b": "b"}`)
	}
	if s := g.service.Stats(); s.Nodes != 2 || s.Active != 1 || s.Connections != 0 {
		t.Errorf("%+v", s)
	}
	g.do(ctx, 201, full, http.MethodPost, "/n/connections", `{"a": "a", "b": "b"}`)
}

// TestRate has what is made counted as tasks are.
func TestRate(t *testing.T) {
	g := guard(t)
	token, hash := auth.NewToken()
	g.set("ann " + hash + " scopes=call rate=1/h burst=4")
	ctx := t.Context()
	g.do(ctx, 400, token, http.MethodPost, "", `{"id": "a/b"`) // which is not counted
	g.do(ctx, 201, token, http.MethodPost, "", `{"id": "n"}`)
	for _, id := range []string{"a", "b"} {
		g.do(ctx, 201, token, http.MethodPost, "/n/nodes", `{"id": "`+id+`"}`)
	}
	g.do(ctx, 201, token, http.MethodPost, "/n/connections", `{"a": "a", "b": "b"}`)
	for path, body := range map[string]string{"": `{}`, "/n/nodes": `{}`, "/n/connections": `{"a": "a", "b": "b"}`} {
		if got := g.do(ctx, 429, token, http.MethodPost, path, body); !strings.Contains(got, "rate_limited") {
			t.Errorf("%s", got)
		}
	}
	g.do(ctx, 204, token, http.MethodDelete, "/n", ``)
}

// TestWithdrawn ends a network when the last who used it is withdrawn, and no sooner.
func TestWithdrawn(t *testing.T) {
	g := guard(t)
	before, beforeHash := auth.NewToken()
	after, afterHash := auth.NewToken()
	g.set("ann " + beforeHash + "," + afterHash + " scopes=call")
	ctx := t.Context()
	for _, id := range []string{"kept", "left"} {
		g.do(ctx, 201, before, http.MethodPost, "", `{"id": "`+id+`", "node_period": "1ms"}`)
	}
	g.do(ctx, 200, after, http.MethodGet, "/kept", ``)
	list := func() string { return g.do(ctx, 200, after, http.MethodGet, "", ``) }
	g.set("ann " + afterHash + " scopes=call")
	for strings.Contains(list(), `"left"`) {
		time.Sleep(time.Millisecond)
	}
	if got := list(); !strings.Contains(got, `"kept"`) {
		t.Errorf("a replaced token has ended a network: %s", got)
	}
	g.set()
	for ticks := g.service.Stats().NowMS; ticks > 0; ticks = g.service.Stats().NowMS { // of networks there are
		time.Sleep(time.Millisecond)
	}
}

// TestDraining refuses what would have the server do more.
func TestDraining(t *testing.T) {
	g := guard(t)
	token, hash := auth.NewToken()
	g.set("ann " + hash + " scopes=call")
	ctx := t.Context()
	g.do(ctx, 201, token, http.MethodPost, "", `{"id": "n"}`)
	for _, id := range []string{"a", "b"} {
		g.do(ctx, 201, token, http.MethodPost, "/n/nodes", `{"id": "`+id+`"}`)
	}
	g.server.SetDraining()
	for path, body := range map[string]string{"": `{}`, "/n/nodes": `{}`, "/n/connections": `{"a": "a", "b": "b"}`, "/n/nodes/a/resume": ``} {
		if got := g.do(ctx, 503, token, http.MethodPost, path, body); !strings.Contains(got, "draining") {
			t.Errorf("%s", got)
		}
	}
	g.do(ctx, 200, token, http.MethodPost, "/n/nodes/a/stop", ``)
	g.do(ctx, 204, token, http.MethodDelete, "/n", ``)
}

// TestDeletedByAClientWhoLeaves deletes a network whatever becomes of the request.
func TestDeletedByAClientWhoLeaves(t *testing.T) {
	g := guard(t)
	token, hash := auth.NewToken()
	g.set("ann " + hash + " scopes=call")
	g.do(t.Context(), 201, token, http.MethodPost, "", `{"id": "n", "node_period": "1ms"}`)
	gone, leave := context.WithCancel(t.Context())
	leave()
	g.do(gone, 204, token, http.MethodDelete, "/n", ``)
	g.do(t.Context(), 404, token, http.MethodGet, "/n", ``)
}
