package scaffold

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ExistError is that files of a project are there already.
type ExistError struct {
	Dir   string
	Files []string // relative to Dir, with slashes
}

func (e *ExistError) Error() string {
	return e.Dir + ": has " + strings.Join(e.Files, ", ") + " already"
}

// folder is where files are written. Its errors are those of package os.
type folder interface {
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string) error
	// Create makes a file that must not be there.
	Create(name string) (io.WriteCloser, error)
	Remove(name string) error
}

// disk is the folder of the operating system.
type disk struct{}

func (disk) Stat(name string) (fs.FileInfo, error)  { return os.Stat(name) }
func (disk) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }
func (disk) Mkdir(name string) error                { return os.Mkdir(name, 0o755) }
func (disk) Remove(name string) error               { return os.Remove(name) }

func (disk) Create(name string) (io.WriteCloser, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a project's files are as readable as any
}

// write writes files below dir and returns their paths. Where it fails, it removes
// what it made, the last first.
func write(to folder, dir string, files []file) (paths []string, err error) {
	w := writer{folder: to}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.undo())
		}
	}()
	// Most faults are found before anything is made.
	if err := w.vacant(dir, files); err != nil {
		return nil, err
	}
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := w.makeDir(filepath.Dir(name)); err != nil {
			return nil, err
		}
		if err := w.writeFile(name, f.data); err != nil {
			return nil, err
		}
		paths = append(paths, f.path)
	}
	return paths, nil
}

type writer struct {
	folder

	made []string
}

// vacant checks that dir has none of the files.
func (w *writer) vacant(dir string, files []file) error {
	info, err := w.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return &fs.PathError{Op: "write to", Path: dir, Err: errors.New("is no directory")}
	}
	var there []string
	for _, f := range files {
		_, err := w.Lstat(filepath.Join(dir, filepath.FromSlash(f.path)))
		switch {
		case err == nil:
			there = append(there, f.path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if len(there) > 0 {
		return &ExistError{dir, there}
	}
	return nil
}

// makeDir makes a directory and those it is in, where they are not there.
func (w *writer) makeDir(dir string) error {
	err := w.Mkdir(dir)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := w.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = w.Mkdir(dir)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is none, the file in it tells
	}
	if err == nil {
		w.made = append(w.made, dir)
	}
	return err
}

func (w *writer) writeFile(name string, data []byte) error {
	f, err := w.Create(name)
	if err != nil {
		return err
	}
	w.made = append(w.made, name)
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// undo removes what was made. A directory in which others have put something
// meanwhile stays, and is told.
func (w *writer) undo() error {
	var errs []error
	for _, name := range slices.Backward(w.made) {
		if err := w.Remove(name); err != nil {
			errs = append(errs, fmt.Errorf("is left behind: %w", err))
		}
	}
	return errors.Join(errs...)
}
