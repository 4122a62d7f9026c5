package guesttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builtRust is as built, for crates of plugins/rust.
var builtRust sync.Map

// BuildRust returns the Rust build of the built-in plugin of that name. If it does not
// build, the test fails with the compiler's output.
func BuildRust(tb testing.TB, name string) []byte {
	tb.Helper()
	once, _ := builtRust.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) { return buildRust(name) }))
	wasm, err := once.(func() ([]byte, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func buildRust(name string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "make", "bin/plugins-simd/"+name+".wasm") //nolint:gosec // the name is a test's constant
	cmd.Dir = Root()
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, &buildError{strings.Join(cmd.Args, " "), output, err}
	}
	return os.ReadFile(filepath.Join(Root(), "bin/plugins-simd", name+".wasm"))
}
