package devloop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(tb testing.TB, dir, name, text string) {
	tb.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// following is a project that is followed in a bubble, where the test is its events.
type following struct {
	dir     string
	wake    chan struct{}
	changes chan change
	folders []string // as the follower was last told; see watched
}

func follow(t *testing.T, ignore ...string) *following {
	t.Helper()
	f := &following{dir: t.TempDir(), wake: make(chan struct{}, 1), changes: make(chan change)}
	write(t, f.dir, "plugin.go", "first")
	write(t, f.dir, "sub/deep/part.go", "part")
	s, err := newSources(f.dir, ignore, DefaultSettle, DefaultPoll)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go s.follow(ctx, f.wake, func(in []string) { f.folders = in }, f.changes)
	synctest.Wait()
	return f
}

// none fails if there is a change within the time.
func (f *following) none(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case c := <-f.changes:
		t.Fatalf("unexpected change: %v", c)
	case <-time.After(within):
	}
}

// change waits for one, and returns its files and when it came.
func (f *following) change(t *testing.T) (files string, took time.Duration) {
	t.Helper()
	began := time.Now()
	c := <-f.changes
	if c.err != nil {
		t.Fatal(c.err)
	}
	return strings.Join(c.files, " "), time.Since(began)
}

// watched are the folders that there are, once the follower has come to rest: it looks at them
// anew at each poll.
func (f *following) watched() []string {
	synctest.Wait()
	return f.folders
}

func (f *following) event() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
	synctest.Wait()
}

func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		for i := range 100 {
			write(t, f.dir, fmt.Sprintf("new%d.go", i%3), fmt.Sprint(i))
			f.event()
		}
		files, took := f.change(t)
		if files != "new0.go new1.go new2.go" || took != DefaultSettle {
			t.Errorf("changed: %s, after %v", files, took)
		}
		f.none(t, time.Minute)
	})
}

// TestWritesWithoutEnd has the sources looked at though they never settle.
func TestWritesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		began := time.Now()
		for i := 0; ; i++ {
			write(t, f.dir, "plugin.go", fmt.Sprint(i))
			f.event()
			select {
			case <-f.changes:
				if took := time.Since(began); took != 10*DefaultSettle {
					t.Errorf("took %v", took)
				}
				return
			case <-time.After(DefaultSettle / 2):
			}
		}
	})
}

func TestWhatIsAChange(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, dir string)
		want string
	}{
		"same bytes": {func(t *testing.T, dir string) { write(t, dir, "plugin.go", "first") }, ""},
		"as long":    {func(t *testing.T, dir string) { write(t, dir, "plugin.go", "2nd..") }, "plugin.go"},
		"deep":       {func(t *testing.T, dir string) { write(t, dir, "sub/deep/part.go", "") }, "sub/deep/part.go"},
		"new folder": {func(t *testing.T, dir string) { write(t, dir, "a/b/c.h", "x") }, "a/b/c.h"},
		"removed": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
				t.Fatal(err)
			}
		}, "sub/deep/part.go"},
		"renamed": {func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "plugin.go"), filepath.Join(dir, "z.go")); err != nil {
				t.Fatal(err)
			}
		}, "plugin.go z.go"},
		"replaced": {func(t *testing.T, dir string) { // as editors do
			write(t, dir, ".plugin.go.swp", "then")
			if err := os.Rename(filepath.Join(dir, ".plugin.go.swp"), filepath.Join(dir, "plugin.go")); err != nil {
				t.Fatal(err)
			}
		}, "plugin.go"},
		"empty folder": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, ""},
		"link": {func(t *testing.T, dir string) {
			if err := os.Symlink("plugin.go", filepath.Join(dir, "link.go")); err != nil {
				t.Fatal(err)
			}
		}, "link.go"},
		"no source": {func(t *testing.T, dir string) {
			for _, name := range []string{
				"x.wasm", "x.wasm.new", "build/x.wasm", "x.new", "x.o", "x~", "#x#", "4913", "go.sum", "Cargo.lock",
				".git/HEAD", ".x.go.swp", "node_modules/a/b.js", "target/release/x.d", "docs/x.md", "notes.txt",
			} {
				write(t, dir, name, "x")
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follow(t, "docs", "*.txt")
				c.do(t, f.dir)
				if c.want == "" {
					f.event()
					f.none(t, time.Minute)
					return
				}
				// Without an event, the poll sees it.
				if files, took := f.change(t); files != c.want || took > DefaultPoll {
					t.Errorf("changed: %q, after %v; want %q", files, took, c.want)
				}
			})
		})
	}
}

// TestLinkedFolders follows links to folders: out of the project, to one of it, to none, and in
// a circle.
func TestLinkedFolders(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "deep/shared.h", "first")
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		for name, to := range map[string]string{
			"lib": outside, "again": outside, "self": ".", "sub/up": "..", "alias": "sub", "broken": "nowhere", "loop": "loop",
		} {
			if err := os.Symlink(to, filepath.Join(f.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		f.event()
		if files, _ := f.change(t); files != "again/deep/shared.h" {
			t.Errorf("changed: %s", files)
		}
		f.none(t, time.Minute)
		target, err := filepath.EvalSymlinks(filepath.Join(outside, "deep"))
		if err != nil {
			t.Fatal(err)
		}
		if folders := f.watched(); !slices.Contains(folders, target) {
			t.Errorf("folders %q, want %s among them", folders, target)
		}
		write(t, outside, "deep/shared.h", "second")
		f.event()
		if files, _ := f.change(t); files != "again/deep/shared.h" {
			t.Errorf("changed: %s", files)
		}
		write(t, f.dir, "sub/deep/part.go", "second")
		f.event()
		if files, _ := f.change(t); files != "sub/deep/part.go" {
			t.Errorf("changed: %s", files)
		}
		f.none(t, time.Minute)
	})
}

// TestTooManyFiles has the error name where they are.
func TestTooManyFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, dir, "plugin.go", "")
	for _, name := range []string{"a.c", "b.c", "c.c"} {
		write(t, outside, name, "")
	}
	if err := os.Symlink(outside, filepath.Join(dir, "vendor")); err != nil {
		t.Fatal(err)
	}
	want := dir + " has more than 3 files, most of them in vendor; --ignore names what is no source"
	if _, _, err := (&sources{dir: dir, most: 3}).look(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if files, _, err := (&sources{dir: dir, most: 3, ignore: []string{"vendor"}}).look(); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestProjectIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		away := f.dir + ".away"
		if err := os.Rename(f.dir, away); err != nil {
			t.Fatal(err)
		}
		if c := <-f.changes; !os.IsNotExist(c.err) {
			t.Fatal(c)
		}
		f.none(t, time.Minute)
		if err := os.Rename(away, f.dir); err != nil {
			t.Fatal(err)
		}
		if files, _ := f.change(t); files != f.dir {
			t.Errorf("changed: %s", files)
		}
		f.none(t, time.Minute)
	})
}

func TestFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t)
		root, err := filepath.EvalSymlinks(f.dir)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{root, filepath.Join(root, "sub"), filepath.Join(root, "sub/deep")}
		if folders := f.watched(); fmt.Sprint(folders) != fmt.Sprint(want) {
			t.Errorf("folders %q, want %q", folders, want)
		}
	})
}

func TestSourcesFaults(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	for name, c := range map[string]struct{ dir, ignore, err string }{
		"none":    {filepath.Join(dir, "none"), "*", "lstat " + filepath.Join(dir, "none") + ": no such file or directory"},
		"file":    {filepath.Join(dir, "file"), "*", "read " + filepath.Join(dir, "file") + ": is no folder"},
		"pattern": {dir, "[", `pattern "[": syntax error in pattern`},
	} {
		if _, err := newSources(c.dir, []string{c.ignore}, 1, 1); err == nil || err.Error() != c.err {
			t.Errorf("%s: %v, want %s", name, err, c.err)
		}
	}
}
