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
	"github.com/resonhost/resonhost/internal/hosted"
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

// TestMaxPages has the bound of a companion file hold for each kind, and what a kind has no use for
// refused.
func TestMaxPages(t *testing.T) {
	cfg := host.Config{Mode: host.ModeSandbox}
	for guest, more := range map[string]string{"hostile": "", "upper": "", "program": "", "wapc": "transforms: [{name: wapc, operation: echo}]", "extism": "kind: extism"} {
		s := handWritten(t, guest)
		s.Companion = []byte("max_pages: 60000\n" + more)
		if _, err := host.Inspect(t.Context(), s, cfg); err != nil {
			t.Errorf("%s with enough: %v", guest, err)
		}
	}
	hostile := handWritten(t, "hostile")
	hostile.Companion = []byte("max_pages: 1")
	if _, err := host.Inspect(t.Context(), hostile, cfg); err == nil || !strings.Contains(err.Error(), "its companion file or manifest allows 65536: raise max_pages") {
		t.Errorf("too few: %v", err)
	}
	hostile.Companion = []byte("max_pages: 100")
	h := hosted.Start(t, host.Config{Plugins: []host.Source{hostile}})
	if _, err := h.Run(t.Context(), "hostile.grow", []byte("!")); host.KindOf(err) != host.KindOutOfMemory || !strings.Contains(err.Error(), "the plugin's limit is 6553600 (max_pages of its companion file or manifest)") {
		t.Errorf("a guest that grows: %v", err)
	}
	hostile.Companion = []byte("timeout_ms: 5\nmax_variable_bytes: 1")
	if _, err := host.Inspect(t.Context(), hostile, cfg); err == nil || !strings.Contains(err.Error(), ":1: timeout_ms: a native plugin says that of itself") || !strings.Contains(err.Error(), ":2: max_variable_bytes: ") {
		t.Errorf("keys of other kinds: %v", err)
	}
}

// TestTestsHaveOneForm has a test written in the same way in a companion file and beside the plugin: a
// string for bytes, as input and output, and error for what fails.
func TestTestsHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		test   string
		passes bool
	}{
		{`{"transform": "program", "input": "abc", "output": "abc"}`, true},
		{`{"transform": "program", "input": "abc", "output": {"base64": "YWJj"}}`, true},
		{`{"transform": "program", "input": "abc", "output": "abd"}`, false},
		{`{"transform": "program", "input": "abc", "output": null}`, false},
		{`{"transform": "program.fail", "input": "abc", "error": "failed"}`, true},
		{`{"transform": "program.fail", "input": "abc", "error": "invalid_argument"}`, false},
	} {
		const transforms = "transforms: [{name: program}, {name: program.fail, arguments: [fail]}]\n"
		within, beside := handWritten(t, "program"), handWritten(t, "program")
		within.Companion = []byte(transforms + "self_tests: [" + c.test + "]")
		beside.Companion, beside.Tests = []byte(transforms), []byte(c.test)
		for place, s := range map[string]host.Source{"companion": within, "beside": beside} {
			_, err := host.Inspect(t.Context(), s, host.Config{})
			if (err == nil) != c.passes {
				t.Errorf("%s, %s: %v, passes: %v", c.test, place, err, c.passes)
			}
		}
	}
}
