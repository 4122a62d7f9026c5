package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// tested is a companion file of the guest "swap" with a self-test that has that name.
func tested(name, tag string) []byte {
	return []byte("self_tests:\n- {name: " + name + ", transform: swap, input: '', output: " + guesttest.SwapTag(tag) + "}\n")
}

// both is the hash of a binary and its companion file.
func both(wasm, file []byte) string {
	sum := sha256.Sum256(append(wasm[:len(wasm):len(wasm)], file...))
	return hex.EncodeToString(sum[:])
}

// TestCompanionIsPartOfAVersion changes the companion file alone.
func TestCompanionIsPartOfAVersion(t *testing.T) {
	h := swapHost(t, nil)
	with := func(file []byte) host.Source {
		s := tagged(t, "v1")
		s.Companion = file
		return s
	}
	plain := h.Plugins()[0].Hash
	deploy(t, h, with(tested("a", "v1")), host.DeploySwapped)
	deploy(t, h, with(tested("a", "v1")), host.DeployUnchanged)
	p := h.Plugins()[0]
	if want := both(tagged(t, "v1").WASM, tested("a", "v1")); p.Hash != want || p.Previous != plain || p.Kind != "native" {
		t.Errorf("%+v, want the hash %s, and before it %s", p, want, plain)
	}
	deploy(t, h, with(tested("b", "v1")), host.DeploySwapped)
	if now := h.Plugins()[0]; now.Hash == p.Hash || now.Previous != p.Hash {
		t.Errorf("%+v after %+v", now, p)
	}
	if err := h.Rollback(t.Context(), "swap", 0); err != nil || h.Plugins()[0].Hash != p.Hash {
		t.Errorf("%+v, %v, want %s back", h.Plugins()[0], err, p.Hash)
	}
	for file, want := range map[string]string{
		"self_tests: []\nself_test: []": `plugin swap: swap.plugin.yaml:2: the file has no member "self_test"; did you mean "self_tests"?`,
		"version: 1\n":                  "plugin swap: swap.plugin.yaml:1: version: a native plugin says that of itself, in its manifest",
		"kind: nativ":                   `plugin swap: swap.plugin.yaml:1: there is no kind "nativ", but native`,
		string(tested("c", "v2")):       `plugin swap: self-test 0 "c" of swap: output`,
	} {
		_, err := h.Deploy(t.Context(), with([]byte(file)))
		if e := (*host.LoadError)(nil); !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
	answers(t, h, "", guesttest.SwapTag("v1"))
}

// TestWatchCompanion has the file come, change and go beside a plugin, over restarts.
func TestWatchCompanion(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	wasm := guesttest.Swap(t, guesttest.Version{Tag: "v1"})
	save(t, dir, "swap.wasm", wasm)
	first, second := tested("a", "v1"), tested("b", "v1")
	serves := func(w *watched, file []byte) {
		t.Helper()
		if p := w.Plugins()[0]; p.Hash != both(wasm, file) || p.Failure != nil {
			t.Fatalf("%+v, want what has the hash %s", p, both(wasm, file))
		}
	}
	session := func(f func(*watched)) {
		w := watch(t, dir, cache, nil)
		w.await(event.PluginReady)
		f(w)
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	session(func(w *watched) {
		serves(w, nil)
		save(t, dir, "swap.plugin.yaml", first)
		if e := w.await(event.PluginSwapped); e.Hash != both(wasm, first) {
			t.Errorf("%+v", e)
		}
		save(t, dir, "swap.plugin.yaml", []byte("kin: native"))
		if e := w.await(event.PluginRefused); !strings.Contains(e.Detail, `swap.plugin.yaml:1: the file has no member "kin"; did you mean "kind"?`) {
			t.Errorf("%+v", e)
		}
		save(t, dir, "swap.plugin.yaml", second)
		w.await(event.PluginSwapped)
		serves(w, second)
	})
	session(func(w *watched) { // it is kept
		serves(w, second)
		if err := w.Rollback(t.Context(), "swap", 0); err != nil {
			t.Fatal(err)
		}
		w.await(event.PluginRolledBack)
		if p := w.Plugins()[0]; p.Hash != both(wasm, first) {
			t.Errorf("%+v", p)
		}
	})
	session(func(w *watched) { // what was rolled back is let be
		if p := w.Plugins()[0]; p.Hash != both(wasm, first) || p.Failure == nil {
			t.Errorf("%+v", p)
		}
		if err := os.Remove(filepath.Join(dir, "swap.plugin.yaml")); err != nil {
			t.Fatal(err)
		}
		w.await(event.PluginSwapped)
		serves(w, nil)
	})
}
