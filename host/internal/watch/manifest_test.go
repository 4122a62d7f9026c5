package watch_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/watch"
)

// newManifestBox has manifests of the form "use FILE.": whatever else has "use" in it is a broken one.
func newManifestBox(t *testing.T, files ...string) *box {
	b := newBox(t, files...)
	b.cfg.Gone = 20 * time.Millisecond
	b.cfg.Poll = 20 * time.Millisecond
	parse := func(doc []byte) (path string, err error) {
		path, whole := strings.CutSuffix(strings.TrimPrefix(strings.TrimSpace(string(doc)), "use "), ".")
		if !whole {
			return path, errors.New("half")
		}
		return path, nil
	}
	b.cfg.Manifest = &watch.Manifest{
		Suffix: ".json",
		Files: func(doc []byte) ([]string, bool, error) {
			if !strings.Contains(string(doc), "use") {
				return nil, false, nil
			}
			path, err := parse(doc)
			return []string{path}, true, err
		},
		Assemble: func(f *watch.File, doc []byte) error {
			path, err := parse(doc)
			f.WASM = f.Beside[path]
			clear(f.Beside)
			f.Beside[f.Name+".json"] = doc
			return err
		},
	}
	return b
}

// read returns what is read of the directory, by plugin.
func (b *box) read() map[string]string {
	b.Helper()
	files, err := watch.Read(b.Context(), b.cfg)
	b.must(err)
	all := make(map[string]string)
	for i := range files {
		all[files[i].Name] = text(watch.Change{File: &files[i]})
	}
	return all
}

// TestManifestUnread has the files of a manifest stay its own while the manifest cannot be read.
func TestManifestUnread(t *testing.T) {
	b := newManifestBox(t, "m.json=use impl.wasm.", "impl.wasm=code").make()
	var fails atomic.Bool
	b.w.SetOpen(func(path string) (*os.File, error) {
		if fails.Load() && strings.HasSuffix(path, ".json") {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
		}
		return os.Open(path)
	})
	fails.Store(true)
	b.start()
	b.one("m", "error: open "+b.path("m.json")+": too many open files")
	fails.Store(false)
	b.one("m", "code m.json=use impl.wasm.")
	fails.Store(true)
	b.put("m.json", "use impl.wasm.\n")
	b.one("m", "error: open "+b.path("m.json")+": too many open files")
	b.quiet()
	fails.Store(false)
	b.one("m", "code m.json=use impl.wasm.\n")
}

// TestManifestUnknown has no new plugin file serve by itself while nobody knows whether a manifest names it.
func TestManifestUnknown(t *testing.T) {
	b := newManifestBox(t, "old.wasm=old").make()
	var fails atomic.Bool
	b.w.SetOpen(func(path string) (*os.File, error) {
		if fails.Load() && strings.HasSuffix(path, ".json") {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return os.Open(path)
	})
	fails.Store(true)
	b.start()
	b.write("m.json", "use impl.wasm.")
	b.write("impl.wasm", "code")
	b.write("other.wasm", "other")
	held := func(name string) string {
		return "error: read " + b.path(name) + ": it is not known which files a manifest names, and this may be one: mend m.json, or take it away"
	}
	want := map[string]string{
		"m": "error: open " + b.path("m.json") + ": permission denied", "impl": held("impl.wasm"), "other": held("other.wasm"),
	}
	expect := func() {
		t.Helper()
		for len(want) > 0 {
			c := b.next()
			if got := text(c); got != want[c.Name] {
				t.Fatalf("%s: %s, want %s", c.Name, got, want[c.Name])
			}
			delete(want, c.Name)
		}
	}
	expect()
	b.put("old.wasm", "newer") // which served before
	b.one("old", "newer")
	fails.Store(false)
	want = map[string]string{"m": "code m.json=use impl.wasm.", "impl": "gone", "other": "other"}
	expect()
	b.quiet()
}

// TestManifestUnknownAtFirst has it so when a directory is read.
func TestManifestUnknownAtFirst(t *testing.T) {
	b := newManifestBox(t, "m.json=use "+strings.Repeat("x", 1<<17), "impl.wasm=code")
	got := b.read()
	if len(got) != 2 || !strings.Contains(got["m"], "too large") || !strings.Contains(got["impl"], "mend m.json") {
		t.Errorf("%q", got)
	}
	b.start()
	b.put("m.json", "use impl.wasm.")
	for range 2 {
		if c := b.next(); c.Name == "impl" && c.File != nil || c.Name == "m" && text(c) != "code m.json=use impl.wasm." {
			t.Errorf("%s: %s", c.Name, text(c))
		}
	}
	b.quiet()
}

// TestManifestTooLarge has a manifest that is too large be told as an error of its plugin.
func TestManifestTooLarge(t *testing.T) {
	b := newManifestBox(t, "m.json=use impl.wasm.", "impl.wasm=code").start()
	b.put("m.json", "use "+strings.Repeat("x", 1<<17))
	b.one("m", "error: read "+b.path("m.json")+": too large: more than 88380 bytes")
	b.put("m.json", "use impl.wasm.")
	b.one("m", "code m.json=use impl.wasm.")
}

// TestManifestBroken has a manifest that is not in order take nothing from a plugin that is there, and
// give back nothing of its own.
func TestManifestBroken(t *testing.T) {
	b := newManifestBox(t, "m.json=use ./impl.wasm.", "impl.wasm=code", "x.wasm=single", "y.wasm=single")
	b.cfg.Manifest.Assemble = func(f *watch.File, doc []byte) error {
		if !strings.HasSuffix(string(doc), ".") {
			return errors.New("half")
		}
		f.WASM = []byte("made")
		clear(f.Beside)
		f.Beside[f.Name+".json"] = doc
		return nil
	}
	b.start()
	b.put("m.json", "use")
	b.one("m", "error: read "+b.path("m.json")+": half")
	b.put("x.json", "use y.wasm")
	b.logged("a manifest is not heeded")
	b.put("z.json", "use y.wasm")
	b.one("z", "error: read "+b.path("z.json")+": half")
	b.quiet()
	b.put("z.json", "use y.wasm.")
	b.expectGone("z", "made z.json=use y.wasm.", "y")
}

// expectGone takes the changes of a plugin that takes another's file, in any order.
func (b *box) expectGone(name, content, gone string) {
	b.Helper()
	for range 2 {
		switch c := b.next(); {
		case c.Name == name && text(c) == content, c.Name == gone && c.File == nil:
		default:
			b.Fatalf("a change of %s: %s", c.Name, text(c))
		}
	}
}

// TestManifestYields has plugin files go before manifests.
func TestManifestYields(t *testing.T) {
	b := newManifestBox(t, "x.json=use", "x.wasm=single", "y.json=use x.wasm.")
	b.cfg.Manifest.Yields = true
	b.cfg.Manifest.Assemble = func(*watch.File, []byte) error { return errors.New("no") }
	got := b.read()
	if want := "error: read " + b.path("y.json") + ": no"; len(got) != 2 || got["x"] != "single" || got["y"] != want {
		t.Errorf("%q", got)
	}
}
