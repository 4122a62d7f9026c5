// Package guesttest builds guests from source for tests.
package guesttest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/internal/checkout"
	"github.com/resonhost/resonhost/internal/guestbuild"
)

// Packages of the built-in plugins, for [Build] and [Dir].
const (
	Cascade = "./plugins/cascade/wasm"
	Tick    = "./plugins/tick/wasm"
	// Everyday does what Go programs do, in a transform each that needs no input.
	Everyday = "./testdata/guests/everyday"
	// Shout is a plugin of the examples, and Louder its version 2.
	Shout  = "./examples/plugins/shout"
	Louder = "./examples/plugins/louder"
	// Invoice is a plugin of the examples that calls the function "price".
	Invoice = "./examples/plugins/invoice"
)

// built has a func() ([]byte, error) for each guest that was asked for, so that
// a test binary builds none twice.
var built sync.Map

// Root is the directory of the module.
func Root() string { return checkout.Root() }

// Build returns the plugin that the package of that path, relative to the
// module's root, is. If it does not build, the test fails with the compiler's
// output.
func Build(tb testing.TB, pkg string) []byte {
	tb.Helper()
	wasm, err := Built(pkg)
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// BuildCommand is [Build] of a program, which is a command of WASI.
func BuildCommand(tb testing.TB, pkg string) []byte {
	tb.Helper()
	wasm, err := buildOnce("command "+pkg, func() ([]byte, error) {
		return guestbuild.Command(context.Background(), Root(), pkg) // which outlives the test
	})
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// Built is [Build] for those that have no test, such as examples. The error is a
// [*guestbuild.Error].
func Built(pkg string) ([]byte, error) {
	return buildOnce(pkg, func() ([]byte, error) {
		return guestbuild.Go(context.Background(), Root(), pkg) // which outlives the test
	})
}

func buildOnce(what string, build func() ([]byte, error)) ([]byte, error) {
	once, _ := built.LoadOrStore(what, sync.OnceValues(build))
	return once.(func() ([]byte, error))()
}

// Dir returns a directory that has the plugins of those packages, each called by
// the name that Name gives it.
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

// Name is the name of a package's plugin: the package's own, or of a directory
// "wasm" its parent's.
func Name(pkg string) string { return path.Base(strings.TrimSuffix(path.Clean(pkg), "/wasm")) }

// HandWritten returns the guest of that name in testdata/guests.
func HandWritten(tb testing.TB, name string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join(Root(), "testdata/guests", name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// Version is a version of the guest "swap", whose transforms answer with its tag.
type Version struct {
	// Tag is what it answers, of at most 16 bytes; what is left is filled with dots.
	Tag string
	// Mode is what an item that begins with '!' meets: 't' a trap, 'f' the status failed,
	// 's' an endless loop, 'w' a million turns of one, and anything else nothing.
	Mode byte
	// Stateless leaves streams without a new state.
	Stateless bool
	// Manifest replaces that of plugin "swap" with the one transform "swap".
	Manifest string
	// SelfTest is an output that a self-test wants; "" for none.
	SelfTest string
}

// manifestRoom is the length of a manifest in the guest "swap".
const manifestRoom = 0x400

// Swap returns a version of the guest "swap".
func Swap(tb testing.TB, v Version) []byte {
	tb.Helper()
	wasm := HandWritten(tb, "swap")
	put := func(at, data string) {
		i := bytes.Index(wasm, []byte(at))
		if i < 0 {
			tb.Fatalf("the guest swap lacks %q", at)
		}
		copy(wasm[i+len(at):], data)
	}
	if v.Mode != 0 {
		put("MODE:", string(v.Mode))
	}
	if v.Stateless {
		put("KEEP:", "0")
	}
	tag := SwapTag(v.Tag)
	put("TAG:", tag)
	m := v.Manifest
	if m == "" {
		m = `{"name": "swap", "version": "` + v.Tag + `", "transforms": [
			{"name": "swap", "input": "text/plain", "output": "text/plain", "state_bytes": 16}]`
		if v.SelfTest != "" {
			m += `, "self_tests": [{"name": "tag", "transform": "swap", "input": "", "output": "` + v.SelfTest + `"}]`
		}
		m += "}"
	}
	if len(m) > manifestRoom {
		tb.Fatalf("a manifest of %d bytes, there is room for %d", len(m), manifestRoom)
	}
	put("MANIFEST:", m+strings.Repeat(" ", manifestRoom-len(m)))
	return wasm
}

// SwapTag is what a version of the guest "swap" with that tag answers.
func SwapTag(tag string) string { return tag + strings.Repeat(".", 16-len(tag)) }

// CheckLean fails a test if the Go plugin in the directory wasm imports what makes a binary large: whatever it imports,
// every host compiles.
func CheckLean(tb testing.TB) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "go", "list", "-deps", "./wasm")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
	for _, heavy := range []string{"fmt", "encoding/json", "regexp", "embed", "os"} {
		if strings.Contains("\n"+string(out), "\n"+heavy+"\n") {
			tb.Errorf("the guest imports %s", heavy)
		}
	}
}
