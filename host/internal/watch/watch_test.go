//go:build unix

package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
func (l logger) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logger) WithGroup(string) slog.Handler            { return l }
func (l logger) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

// How programs write files. None of it needs the poll.
func TestWriters(t *testing.T) {
	for name, do := range map[string]func(b *box){
		"in place": func(b *box) {
			b.write("x.wasm", "new")
			b.expect("x", "new")
		},
		"in pieces": func(b *box) {
			f, err := os.Create(b.path("x.wasm"))
			b.must(err)
			for range 100 {
				_, err = f.WriteString("piece ")
				b.must(err)
				b.must(f.Sync())
			}
			b.must(f.Close())
			b.expect("x", strings.Repeat("piece ", 100))
		},
		"renamed over": func(b *box) {
			b.put("x.wasm", "new")
			b.one("x", "new")
		},
		"of the same size and time, renamed over": func(b *box) {
			info, err := os.Stat(b.path("x.wasm"))
			b.must(err)
			b.write("x.tmp", "NEW")
			b.must(os.Chtimes(b.path("x.tmp"), info.ModTime(), info.ModTime()))
			b.rename("x.tmp", "x.wasm")
			b.one("x", "NEW")
		},
		"of the same size and time, in place": func(b *box) {
			info, err := os.Stat(b.path("x.wasm"))
			b.must(err)
			b.write("x.wasm", "NEW")
			b.must(os.Chtimes(b.path("x.wasm"), info.ModTime(), info.ModTime()))
			b.expect("x", "NEW")
		},
		"by vim": func(b *box) {
			b.write("4913", "")
			b.remove("4913")
			b.write(".x.wasm.swp", "swap")
			b.rename("x.wasm", "x.wasm~")
			b.write("x.wasm", "new")
			b.remove("x.wasm~")
			b.remove(".x.wasm.swp")
			b.expect("x", "new")
		},
		"by emacs": func(b *box) {
			b.link("me@here.123:456", ".#x.wasm")
			b.write("#x.wasm#", "auto-save")
			b.write("x.wasm", "new")
			b.remove("#x.wasm#")
			b.remove(".#x.wasm")
			b.expect("x", "new")
		},
		"a touch": func(b *box) {
			b.must(os.Chtimes(b.path("x.wasm"), time.Now(), time.Now()))
			b.must(os.Chmod(b.path("x.wasm"), 0o600))
			b.quiet()
		},
		"the same again": func(b *box) {
			b.put("x.wasm", "old")
			b.quiet()
		},
		"deleted and created": func(b *box) {
			b.remove("x.wasm")
			b.quiet()
			b.write("x.wasm", "new")
			b.expect("x", "new")
		},
		"deleted and created, the same": func(b *box) {
			b.remove("x.wasm")
			b.quiet()
			b.put("x.wasm", "old")
			b.quiet()
		},
		"a companion": func(b *box) {
			b.write("x.test", "1")
			b.expect("x", "old x.test=1")
			b.write("x.wasm.sig", "2")
			b.expect("x", "old x.test=1 x.wasm.sig=2")
			b.remove("x.test")
			b.one("x", "old x.wasm.sig=2")
		},
		"a shared file": func(b *box) {
			b.put("SUMS", "1")
			b.one("x", "old SUMS=1")
			b.remove("SUMS")
			b.one("x", "old")
		},
		"names that differ in case": func(b *box) {
			b.put("X.wasm", "upper")
			b.one("X", "upper")
			b.quiet()
		},
		"what is no plugin": func(b *box) {
			b.write(".hidden.wasm", "1")
			b.write(".wasm", "1")
			b.write("x.wasm.bak", "1")
			b.write("X.WASM", "1")
			b.must(os.Mkdir(b.path("sub"), 0o755))
			b.write("sub/y.wasm", "1")
			for i := range 3000 {
				b.write(fmt.Sprintf("unrelated%d", i), "1")
			}
			b.quiet()
		},
		"links as of ConfigMaps": func(b *box) {
			b.must(os.Mkdir(b.path("..1"), 0o755))
			b.write("..1/y.wasm", "1")
			b.link("..1", "..data")
			b.link("..data/y.wasm", "y.wasm")
			b.expect("y", "1")
			for _, next := range []string{"..2", "..3"} {
				b.must(os.Mkdir(b.path(next), 0o755))
				b.write(next+"/y.wasm", next)
				b.link(next, "..data_tmp")
				b.rename("..data_tmp", "..data")
				b.one("y", next)
			}
			b.must(os.RemoveAll(b.path("..1")))
			b.quiet()
		},
		"what a link leads to": func(b *box) {
			b.must(os.Mkdir(b.path("../elsewhere"), 0o755))
			b.write("../elsewhere/file", "1")
			b.link(b.path("../elsewhere/file"), "y.wasm")
			b.expect("y", "1")
			b.write("../elsewhere/file", "2")
			b.expect("y", "2")
			b.remove("../elsewhere/file")
			b.quiet()
			b.write("../elsewhere/file", "3")
			b.expect("y", "3")
		},
		"a link to nowhere": func(b *box) {
			b.link("nowhere", "y.wasm")
			b.quiet()
			b.write("nowhere", "1")
			b.expect("y", "1")
		},
		"a directory": func(b *box) {
			b.must(os.Mkdir(b.path("y.wasm"), 0o755))
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a directory")
			b.write("y.wasm/z.wasm", "1")
			b.quiet()
			b.must(os.RemoveAll(b.path("y.wasm")))
			b.write("y.wasm", "1")
			b.expect("y", "1")
		},
		"a named pipe": func(b *box) {
			b.must(syscall.Mkfifo(b.path("y.wasm"), 0o644))
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a named pipe")
		},
		"a device": func(b *box) {
			b.link("/dev/zero", "y.wasm")
			b.one("y", "error: read "+b.path("y.wasm")+": not a regular file: a device")
		},
		"a companion that is a device": func(b *box) {
			b.link("/dev/zero", "x.test")
			b.one("x", "error: read "+b.path("x.test")+": not a regular file: a device")
			b.remove("x.test")
			b.one("x", "old")
		},
		"too large": func(b *box) {
			b.write("x.wasm", strings.Repeat("x", 1<<16+1))
			c := b.expect("x", "error: read "+b.path("x.wasm")+": too large: more than 65536 bytes")
			var path *fs.PathError
			if !errors.Is(c.File.Err, watch.ErrTooLarge) || !errors.As(c.File.Err, &path) || c.File.WASM != nil {
				b.Errorf("%#v", c.File)
			}
			b.must(os.Truncate(b.path("x.wasm"), 1<<16))
			b.expect("x", strings.Repeat("x", 1<<16))
		},
		"renamed to another": func(b *box) {
			b.rename("x.wasm", "y.wasm")
			b.one("y", "old")
			b.quiet()
		},
	} {
		t.Run(name, func(t *testing.T) { do(newBox(t, "x.wasm=old").start()) })
	}
}

func TestBurst(t *testing.T) {
	b := newBox(t, "x.wasm=old")
	b.cfg.Settle = 100 * time.Millisecond
	b.start()
	for i := range 1000 {
		b.write("x.wasm", fmt.Sprint(i))
	}
	n := 1
	for text(b.next()) != "999" {
		n++
	}
	if n > 500 {
		t.Errorf("%d changes are told", n)
	}
	b.quiet()
}

func TestHalfWritten(t *testing.T) {
	b := newBox(t, "x.wasm="+module)
	b.cfg.Whole = func(wasm []byte) bool { return string(wasm) == "mark" || watch.Module(wasm) }
	b.start()
	f, err := os.Create(b.path("x.wasm"))
	b.must(err)
	next := strings.ReplaceAll(module, "x", "y")
	for _, piece := range []string{next[:3], next[3:100], next[100 : len(next)-1]} {
		_, err = f.WriteString(piece)
		b.must(err)
		b.quiet()
	}
	_, err = f.WriteString(next[len(next)-1:])
	b.must(errors.Join(err, f.Close()))
	b.one("x", next)
}

func TestGone(t *testing.T) {
	b := newBox(t, "x.wasm=old", "y.wasm=old")
	b.cfg.Gone = 20 * time.Millisecond
	b.start()
	b.remove("x.wasm")
	b.one("x", "gone")
	b.write("x.wasm", "old")
	b.expect("x", "old")
}

// What is changed between Read and Start is a change.
func TestKnown(t *testing.T) {
	b := newBox(t, "x.wasm=old", "y.wasm=old")
	b.cfg.Gone = 20 * time.Millisecond
	b.make()
	b.write("x.wasm", "new")
	b.remove("y.wasm")
	b.start()
	got := map[string]string{}
	for range 2 {
		c := b.next()
		got[c.Name] = text(c)
	}
	if got["x"] != "new" || got["y"] != "gone" {
		t.Errorf("%v", got)
	}
}

func TestModified(t *testing.T) {
	b := newBox(t).start()
	before := time.Now().Add(-time.Second) // file systems keep coarser clocks
	b.put("x.wasm", "new")
	c := b.one("x", "new")
	if m := c.File.Modified; m.Before(before) || m.After(time.Now()) {
		t.Errorf("modified at %v, not after %v", m, before)
	}
	if c.File.Path != b.path("x.wasm") || c.File.Name != "x" {
		t.Errorf("%+v", c.File)
	}
}

func TestDirectoryAway(t *testing.T) {
	for name, c := range map[string]struct{ leave, comeBack func(b *box) }{
		"renamed": {
			func(b *box) { b.must(os.Rename(b.dir, b.dir+"2")) },
			func(b *box) { b.must(os.Rename(b.dir+"2", b.dir)) },
		},
		"removed": {
			func(b *box) { b.must(os.RemoveAll(b.dir)) },
			func(b *box) {
				b.must(os.Mkdir(b.dir+"2", 0o755))
				b.write("../plugins2/x.wasm", "old")
				b.must(os.Rename(b.dir+"2", b.dir))
			},
		},
		"removed, and filled later": {
			func(b *box) { b.must(errors.Join(os.RemoveAll(b.dir), os.Mkdir(b.dir, 0o755))) },
			func(b *box) { b.put("x.wasm", "old") },
		},
		"an empty one in its place": {
			func(b *box) {
				b.must(errors.Join(os.Rename(b.dir, b.dir+"2"), os.Mkdir(b.dir, 0o755)))
			},
			func(b *box) { b.must(errors.Join(os.Remove(b.dir), os.Rename(b.dir+"2", b.dir))) },
		},
		"a file in its place": {
			func(b *box) {
				b.must(os.Rename(b.dir, b.dir+"2"))
				b.must(os.WriteFile(b.dir, nil, 0o644))
			},
			func(b *box) { b.must(errors.Join(os.Remove(b.dir), os.Rename(b.dir+"2", b.dir))) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, "x.wasm=old")
			b.cfg.Gone, b.cfg.Poll = time.Second, 5*time.Millisecond
			b.start()
			b.quiet() // it has looked
			for n := 1; n <= b.marks; n++ {
				b.remove(fmt.Sprintf("mark%d.wasm", n))
			}
			gone := map[string]bool{}
			for len(gone) < b.marks {
				c := b.next()
				if text(c) != "gone" || c.Name == "x" {
					t.Fatalf("%s: %s", c.Name, text(c))
				}
				gone[c.Name] = true
			}
			c.leave(b)
			b.logged("the plugin directory is away")
			c.comeBack(b)
			b.logged("the plugin directory is back")
			b.quiet()
			b.write("x.wasm", "new")
			b.expect("x", "new")
			select {
			case m := <-b.logs:
				t.Errorf("logged too: %s", m)
			default:
			}
		})
	}
}

// A link to the directory that is replaced is seen by the poll.
func TestDirectoryLink(t *testing.T) {
	b := newBox(t, "x.wasm=1")
	b.must(os.Mkdir(b.dir+"2", 0o755))
	b.write("../plugins2/x.wasm", "2")
	link := b.dir + "-link"
	b.must(os.Symlink(b.dir, link))
	b.cfg.Dir, b.cfg.Poll = link, 5*time.Millisecond
	b.start()
	b.quiet()
	b.must(os.Symlink(b.dir+"2", link+"2"))
	b.must(os.Rename(link+"2", link))
	b.one("x", "2")
}

func TestPermission(t *testing.T) {
	b := newBox(t, "x.wasm=old")
	b.cfg.Gone = 20 * time.Millisecond
	b.make()
	b.w.SetOpen(func(path string) (*os.File, error) { // a superuser's tests can open everything
		if info, err := os.Stat(path); err == nil && info.Mode()&0o400 == 0 {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		}
		return os.Open(path)
	})
	b.start()
	b.must(os.Chmod(b.path("x.wasm"), 0))
	b.one("x", "error: open "+b.path("x.wasm")+": permission denied")
	b.must(os.Chmod(b.path("x.wasm"), 0o644))
	b.one("x", "old")
}

// A descriptor that could not be had is had later, without any change of the file.
func TestPassingFailure(t *testing.T) {
	b := newBox(t)
	b.cfg.Gone = 20 * time.Millisecond
	b.make()
	failures := 5
	b.w.SetOpen(func(path string) (*os.File, error) {
		if failures--; failures >= 0 {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
		}
		return os.Open(path)
	})
	b.start()
	b.put("x.wasm", "new")
	b.one("x", "error: open "+b.path("x.wasm")+": too many open files")
	b.one("x", "new")
}

// The file system goes on changing between the stat and the read.
func TestChangesWhileRead(t *testing.T) {
	b := newBox(t)
	b.make()
	times := 3
	b.w.SetOpen(func(path string) (*os.File, error) {
		f, err := os.Open(path)
		if times--; times >= 0 && err == nil {
			err = os.WriteFile(path, []byte(strings.Repeat("x", 3-times)), 0o644)
		}
		return f, err
	})
	b.start()
	b.put("x.wasm", "-")
	b.one("x", "xxx")
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

func TestOverflow(t *testing.T) {
	b := newBox(t, "x.wasm=old").make()
	b.deaf().Errors <- fsnotify.ErrEventOverflow
	b.one("x", "new")
	b.quiet() // it hears again
}

func TestNoEvents(t *testing.T) {
	t.Run("at first", func(t *testing.T) {
		b := newBox(t, "x.wasm=old")
		b.cfg.Poll = time.Millisecond
		b.make()
		tries := 0
		b.w.SetConnect(func() (*fsnotify.Watcher, error) {
			if tries++; tries < 100 {
				return nil, syscall.EMFILE
			}
			return fsnotify.NewWatcher()
		})
		b.start()
		b.logged("no file-system events; looking at the plugin directory every so often")
		b.write("x.wasm", "new")
		b.expect("x", "new")
		select {
		case m := <-b.logs:
			if m != "file-system events of the plugin directory are back" {
				t.Errorf("logged twice: %s", m)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("events are not back")
		}
	})
	t.Run("of the directory", func(t *testing.T) {
		b := newBox(t, "x.wasm=old")
		b.cfg.Poll = 5 * time.Millisecond
		b.make()
		b.deaf()
		b.one("x", "new")
	})
}

// TestLook has neither an event nor a poll tell of changes. The look of the start may still see the first.
func TestLook(t *testing.T) {
	b := newBox(t, "x.wasm=old").make()
	b.w.SetConnect(func() (*fsnotify.Watcher, error) { return nil, syscall.EMFILE })
	b.start()
	for _, content := range []string{"new", "newer", "newest"} {
		b.put("x.wasm", content)
		b.w.Look()
		b.one("x", content)
	}
}

// A consumer that takes nothing keeps one change a name waiting.
func TestSlowConsumer(t *testing.T) {
	b := newBox(t)
	read := make(chan struct{}, 1000)
	b.make()
	b.w.SetOpen(func(path string) (*os.File, error) {
		read <- struct{}{}
		return os.Open(path)
	})
	b.start()
	for i := range 20 {
		for _, name := range []string{"x", "y"} {
			b.put(name+".wasm", fmt.Sprint(i))
			<-read
		}
	}
	got := map[string][]string{}
	for last := 0; last < 2; {
		c := b.next()
		got[c.Name] = append(got[c.Name], text(c))
		if text(c) == "19" {
			last++
		}
	}
	// Of each the newest, and perhaps the one before, if the last was not yet read.
	if len(got["x"]) > 2 || len(got["y"]) > 2 {
		t.Errorf("%v", got)
	}
}

func TestRead(t *testing.T) {
	b := newBox(t, "b.wasm=1", "a.wasm=2", "a.test=3", "SUMS=4", "c.wasm=", "other=5", ".d.wasm=6")
	b.must(os.Mkdir(b.path("e.wasm"), 0o755))
	files, err := watch.Read(t.Context(), b.cfg)
	b.must(err)
	var got []string
	for _, f := range files {
		got = append(got, f.Name+": "+text(watch.Change{File: &f}))
	}
	want := []string{
		"a: 2 SUMS=4 a.test=3", "b: 1 SUMS=4", "c:  SUMS=4",
		"e: error: read " + b.path("e.wasm") + ": not a regular file: a directory",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}

	b.cfg.Dir = b.path("none")
	if _, err := watch.Read(t.Context(), b.cfg); err == nil || err.Error() != "open "+b.cfg.Dir+": no such file or directory" {
		t.Errorf("none: %v", err)
	}
	b.cfg.Dir, b.cfg.Settle = b.dir, long
	b.write("b.wasm", "new") // and never settles
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(errors.New("enough")) })
	if _, err := watch.Read(ctx, b.cfg); err == nil || err.Error() != "enough" {
		t.Errorf("canceled: %v", err)
	}
}

// A half-written file is waited for, unless it has been left so.
func TestReadHalfWritten(t *testing.T) {
	b := newBox(t, "x.wasm="+module[:50])
	b.cfg.Whole = func(wasm []byte) bool {
		whole := watch.Module(wasm)
		if !whole {
			b.write("x.wasm", module)
		}
		return whole
	}
	files, err := watch.Read(t.Context(), b.cfg)
	b.must(err)
	if len(files) != 1 || string(files[0].WASM) != module {
		t.Errorf("%+v", files)
	}
	b.write("x.wasm", module[:50])
	b.cfg.Gone, b.cfg.Whole = 1, watch.Module
	files, err = watch.Read(t.Context(), b.cfg)
	b.must(err)
	if len(files) != 1 || string(files[0].WASM) != module[:50] {
		t.Errorf("%+v", files)
	}
}

func TestStartClose(t *testing.T) {
	b := newBox(t, "x.wasm=old").make()
	b.w.Close()
	b.w.Close()
	if _, ok := <-b.w.Changes(); ok {
		t.Error("a change after Close")
	}
	if err := b.w.Start(); !errors.Is(err, watch.ErrStarted) {
		t.Errorf("Start after Close: %v", err)
	}
	b.w = nil
	b.start()
	if err := b.w.Start(); !errors.Is(err, watch.ErrStarted) {
		t.Errorf("Start after Start: %v", err)
	}
}

func TestHammer(t *testing.T) {
	b := newBox(t, "x.wasm=old", "y.wasm=old")
	b.cfg.Settle, b.cfg.Poll = time.Microsecond, time.Millisecond
	stop := make(chan struct{})
	var writer, all sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(b.path("x.wasm"), fmt.Append(nil, i), 0o644)
			}
		}
	})
	release := make(chan struct{})
	for range 4 {
		all.Go(func() {
			<-release
			for range 25 {
				w := watch.New(b.cfg, nil, nil)
				var g sync.WaitGroup
				g.Go(func() { w.Start() })
				g.Go(func() { <-w.Changes() })
				g.Go(w.Close)
				g.Wait()
				w.Close()
			}
		})
	}
	close(release)
	all.Wait()
	close(stop)
	writer.Wait()
}

// Whatever is done to the directory, what was told last is what is there in the end.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 9, 2, 0, 1, 3, 2, 3, 4, 1, 5, 6, 7})
	f.Add([]byte("create append rename delete link mkdir"))
	f.Add(bytes.Repeat([]byte{0, 3, 7, 2, 4, 1, 6, 8, 5}, 12))
	f.Fuzz(func(t *testing.T, ops []byte) {
		b := newBox(t, "a.wasm=0", "b.wasm=0", "c.wasm=0", "d.wasm=0")
		b.cfg.Settle, b.cfg.Gone, b.cfg.Poll = time.Millisecond, 10*time.Millisecond, 20*time.Millisecond
		known, err := watch.Read(t.Context(), b.cfg)
		b.must(err)
		told := map[string]string{}
		for _, f := range known {
			told[f.Name] = text(watch.Change{File: &f})
		}
		b.w = watch.New(b.cfg, known, watch.Strays(b.cfg))
		t.Cleanup(b.w.Close)
		b.must(b.w.Start())

		names := []string{"a.wasm", "b.wasm", "c.wasm", "a.test", "b.wasm.sig", "SUMS", "plain", "sub"}
		for i := 0; i+1 < len(ops) && i < 200; i += 2 {
			from, to := b.path(names[ops[i+1]%8]), b.path(names[ops[i+1]/8%8])
			switch ops[i] % 9 { // any of which may fail
			case 0:
				os.WriteFile(from, fmt.Append(nil, i), 0o644)
			case 1:
				if file, err := os.OpenFile(from, os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
					fmt.Fprint(file, i)
					file.Close()
				}
			case 2:
				os.Rename(from, to)
			case 3:
				os.RemoveAll(from)
			case 4:
				os.Symlink(filepath.Base(to), from)
			case 5:
				os.Mkdir(from, 0o755)
			case 6:
				os.Link(from, to)
			case 7:
				os.Rename(b.dir, b.dir+"2")
				if ops[i+1]%2 == 0 {
					os.Mkdir(b.dir, 0o755)
					os.Remove(b.dir)
				}
				os.Rename(b.dir+"2", b.dir)
			case 8:
				os.Truncate(from, 1<<17)
			}
		}
		b.put("e.wasm", "end") // so that the directory is not without plugins

		want := map[string]string{}
		files, err := watch.Read(t.Context(), b.cfg)
		b.must(err)
		for _, f := range files {
			want[f.Name] = text(watch.Change{File: &f})
		}
		for fmt.Sprint(told) != fmt.Sprint(want) {
			select {
			case c := <-b.w.Changes():
				if told[c.Name] = text(c); c.File == nil {
					delete(told, c.Name)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("told %v\nwant %v", told, want)
			}
		}
		b.quiet()
	})
}

// From the rename of a file of 2 MB to the change, with the defaults.
func BenchmarkSaveToChange(b *testing.B) {
	dir := b.TempDir()
	w := watch.New(watch.Config{Dir: dir}, nil, nil)
	defer w.Close()
	if err := w.Start(); err != nil {
		b.Fatal(err)
	}
	wasm := make([]byte, 2<<20)
	tmp := filepath.Join(dir, "tmp")
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		wasm[i%len(wasm)]++
		if err := os.WriteFile(tmp, wasm, 0o644); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := os.Rename(tmp, filepath.Join(dir, "x.wasm")); err != nil {
			b.Fatal(err)
		}
		<-w.Changes()
	}
}

// What a look at a directory without changes costs.
func BenchmarkLook(b *testing.B) {
	for _, others := range []int{0, 10000} {
		b.Run(fmt.Sprintf("plugins=50/others=%d", others), func(b *testing.B) {
			dir := b.TempDir()
			for i := range 50 + others {
				name := fmt.Sprintf("%d.wasm", i)
				if i >= 50 {
					name = fmt.Sprintf("%d.txt", i)
				}
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
					b.Fatal(err)
				}
			}
			look := watch.Look(watch.Config{Dir: dir})
			for b.Loop() {
				look()
			}
		})
	}
}
