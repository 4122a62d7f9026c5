package examples_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/internal/guestbuild"
	"github.com/resonhost/resonhost/internal/guesttest"
)

var update = flag.Bool("update", false, "write the programs' expected outputs anew")

// plugins are the packages of the plugins that make build and make examples build, by the files
// that they are built to.
var plugins = map[string]string{
	"bin/plugins/cascade.wasm":          guesttest.Cascade,
	"bin/plugins/tick.wasm":             guesttest.Tick,
	"bin/examples/shout/shout.wasm":     "./examples/plugins/shout",
	"bin/examples/louder/shout.wasm":    "./examples/plugins/louder",
	"bin/examples/greet/greet.wasm":     "./examples/plugins/greet",
	"bin/examples/invoice/invoice.wasm": guesttest.Invoice,
}

// TestExamples runs each program as its reader would, from a directory that make build and make
// examples have filled, and compares what it prints with its output.txt.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are programs %q, %v", files, err)
	}
	dir := t.TempDir()
	compiled := []string{"validate", "--cache-dir", "bin/cache", "--compile-timeout", "1h"}
	for file, pkg := range plugins {
		file = filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, guesttest.Build(t, pkg), 0o600)); err != nil {
			t.Fatal(err)
		}
		compiled = append(compiled, file)
	}
	build(t, dir)
	// The programs have the default limit for compiling, which a machine with other work may not keep.
	run(t, dir, "resonhost", compiled...)
	for _, file := range files {
		name := filepath.Dir(file)
		t.Run(name, func(t *testing.T) {
			golden.Check(t, filepath.Join(name, "output.txt"), run(t, dir, name), *update)
		})
	}
}

// build builds all programs, and the command, to a directory.
func build(t *testing.T, dir string) {
	t.Helper()
	packages := []string{"./examples/...", "./cmd/resonhost"}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", dir + "/"}, packages...)...)
	cmd.Dir = guesttest.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	for _, pkg := range packages {
		if err := guestbuild.ReadSources(t.Context(), cmd, pkg); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program that lies in a directory, from there, and returns what it prints.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s ends with %v\n%s%s", name, err, out, stderr.String())
	}
	return out
}
