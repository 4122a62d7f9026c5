// Package guestbuild builds plugins from source, for tests.
package guestbuild

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Error is a command that failed.
type Error struct {
	// Command is what was run, and Output what it printed.
	Command string
	Output  []byte
	Err     error
}

func (e *Error) Error() string {
	return e.Command + ": " + e.Err.Error() + "\n" + string(e.Output)
}

func (e *Error) Unwrap() error { return e.Err }

// Go returns the plugin that a package in Go is, which the go command finds from dir. The error
// of one that does not build is an [*Error].
func Go(ctx context.Context, dir, pkg string) ([]byte, error) {
	return build(ctx, dir, pkg, "c-shared")
}

// Command is [Go] of a program, which is a command of WASI.
func Command(ctx context.Context, dir, pkg string) ([]byte, error) {
	return build(ctx, dir, pkg, "exe")
}

func build(ctx context.Context, dir, pkg, mode string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // what is left is the system's to clear
	out := filepath.Join(tmp, "guest.wasm")
	cmd := exec.CommandContext(ctx, //nolint:gosec // the package is a test's constant
		"go", "build", "-buildmode="+mode, "-trimpath", "-ldflags=-w", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, &Error{"GOOS=wasip1 GOARCH=wasm " + strings.Join(cmd.Args, " "), output, err}
	}
	if err := ReadSources(ctx, cmd, pkg); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// ReadSources reads what a go command builds a package from. The go command keeps the result of
// a test until a file changes that the test has read, and does not see what the
// build has.
func ReadSources(ctx context.Context, build *exec.Cmd, pkg string) error {
	cmd := exec.CommandContext(ctx, //nolint:gosec // as above
		"go", "list", "-deps", "-f", "{{if .Module}}{{.Dir}}{{end}}", pkg)
	cmd.Dir, cmd.Env = build.Dir, build.Env
	dirs, err := cmd.Output()
	if err != nil {
		return &Error{strings.Join(cmd.Args, " "), dirs, err}
	}
	for dir := range strings.FieldsSeq(string(dirs)) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if _, err := os.ReadFile(file); err != nil {
				return err
			}
		}
	}
	return nil
}
