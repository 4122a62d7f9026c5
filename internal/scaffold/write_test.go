package scaffold

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// limited is a disk on which only so many things can be done before each fails.
type limited struct {
	disk

	left  int
	err   error
	stuck bool // nothing can be removed
	calls *int
}

func (l *limited) spend(op, name string) error {
	*l.calls++
	if l.left--; l.left < 0 {
		return &fs.PathError{Op: op, Path: name, Err: l.err}
	}
	return nil
}

func (l *limited) Mkdir(name string) error {
	if err := l.spend("mkdir", name); err != nil {
		return err
	}
	return l.disk.Mkdir(name)
}

func (l *limited) Create(name string) (io.WriteCloser, error) {
	if err := l.spend("open", name); err != nil {
		return nil, err
	}
	f, err := l.disk.Create(name)
	return &limitedFile{f, l, name}, err
}

func (l *limited) Remove(name string) error {
	if l.stuck {
		return &fs.PathError{Op: "remove", Path: name, Err: l.err}
	}
	return l.disk.Remove(name)
}

type limitedFile struct {
	io.WriteCloser

	l    *limited
	name string
}

func (f *limitedFile) Write(b []byte) (int, error) {
	if err := f.l.spend("write", f.name); err != nil {
		return 0, err
	}
	return f.WriteCloser.Write(b)
}

func (f *limitedFile) Close() error {
	err := f.l.spend("close", f.name)
	return errors.Join(err, f.WriteCloser.Close())
}

var project = []file{{"a", []byte("a")}, {"b/c", []byte("c")}, {"b/d/e", []byte("e")}}

// TestFailureLeavesNothing has each thing fail that writing a project does.
func TestFailureLeavesNothing(t *testing.T) {
	calls := 0
	if _, err := write(&limited{left: 1000, calls: &calls}, filepath.Join(t.TempDir(), "x", "y"), project); err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EACCES} {
		for n := range calls {
			parent := t.TempDir()
			paths, err := write(&limited{left: n, err: cause, calls: new(int)}, filepath.Join(parent, "x", "y"), project)
			if !errors.Is(err, cause) || paths != nil || strings.Contains(err.Error(), "left behind") {
				t.Errorf("at %d: %v, %v, want %v", n, paths, err, cause)
			}
			if left := list(t, parent); len(left) > 1 {
				t.Errorf("at %d: %q are left", n, left)
			}
		}
	}
}

// TestFailureLeavesOthers has what was there before stay.
func TestFailureLeavesOthers(t *testing.T) {
	dir := t.TempDir()
	if err := (disk{}).Mkdir(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	before := list(t, dir)
	// By then a, and all of b, have been written.
	if _, err := write(&limited{left: 10, err: syscall.ENOSPC, calls: new(int)}, dir, project); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("err %v", err)
	}
	if after := list(t, dir); !slices.Equal(after, before) {
		t.Errorf("%q, was %q", after, before)
	}
}

func TestUndoFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	_, err := write(&limited{left: 2, err: syscall.ENOSPC, stuck: true, calls: new(int)}, dir, project)
	a := filepath.Join(dir, "a")
	want := "write " + a + ": no space left on device\n" +
		"close " + a + ": no space left on device\n" +
		"is left behind: remove " + a + ": no space left on device\n" +
		"is left behind: remove " + dir + ": no space left on device"
	if err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

// TestRace has somebody else make a file after the check that there is none.
func TestRace(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a"), "theirs"
	_, err := write(racing{disk{}, func() error {
		f, err := disk{}.Create(first)
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, second)
		return errors.Join(err, f.Close())
	}}, dir, project)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("err %v", err)
	}
	if got := list(t, dir); !slices.Equal(got, []string{dir, first}) {
		t.Errorf("%q", got)
	}
}

type racing struct {
	disk

	first func() error
}

func (r racing) Create(name string) (io.WriteCloser, error) {
	if err := r.first(); err != nil {
		return nil, err
	}
	return r.disk.Create(name)
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	names := make(map[string]bool)
	if err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		names[name] = true
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(names))
}
