package auth

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Edit replaces a file of tokens by what change makes of it, all at once: who reads it meanwhile has
// the one or the other. A file that is not there is empty, and made for its owner alone. The others
// keep owner and mode. Several who edit at once wait for each other, except on systems without locks
// of files. A link stays one: what it leads to is replaced.
func Edit(path string, change func([]byte) ([]byte, error)) (err error) {
	if at, err := filepath.EvalSymlinks(path); err == nil {
		path = at
	}
	_, absent := os.Stat(path)
	f, err := lockCurrent(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which unlocks it, too
	before, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && len(before) == 0 && errors.Is(absent, fs.ErrNotExist) { // an empty file counts as a broken one
			err = errors.Join(err, os.Remove(path))
		}
	}()
	after, err := change(before)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return replace(path, after, info)
}

// lockCurrent opens a file and locks it. It is the one that the path leads to: another that had the
// lock may have put a new one there.
func lockCurrent(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		mine, err := f.Stat()
		switch {
		case err != nil:
		case !mine.Mode().IsRegular():
			err = &fs.PathError{Op: "edit", Path: path, Err: errors.New("not a regular file")}
		default:
			err = lock(f)
		}
		var there os.FileInfo
		if err == nil {
			there, err = os.Stat(path)
		}
		if err == nil && os.SameFile(mine, there) {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// replace puts a new file in the place of another, with its mode and owner.
func replace(path string, content []byte, as os.FileInfo) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // err says what went wrong
		}
	}()
	_, err = f.Write(content)
	err = errors.Join(err, own(f, as), f.Chmod(as.Mode().Perm()), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
