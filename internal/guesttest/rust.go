package guesttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guestbuild"
)

// BuildRust returns the Rust build of the built-in plugin of that name. If it does not
// build, the test fails with the compiler's output.
func BuildRust(tb testing.TB, name string) []byte {
	tb.Helper()
	file := "bin/plugins-simd/" + name + ".wasm"
	wasm, err := buildOnce(file, func() ([]byte, error) { return buildRust(file) })
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func buildRust(file string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "make", file) //nolint:gosec // the file is a test's constant
	cmd.Dir = Root()
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, &guestbuild.Error{Command: strings.Join(cmd.Args, " "), Output: output, Err: err}
	}
	return os.ReadFile(filepath.Join(Root(), file))
}

// BuildRustGuest returns the guest that a file of Rust is, below the root, which needs no crates.
func BuildRustGuest(tb testing.TB, file string) []byte {
	tb.Helper()
	rustc, _, _ := strings.Cut(RustPath(tb), string(filepath.ListSeparator))
	return compile(tb, file, filepath.Join(rustc, "rustc"), "--edition", "2021", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib", "-O")
}

// RustPath is a PATH on which the first rustc has the target for guests: there can be several.
func RustPath(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("PATH")
	for _, dir := range filepath.SplitList(path) {
		out, err := exec.CommandContext(tb.Context(), filepath.Join(dir, "rustc"), //nolint:gosec // the test's own PATH
			"--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(out))); err == nil { //nolint:gosec // what rustc says
			return dir + string(filepath.ListSeparator) + path
		}
	}
	tb.Fatal("no rustc has the target wasm32-unknown-unknown: apt-get install cargo libstd-rust-dev-wasm32")
	return ""
}
