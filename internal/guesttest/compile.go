package guesttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guestbuild"
)

// BuildCGuest returns the guest that a file of C is, below the root, which needs no libc. The compiler gets
// the flags beside its own.
func BuildCGuest(tb testing.TB, file string, flags ...string) []byte {
	tb.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		tb.Fatal("clang is missing: apt-get install clang lld")
	}
	own := []string{"--target=wasm32", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry"}
	return compile(tb, file, "clang", append(own, flags...)...)
}

// compile returns what a compiler makes of a file, when it is given that and where to put it too.
func compile(tb testing.TB, file, compiler string, args ...string) []byte {
	tb.Helper()
	source, out := filepath.Join(Root(), file), filepath.Join(tb.TempDir(), "guest.wasm")
	cmd := exec.CommandContext(tb.Context(), compiler, append(args, "-o", out, source)...) //nolint:gosec // the file is a test's constant
	if output, err := cmd.CombinedOutput(); err != nil {
		tb.Fatal(&guestbuild.Error{Command: strings.Join(cmd.Args, " "), Output: output, Err: err})
	}
	if _, err := os.ReadFile(source); err != nil { // for the go command, see guestbuild.ReadSources
		tb.Fatal(err)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}
