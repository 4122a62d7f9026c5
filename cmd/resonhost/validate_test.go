package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestFaultsNameTheirFile has each line of what is wrong with a plugin say whose it is.
func TestFaultsNameTheirFile(t *testing.T) {
	dir := t.TempDir()
	wasm := guesttest.Swap(t, guesttest.Version{Tag: "v1", Manifest: `{"name": "Swap", "version": "", "transforms": []}`})
	file := filepath.Join(dir, "swap.wasm")
	if err := os.WriteFile(file, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prefix string
		args   []string
	}{
		{file + ": manifest: ", []string{"inspect", file}},
		{file + ": describe: manifest: ", []string{"validate", file}},
		{"plugin swap: manifest: ", []string{"call", "swap", "--plugins", dir}},
	} {
		_, stderr, code := command(t, c.args...)
		if n := strings.Count(stderr, "\n"); code != api.ExitPlugins || n != 3 || strings.Count(stderr, "resonhost: "+c.prefix) != n {
			t.Errorf("%q: exit code %d, want %d, and three lines that begin with %q:\n%s", c.args, code, api.ExitPlugins, c.prefix, stderr)
		}
	}
}
