//go:build unix

package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
