//go:build unix

package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/resonhost/resonhost/host/internal/watch"
)

// long is as good as never, in a test.
const long = time.Hour

// box is a directory that is watched.
type box struct {
	*testing.T
	dir   string
	cfg   watch.Config
	w     *watch.Watcher
	logs  chan string
	marks int
}

// newBox has plugins known from the start. What is not polled is heard.
func newBox(t *testing.T, files ...string) *box {
	b := &box{T: t, dir: filepath.Join(t.TempDir(), "plugins"), logs: make(chan string, 1000)}
	b.must(os.Mkdir(b.dir, 0o755))
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		b.write(name, content)
	}
	b.cfg = watch.Config{
		Dir: b.dir, Beside: []string{".test", ".wasm.sig"}, Shared: []string{"SUMS"},
		MaxBytes: func(string) int { return 1 << 16 }, MaxBeside: 1000,
		Settle: 5 * time.Millisecond, Gone: long, Poll: long, Log: slog.New(logger(b.logs)),
	}
	return b
}

func (b *box) make() *box {
	known, err := watch.Read(b.Context(), b.cfg)
	b.must(err)
	b.w = watch.New(b.cfg, known, watch.Strays(b.cfg))
	b.Cleanup(b.w.Close)
	return b
}

func (b *box) start() *box {
	if b.w == nil {
		b.make()
	}
	b.must(b.w.Start())
	return b
}

func (b *box) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *box) path(name string) string { return filepath.Join(b.dir, name) }

func (b *box) write(name, content string) {
	b.Helper()
	b.must(os.WriteFile(b.path(name), []byte(content), 0o644))
}

// put writes a file at once.
func (b *box) put(name, content string) {
	b.Helper()
	b.write("tmp", content)
	b.rename("tmp", name)
}

func (b *box) rename(from, to string) {
	b.Helper()
	b.must(os.Rename(b.path(from), b.path(to)))
}

func (b *box) link(target, name string) {
	b.Helper()
	b.must(os.Symlink(target, b.path(name)))
}

func (b *box) remove(name string) {
	b.Helper()
	b.must(os.Remove(b.path(name)))
}

func (b *box) next() watch.Change {
	b.Helper()
	select {
	case c := <-b.w.Changes():
		return c
	case <-time.After(30 * time.Second):
		b.Fatal("no change is told")
	}
	panic("unreachable")
}

// expect takes changes until that of a plugin's content, and fails at others' changes.
func (b *box) expect(name, content string) watch.Change {
	b.Helper()
	for {
		c := b.next()
		if c.Name != name {
			b.Fatalf("a change of %s: %s", c.Name, text(c))
		}
		if text(c) == content {
			return c
		}
	}
}

// one is expect for a single change.
func (b *box) one(name, content string) watch.Change {
	b.Helper()
	c := b.next()
	if c.Name != name || text(c) != content {
		b.Fatalf("a change of %s: %q, want %s: %q", c.Name, text(c), name, content)
	}
	return c
}

// quiet fails if anything was changed before: files that change later are told, twice, and
// nothing else is.
func (b *box) quiet() {
	b.Helper()
	for range 2 {
		b.marks++
		name := fmt.Sprintf("mark%d", b.marks)
		b.put(name+".wasm", "mark")
		if c := b.next(); c.Name != name {
			b.Fatalf("a change of %s: %s", c.Name, text(c))
		}
	}
}

func (b *box) logged(want string) {
	b.Helper()
	for {
		select {
		case got := <-b.logs:
			if strings.HasPrefix(got, want) {
				return
			}
		case <-time.After(30 * time.Second):
			b.Fatalf("%q is not logged", want)
		}
	}
}

// text is a change in one line.
func text(c watch.Change) string {
	switch {
	case c.File == nil:
		return "gone"
	case c.File.Err != nil:
		return "error: " + c.File.Err.Error()
	}
	parts := []string{string(c.File.WASM)}
	for _, name := range slices.Sorted(maps.Keys(c.File.Beside)) {
		parts = append(parts, name+"="+string(c.File.Beside[name]))
	}
	return strings.Join(parts, " ")
}

// logger hands messages over.
type logger chan string

func (l logger) Enabled(context.Context, slog.Level) bool { return true }

func (l logger) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l logger) WithGroup(string) slog.Handler { return l }

func (l logger) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

// deaf is a watcher that hears nothing until its errors speak.
func (b *box) deaf() *fsnotify.Watcher {
	n, err := fsnotify.NewWatcher()
	b.must(err)
	b.w.SetConnect(func() (*fsnotify.Watcher, error) { return n, nil })
	b.start()
	b.quiet() // it hears
	b.must(n.Remove(b.dir))
	b.put("x.wasm", "new")
	return n
}
