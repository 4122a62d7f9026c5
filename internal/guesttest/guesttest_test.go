package guesttest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestDir(t *testing.T) {
	dir := guesttest.Dir(t, "./testdata/guests/echo")
	wasm, err := os.ReadFile(filepath.Join(dir, "echo.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(wasm, []byte("\x00asm")) {
		t.Errorf("echo.wasm begins with %q", wasm[:4])
	}
	if again := guesttest.Build(t, "./testdata/guests/echo"); !bytes.Equal(again, wasm) {
		t.Error("built twice, with different results")
	}
}

func TestName(t *testing.T) {
	for pkg, want := range map[string]string{
		"./plugins/cascade/wasm":  "cascade",
		"./plugins/tick/wasm/":    "tick",
		"./testdata/guests/echo":  "echo",
		"testdata/guests/hostile": "hostile",
	} {
		if got := guesttest.Name(pkg); got != want {
			t.Errorf("Name(%q) is %q, want %q", pkg, got, want)
		}
	}
}
