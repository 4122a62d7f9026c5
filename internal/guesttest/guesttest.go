// Package guesttest builds plugins from their sources for tests.
package guesttest

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// build is one package, built once a process.
type build struct {
	once sync.Once
	wasm []byte
	out  []byte // what the toolchain said
	err  error
}

var (
	mu     sync.Mutex
	builds = make(map[string]*build) // guarded by mu
)

// Build returns the plugin that the package pkg is, such as
// "./plugins/cascade/wasm", a path from the module's root. It is built once a
// process; the bytes are shared and must not be changed. If it cannot be built,
// the test fails.
func Build(tb testing.TB, pkg string) []byte {
	tb.Helper()
	mu.Lock()
	b := builds[pkg]
	if b == nil {
		b = new(build)
		builds[pkg] = b
	}
	mu.Unlock()
	b.once.Do(func() { b.run(pkg) })
	if b.err != nil {
		tb.Fatalf("building a guest failed: %v; to see it, run in %s:\n\t%s %s\n%s",
			b.err, Root(), strings.Join(environment, " "), strings.Join(append(command, pkg), " "), b.out)
	}
	return b.wasm
}

var (
	environment = []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS="}
	command     = []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-w"}
)

func (b *build) run(pkg string) {
	dir, err := os.MkdirTemp("", "guesttest")
	if err != nil {
		b.err = err
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "-o", file, pkg)...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), environment...)
	if b.out, b.err = cmd.CombinedOutput(); b.err == nil {
		b.wasm, b.err = os.ReadFile(file)
	}
}

// Dir returns a directory, of the test's own, with the plugins that the packages
// pkgs are. Their files are called as [Name] says.
func Dir(tb testing.TB, pkgs ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, pkg := range pkgs {
		if err := os.WriteFile(filepath.Join(dir, Name(pkg)+".wasm"), Build(tb, pkg), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// Name is what a plugin's file is called, without ".wasm": the last part of its
// package's path that is not "wasm".
func Name(pkg string) string {
	return path.Base(strings.TrimSuffix(path.Clean(pkg), "/wasm"))
}

// HandWritten returns a guest of testdata/guests by its name, without ".wasm".
func HandWritten(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join(Root(), "testdata", "guests", name+".wasm"))
	if err != nil {
		tb.Fatalf("%v; run make guests-wat", err)
	}
	return bytes.Clone(wasm)
}

// Root is the module's root directory.
func Root() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..")
}
