//go:build unix

package watch_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/watch"
)

// newStrayBox has companions whose name ends in .test, or wrongly in .tests.
func newStrayBox(t *testing.T, files ...string) *box {
	b := newManifestBox(t, files...)
	b.cfg.Alone, b.cfg.Misnamed = []string{".test"}, map[string]string{".tests": ".test"}
	b.cfg.Manifest.Doubt = func(doc []byte) string {
		if reason, ok := strings.CutPrefix(string(doc), "doubt: "); ok {
			return reason
		}
		return ""
	}
	return b
}

// TestStrays has one of each that is not read, and none that is.
func TestStrays(t *testing.T) {
	b := newStrayBox(t, "a.wasm=a", "a.test=read", "a.tests=wrong", "b.test=alone", "m.json=use a.wasm.", "m.test=read", ".hidden=x", "c.wasm.sig=x",
		"E.WASM=x", "f.wasm.txt=x", "g.Test=x", "h.wasm.SIG=x", "i.wasm.test=x", "j.json=doubt: half", "k.json=other", "SUMS=x", "Makefile=x",
		"wasm=x", ".WASM=x", "l.wasm.new=x", "README.txt=x", "n.TESTS.txt=x", "o.JSON=use a.wasm.", ".JSON=x", ".o.JSON=x")
	b.link("nowhere", "d.test")
	b.write("d.wasm", "d")
	misnamed := func(file, right string) watch.Stray {
		return watch.Stray{File: file, Reason: "its name does not end as it must: call it " + right}
	}
	want := []watch.Stray{
		misnamed("E.WASM", "E.wasm"),
		{File: "a.test", Reason: "there is no a.wasm beside it"}, // since m takes that file
		misnamed("a.tests", "a.test"),
		{File: "b.test", Reason: "there is no b.wasm beside it"},
		{File: "d.test", Reason: "it is a link that leads nowhere"},
		misnamed("f.wasm.txt", "f.wasm"),
		misnamed("g.Test", "g.test"),
		misnamed("h.wasm.SIG", "h.wasm.sig"),
		misnamed("i.wasm.test", "i.test"),
		{File: "j.json", Reason: "half"},
		misnamed("n.TESTS.txt", "n.test"),
		{File: "o.JSON", Reason: "only a name in small letters is a manifest's: if it is one, call it o.json"},
	}
	if got := watch.Strays(b.cfg); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range 100 {
		b.write(strings.Repeat("x", i+1)+".test", "")
	}
	got := watch.Strays(b.cfg)
	if len(got) != 20 || !slices.Equal(got[:len(want)], want) || !strings.HasSuffix(got[19].Reason, ".wasm beside it; there are 92 more such files") {
		t.Errorf("%q", got)
	}
	b.cfg.Dir = "nowhere"
	if got := watch.Strays(b.cfg); got != nil {
		t.Errorf("%q of no directory", got)
	}
}

// files has the members "file" of what is logged handed over.
func (b *box) files() chan string {
	files := make(chan string, 1000)
	b.cfg.Log = slog.New(slog.NewTextHandler(lineWriter(files), nil))
	return files
}

type lineWriter chan string

func (l lineWriter) Write(b []byte) (int, error) {
	for word := range strings.FieldsSeq(string(b)) {
		if file, ok := strings.CutPrefix(word, "file="); ok {
			l <- file
		}
	}
	return len(b), nil
}

// TestStraysLater has each stray told once that comes while a directory is watched, and no companion that
// is only there before its plugin.
func TestStraysLater(t *testing.T) {
	b := newStrayBox(t, "a.wasm=a", "early.test=known")
	b.cfg.Gone = 50 * time.Millisecond
	files := b.files()
	b.start()
	told := func(want string) {
		t.Helper()
		select {
		case got := <-files:
			if got != want {
				t.Fatalf("%s is told, want %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s is not told", want)
		}
	}
	b.write("b.test", "late")
	told("b.test")
	b.write("a.tests", "wrong")
	told("a.tests")
	b.put("b.wasm", "b") // which b.test belongs to, from now on
	b.one("b", "b b.test=late")
	b.remove("b.wasm")
	b.one("b", "gone")
	told("b.test") // once more, since it is one once more
	b.write("c.test", "late")
	told("c.test")
	b.quiet()
	if len(files) > 0 {
		t.Errorf("%s is told, too", <-files)
	}
}

// TestManifestLeadsNowhere has a link in a manifest's place count as a manifest that cannot be read, so that
// what it may name does not serve without it.
func TestManifestLeadsNowhere(t *testing.T) {
	b := newManifestBox(t, "impl.wasm=code")
	b.link("elsewhere", "m.json")
	nowhere := "error: read " + b.path("m.json") + ": it is a link that leads nowhere"
	held := "error: read " + b.path("impl.wasm") + ": it is not known which files a manifest names, and this may be one: mend m.json, or take it away"
	if got := b.read(); got["m"] != nowhere || got["impl"] != held {
		t.Fatalf("%q", got)
	}
	if _, err := watch.ReadFile(t.Context(), b.cfg, "m"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err %v", err)
	}
	b.start()
	b.put("elsewhere", "use impl.wasm.")
	want := map[string]string{"m": "code m.json=use impl.wasm.", "impl": "gone"}
	for len(want) > 0 {
		c := b.next()
		if got := text(c); got != want[c.Name] {
			t.Fatalf("%s: %s, want %s", c.Name, got, want[c.Name])
		}
		delete(want, c.Name)
	}
	b.remove("elsewhere")
	b.one("m", "gone") // as any plugin whose file is
	b.quiet()
}

// TestPluginLeadsNowhere has a link in a plugin's place that never led anywhere be a fault, and one that does no
// longer the end of its plugin.
func TestPluginLeadsNowhere(t *testing.T) {
	b := newManifestBox(t, "x.wasm=old")
	b.link("elsewhere", "y.wasm")
	nowhere := func(name string) string {
		return "error: read " + b.path(name) + ": it is a link that leads nowhere"
	}
	if got := b.read(); got["y"] != nowhere("y.wasm") || got["x"] != "old" {
		t.Fatalf("%q", got)
	}
	if _, err := watch.ReadFile(t.Context(), b.cfg, "y"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err %v", err)
	}
	b.start()
	b.put("elsewhere", "1")
	b.one("y", "1")
	b.remove("elsewhere")
	b.one("y", "gone")
	b.link("nothing", "z.wasm")
	b.one("z", nowhere("z.wasm"))
	b.quiet()
}
