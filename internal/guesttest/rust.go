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

// RustInstall is how Debian has what builds Rust guests.
const RustInstall = "apt-get install cargo libstd-rust-dev-wasm32"

// RustPath is a PATH on which the first rustc has the target: there can be several.
func RustPath(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("PATH")
	for _, dir := range filepath.SplitList(path) {
		out, err := exec.CommandContext(tb.Context(), filepath.Join(dir, "rustc"), //nolint:gosec // the compiler of the PATH is what is looked for
			"--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(out))); err == nil { //nolint:gosec // the compiler says where
			return dir + string(filepath.ListSeparator) + path
		}
	}
	tb.Fatalf("no rustc has the target wasm32-unknown-unknown. %s", RustInstall)
	return ""
}

// builtRust is as built, for crates of plugins/rust.
var builtRust sync.Map

// BuildRust returns the Rust build of the built-in plugin of that name. If it does not
// build, the test fails with the compiler's output.
func BuildRust(tb testing.TB, name string) []byte {
	tb.Helper()
	path := RustPath(tb)
	once, _ := builtRust.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) { return buildRust(path, name) }))
	wasm, err := once.(func() ([]byte, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

func buildRust(path, name string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "make", "bin/plugins-simd/"+name+".wasm") //nolint:gosec // the name is a test's constant
	cmd.Dir, cmd.Env = Root(), append(os.Environ(), "PATH="+path)
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, &buildError{strings.Join(cmd.Args, " "), output, err}
	}
	return os.ReadFile(filepath.Join(Root(), "bin/plugins-simd", name+".wasm"))
}
