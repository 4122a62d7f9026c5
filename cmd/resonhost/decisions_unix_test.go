//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// plugins returns the plugins of a server by their sources.
func (s *serving) plugins(t *testing.T) map[string]api.Plugin {
	t.Helper()
	code, body := s.get(t, "/v1/plugins")
	var list api.Plugins
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	all := make(map[string]api.Plugin)
	for _, p := range list.Plugins {
		all[p.Source] = p
	}
	return all
}

// TestDecisionsOutlive kills a host with a plugin that is paused, one that was rolled back, and one
// whose canary is half-way. The next host goes on so. The cache has the versions, and nothing of what
// was decided.
func TestDecisionsOutlive(t *testing.T) {
	dir, cache, states := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "states")
	place := func(source, tag string) {
		t.Helper()
		wasm := guesttest.Swap(t, guesttest.Version{Tag: tag, Manifest: fmt.Sprintf(
			`{"name": %q, "version": %q, "transforms": [{"name": %q, "input": "text/plain", "output": "text/plain", "state_bytes": 16}]}`, source, tag, source)})
		temp := filepath.Join(dir, "."+source)
		if err := os.WriteFile(temp, wasm, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(dir, source+".wasm")); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{"paused", "pinned", "trying"} {
		place(source, "v1")
	}
	args := []string{"--plugins", dir, "--cache-dir", cache, "--state-dir", states, "--canary", "0.5", "--canary-time", "1h", "--poll", "100ms"}
	c := startChild(t, "", args...)
	for _, source := range []string{"pinned", "trying"} {
		place(source, "v2")
	}
	awaitPlugins := func(s *serving, what string, holds func(map[string]api.Plugin) bool) {
		t.Helper()
		for began := time.Now(); !holds(s.plugins(t)); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("not %s: %+v", what, s.plugins(t))
			}
		}
	}
	awaitPlugins(&c.serving, "on trial", func(all map[string]api.Plugin) bool {
		return all["pinned"].Canary != nil && all["trying"].Canary != nil
	})
	for _, path := range []string{"/v1/plugins/paused/pause", "/v1/plugins/pinned/rollback"} {
		if code, body := c.bare(t, http.MethodPost, path); code/100 != 2 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end(t)
	if err := os.RemoveAll(filepath.Join(cache, "plugins")); err != nil {
		t.Fatal(err)
	}

	d := startRun(t, args...)
	awaitPlugins(&d.serving, "as they were", func(all map[string]api.Plugin) bool {
		paused, pinned, trying := all["paused"], all["pinned"], all["trying"]
		return paused.Paused && pinned.Version == "v1" && pinned.Canary == nil && !pinned.Paused &&
			trying.Version == "v1" && trying.Canary != nil && trying.Canary.Version == "v2"
	})
	d.rest(t)
}
