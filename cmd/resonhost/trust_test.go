package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/trust"
)

// TestTrustCoversWhatLiesBeside has a signed plugin refused with what nobody has signed beside it.
func TestTrustCoversWhatLiesBeside(t *testing.T) {
	signed := filepath.Join("..", "..", "trust", "testdata", "minisign")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(signed, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	o := newOptions()
	o.cacheDir, o.trust = "none", filepath.Join(signed, "first.pub")
	var cfg host.Config
	if err := o.setLoading(&cfg); err != nil {
		t.Fatal(err)
	}
	plugin := host.Source{Name: "echo", WASM: read("echo.wasm"), Beside: map[string][]byte{"echo.wasm.minisig": read("echo.wasm.minisig")}}
	if err := cfg.Accept(t.Context(), plugin); err != nil {
		t.Error(err)
	}
	tests, companion := plugin, plugin
	tests.Tests, companion.Companion = []byte("{}"), []byte("kind: native")
	for _, s := range []host.Source{tests, companion} {
		if err := cfg.Accept(t.Context(), s); !errors.Is(err, trust.ErrUnsigned) {
			t.Errorf("%q and %q beside it: %v", s.Tests, s.Companion, err)
		}
	}
}
