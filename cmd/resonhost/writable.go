package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// What config check tries of files that run writes. It leaves nothing behind.

// checkWritableDir says why a directory could not be made, or files in it.
func checkWritableDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return errors.New(dir + " is no directory")
		case err == nil:
			return tryFile(dir)
		case !errors.Is(err, fs.ErrNotExist):
			return reason(err)
		}
		if _, err := os.Lstat(dir); err == nil {
			return errors.New(dir + " is a symbolic link that leads nowhere")
		}
		dir = filepath.Dir(dir) // which run makes
	}
}

// checkAppendable says why nothing could be appended to a file, which is made in a directory that is there.
func checkAppendable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return reason(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return reason(err)
	}
	return checkWritableDir(filepath.Dir(path))
}

// tryFile makes a file in a directory, and removes it.
func tryFile(dir string) error {
	f, err := os.CreateTemp(dir, ".resonhost.*.tmp")
	if err != nil {
		return reason(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
