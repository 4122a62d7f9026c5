package host_test

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// fastest is the least time that f takes of some.
func fastest(f func()) time.Duration {
	least := time.Duration(1<<63 - 1)
	for range 20 {
		began := time.Now()
		f()
		least = min(least, time.Since(began))
	}
	return least
}

// padded is a module with a custom section of n bytes behind it, of which each byte is fill.
func padded(wasm []byte, n int, fill byte) []byte {
	size := []byte{byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n>>14)&0x7f | 0x80, byte(n >> 21)}
	body := slices.Repeat([]byte{fill}, n)
	body[0], body[1] = 1, 'x' // the section's name
	return slices.Concat(wasm, []byte{0}, size, body)
}

// TestDescribingHashesNothing has a plugin with a version to go back to, of 16 MiB, and one
// that was refused: whoever asks about plugins, or for one that there is none of, holds a lock
// that tasks take, and must not hash them meanwhile.
func TestDescribingHashesNothing(t *testing.T) {
	wasm := guesttest.HandWritten(t, "hostile")
	versions := [][]byte{padded(wasm, 16<<20, 1), padded(wasm, 16<<20, 2)}
	h, err := host.New(host.Config{Plugins: []host.Source{{Name: "hostile", WASM: versions[0]}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer h.Close(t.Context())
	if _, err := h.Deploy(t.Context(), host.Source{Name: "hostile", WASM: versions[1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Deploy(t.Context(), host.Source{Name: "broken", WASM: versions[0][:16<<20]}); err == nil {
		t.Fatal("half a module serves")
	}
	hashing := fastest(func() { sha256.Sum256(versions[0]) })
	if p := h.Plugins(); len(p) == 0 || len(p[0].Previous) != 64 {
		t.Fatalf("%+v, want one with a version to go back to", p)
	}
	for name, ask := range map[string]func(){
		"Plugins": func() { h.Plugins() }, "Stats": func() { h.Stats() }, "Lookup": func() { _, _ = h.Lookup("none") },
	} {
		if took := fastest(ask); took > hashing/4 {
			t.Errorf("%s takes %v, and hashing one version %v", name, took, hashing)
		}
	}
}
