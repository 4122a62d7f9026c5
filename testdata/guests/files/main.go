// Files is a command: it does what programs do with files, and writes what came of each.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func main() {
	for _, try := range []struct {
		what string
		do   func() (any, error)
	}{
		{"getwd", func() (any, error) { return os.Getwd() }},
		{"open", func() (any, error) { return os.Open(".editorconfig") }},
		{"open deep", func() (any, error) { return os.Open("/home/user/.config/tool.toml") }},
		{"read", func() (any, error) { return os.ReadFile("/etc/hostname") }},
		{"stat", func() (any, error) { _, err := os.Stat("a"); return nil, err }},
		{"stat /", func() (any, error) {
			info, err := os.Stat("/")
			if err != nil {
				return nil, err
			}
			return info.IsDir(), nil
		}},
		{"readdir", func() (any, error) { return os.ReadDir(".") }},
		{"walk", func() (any, error) {
			seen := []string{}
			err := fs.WalkDir(os.DirFS("/"), ".", func(path string, _ fs.DirEntry, err error) error {
				seen = append(seen, path)
				return err
			})
			return seen, err
		}},
		{"readlink", func() (any, error) { return os.Readlink("a") }},
		{"create", func() (any, error) { return os.Create("a") }},
		{"mkdir", func() (any, error) { return nil, os.Mkdir("a", 0o700) }},
		{"mkdir deep", func() (any, error) { return nil, os.MkdirAll("a/b", 0o700) }},
		{"temp", func() (any, error) { return os.CreateTemp("", "x") }},
		{"write /", func() (any, error) { return os.OpenFile("/", os.O_RDWR, 0) }},
		{"remove", func() (any, error) { return nil, os.Remove("a") }},
		{"rename", func() (any, error) { return nil, os.Rename("a", "b") }},
		{"symlink", func() (any, error) { return nil, os.Symlink("a", "b") }},
		{"close 3", func() (any, error) { return nil, syscall.Close(3) }},
		{"open then", func() (any, error) { return os.Open(".editorconfig") }},
	} {
		got, err := try.do()
		errno := syscall.Errno(0)
		switch {
		case errors.As(err, &errno):
			got = errno.Error()
		case err != nil:
			got = err.Error()
		}
		fmt.Fprintf(os.Stdout, "%s: %v\n", try.what, got)
	}
}
