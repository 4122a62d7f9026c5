package guesttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BuildRust returns the Rust build of the built-in plugin of that name. If it does not
// build, the test fails with the compiler's output.
func BuildRust(tb testing.TB, name string) []byte {
	tb.Helper()
	file := "bin/plugins-simd/" + name + ".wasm"
	return buildOnce(tb, file, func() ([]byte, error) { return buildRust(file) })
}

func buildRust(file string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "make", file) //nolint:gosec // the file is a test's constant
	cmd.Dir = Root()
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, &buildError{strings.Join(cmd.Args, " "), output, err}
	}
	return os.ReadFile(filepath.Join(Root(), file))
}
