//go:build client

package apitest

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

// TestClient has a client generated of the document, compiled, and run: it calls every operation. It
// needs Node.js, and what npm ci puts into client.
func TestClient(t *testing.T) {
	bus := event.New(0)
	t.Cleanup(func() { _ = bus.Close(t.Context()) })
	s := start(t, func(cfg *host.Config, o *server.Options) {
		cfg.Plugins = []host.Source{
			{Name: "cascade", WASM: guesttest.Build(t, guesttest.Cascade)}, {Name: "tick", WASM: guesttest.Build(t, guesttest.Tick)},
		}
		cfg.Events, o.Events = bus, bus
	})
	var mu sync.Mutex
	called := make(map[string]bool) // "METHOD path"
	handler := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		called[r.Method+" "+r.URL.Path] = true
		mu.Unlock()
		handler.ServeHTTP(w, r)
	})

	dir := t.TempDir()
	at, err := filepath.Abs("client")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.ts", "package.json", "tsconfig.json", "node_modules"} {
		if err := os.Symlink(filepath.Join(at, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), s.doc, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{
		{"node_modules/.bin/openapi-typescript", "openapi.json", "--default-non-nullable=false", "-o", "schema.d.ts"},
		{"node_modules/.bin/tsc", "--preserveSymlinks", "--outDir", "out"},
		{"node", "--preserve-symlinks", "--preserve-symlinks-main", "out/main.js", s.URL},
	} {
		cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, out)
		}
	}

	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(s.doc, &doc); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for path, operations := range doc.Paths {
		for method := range operations {
			if !reached(called, strings.ToUpper(method), path) {
				t.Errorf("client/main.ts does not call %s %s", method, path)
			}
		}
	}
}

// reached reports whether an operation was called. What stands for a parameter is anything.
func reached(called map[string]bool, method, path string) bool {
	want := strings.Split(path, "/")
	for of := range called {
		m, p, _ := strings.Cut(of, " ")
		got := strings.Split(p, "/")
		same := m == method && len(got) == len(want)
		for i := 0; same && i < len(want); i++ {
			same = got[i] == want[i] || strings.HasPrefix(want[i], "{")
		}
		if same {
			return true
		}
	}
	return false
}
