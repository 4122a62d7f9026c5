package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/server"
)

// TestLoading asks for a transform while a plugin is loaded that may have it.
func TestLoading(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := hosted.Start(t, host.Config{StartEmpty: true, Accept: func(context.Context, host.Source) error {
		entered <- struct{}{}
		<-release
		return nil
	}})
	s, err := server.New(h, resonance.Codecs(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	run := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/transforms/swap", strings.NewReader("x"))
		r.Header.Set("Content-Type", "text/plain")
		s.Handler().ServeHTTP(w, r)
		return w
	}
	if w := run(); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	deployed := make(chan error)
	go func() {
		_, err := h.Deploy(t.Context(), host.Source{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})})
		deployed <- err
	}()
	<-entered
	if w := run(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "being loaded, and may have it: swap") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	if err := <-deployed; err != nil {
		t.Error(err)
	}
	if w := run(); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestChangePlugins(t *testing.T) {
	sandbox := host.Config{Plugins: []host.Source{{Name: "file", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}}}
	inline := host.Config{Mode: host.ModeInline, Native: []host.Native{cascade.New()}}
	for _, c := range []struct {
		cfg          host.Config
		method, path string
		status       int
		want         string
	}{
		{sandbox, http.MethodPost, "swap/pause", http.StatusOK, `"version":"v1"`},
		{sandbox, http.MethodPost, "file/pause", http.StatusOK, `"paused":true`},
		{sandbox, http.MethodPost, "file/resume", http.StatusOK, `"paused":false`},
		{sandbox, http.MethodPost, "swop/pause", http.StatusNotFound, `"kind":"unknown_plugin"`},
		{sandbox, http.MethodPost, "swap/promote", http.StatusConflict, "there is no canary"},
		{sandbox, http.MethodPost, "swap/rollback", http.StatusConflict, "there is no earlier version"},
		{sandbox, http.MethodPost, "swap/reload", http.StatusConflict, "there is no plugin directory"},
		{sandbox, http.MethodPost, "swap/explode", http.StatusNotFound, `"kind":"not_found"`},
		{sandbox, http.MethodGet, "swap/pause", http.StatusMethodNotAllowed, "the method must be POST"},
		{inline, http.MethodPost, "cascade/pause", http.StatusConflict, "the host's plugins are fixed: ModeInline has none to load"},
	} {
		t.Run(c.path, func(t *testing.T) {
			h, err := host.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer h.Close(t.Context())
			s, err := server.New(h, resonance.Codecs(), server.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequest(c.method, "/v1/plugins/"+c.path, http.NoBody))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s, want %d with %s", w.Code, w.Body, c.status, c.want)
			}
		})
	}
}
