package serve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
)

// taker is a client that takes an answer after something else.
type taker struct {
	*httptest.ResponseRecorder

	first func()
}

func (w *taker) Write(p []byte) (int, error) {
	if w.first != nil {
		first := w.first
		w.first = nil
		first()
	}
	return w.ResponseRecorder.Write(p)
}

// TestHeld has lists that are not taken yet count among the bytes held, and refused beyond them.
func TestHeld(t *testing.T) {
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{tick.New()}})
	s, err := serve.New(h, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	web, err := server.New(h, resonance.Codecs(), server.Options{Routes: s.Routes(), MaxBody: 1 << 10, MaxHeld: 3 << 19})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	do := func(method, path, body string, first func()) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		if body != "" {
			r = httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		}
		r.Header.Set("Content-Type", "application/json")
		w := &taker{httptest.NewRecorder(), first}
		web.Handler().ServeHTTP(w, r)
		return w.ResponseRecorder
	}
	do(http.MethodPost, "/v1/networks", `{"id": "n", "node_period": "1h"}`, nil)
	const nodes = 2000
	for i := range nodes {
		if w := do(http.MethodPost, "/v1/networks/n/nodes", fmt.Sprintf(`{"id": "%0128d", "state": "stopped"}`, i), nil); w.Code != http.StatusCreated {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	const list = "/v1/networks/n/nodes?limit=2000"
	held := func() (n float64) {
		for line := range strings.Lines(do(http.MethodGet, "/metrics", "", nil).Body.String()) {
			if text, ok := strings.CutPrefix(line, "resonhost_http_held_bytes "); ok {
				if _, err := fmt.Sscan(text, &n); err != nil {
					t.Fatal(err)
				}
			}
		}
		return n
	}
	w := do(http.MethodGet, list, "", func() {
		if n := held(); n < nodes*200 {
			t.Errorf("%v bytes are held while a list is not taken", n)
		}
		if w := do(http.MethodGet, list, "", nil); w.Code != http.StatusTooManyRequests {
			t.Errorf("a second list: %d, %d bytes", w.Code, w.Body.Len())
		}
		if w := do(http.MethodGet, "/v1/networks", "", nil); w.Code != http.StatusOK {
			t.Errorf("a short list: %d %s", w.Code, w.Body)
		}
	})
	if body, err := io.ReadAll(w.Body); w.Code != http.StatusOK || len(body) < nodes*200 || err != nil || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v, %d bytes, %v", w.Code, w.Header(), len(body), err)
	}
	if n := held(); n != 0 {
		t.Errorf("%v bytes are held in the end", n)
	}
}
