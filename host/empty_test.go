package host_test

import (
	"errors"
	"testing"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestEmpty has plugins come to a host that began without.
func TestEmpty(t *testing.T) {
	h := hosted.Start(t, host.Config{
		StartEmpty: true, Translate: codec.New().Translate,
		Defaults:  host.PluginConfig{MemoryLimit: 16 << 20},
		Overrides: map[string]host.PluginConfig{"later": {Weight: 2}},
	})
	if p := h.Plugins(); len(p) != 0 {
		t.Errorf("plugins: %v", p)
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); !errors.Is(err, host.ErrUnknownTransform) {
		t.Error(err)
	}
	s := handWritten(t, "hostile")
	s.Tests = []byte(`{"transform": "hostile.echo", "input": "abc", "output": {"base64": "YWI="}}`)
	_, err := h.Deploy(t.Context(), s)
	if want := `plugin hostile: hostile.test.ndjson: line 1 of hostile.echo: base64: got "YWJj", want "YWI="`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	s.Tests = nil
	if r, err := h.Deploy(t.Context(), s); r != host.DeployLoaded || err != nil {
		t.Errorf("%s, %v", r, err)
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
		t.Error(err)
	}
	if got := h.Stats().Plugins[0].InstanceMemory; got != 4<<20 {
		t.Errorf("an instance has %d bytes", got)
	}
}
