package module_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// BenchmarkGuards runs guests with guards and without, in turns, and reports the median of the
// ratios, with their quartiles.
func BenchmarkGuards(b *testing.B) {
	for _, c := range []struct {
		name      string
		wasm      []byte
		transform string
	}{
		{"cascade", guesttest.Build(b, guesttest.Cascade), ""},
		{"tick", guesttest.Build(b, guesttest.Tick), ""},
		{"noop", guesttest.HandWritten(b, "busy"), "busy.noop"},
		{"bodies", floats(b), "floats.bodies"},
		{"product", floats(b), "floats.product"},
		{"mandelbrot", floats(b), "floats.mandelbrot"},
		{"clamps", floats(b), "floats.clamps"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ins []*module.Instance
			items, results, transform := []abi.Item{{Payload: make([]byte, 8)}}, make([]abi.Result, 1), 0
			for _, unguarded := range []bool{false, true} {
				opts := options()
				opts.MemoryLimit, opts.CallDepth, opts.Unguarded = 64<<20, 100_000, unguarded
				m, err := module.Load(b.Context(), c.wasm, opts)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = m.Close(context.Background()) })
				in, err := m.Instantiate(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				ins = append(ins, in)
				doc := m.Info().Manifest
				for i, t := range doc.Transforms {
					if t.Name == c.transform {
						transform = i
					}
				}
				if at := slices.IndexFunc(doc.SelfTests, func(s manifest.SelfTest) bool { return s.Transform == doc.Transforms[transform].Name }); at >= 0 {
					items[0].Payload, items[0].State = doc.SelfTests[at].Input, doc.SelfTests[at].State
				}
			}
			run := func(in *module.Instance, n int) time.Duration {
				began := time.Now()
				for range n {
					if _, err := in.Run(b.Context(), module.Call{Transform: transform, Items: items, Results: results}); err != nil {
						b.Fatal(err)
					}
				}
				return time.Since(began)
			}
			run(ins[0], 20)
			// Short turns, of which few are disturbed.
			n := max(1, int(20*100*time.Microsecond/run(ins[1], 20)))
			var ratios []float64
			for b.Loop() {
				first := len(ratios) % 2 // either goes first
				var took [2]time.Duration
				took[first] = run(ins[first], n)
				took[1-first] = run(ins[1-first], n)
				ratios = append(ratios, float64(took[0])/float64(took[1]))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/4], "lower-quartile")
			b.ReportMetric(ratios[len(ratios)/2], "guarded/unguarded")
			b.ReportMetric(ratios[len(ratios)*3/4], "upper-quartile")
		})
	}
}

// floats builds the guest of that name.
func floats(b *testing.B) []byte {
	b.Helper()
	clang, err := exec.LookPath("clang")
	if err != nil {
		b.Fatal("clang is missing: install the Debian packages clang and lld")
	}
	out := filepath.Join(b.TempDir(), "floats.wasm")
	source := filepath.Join(guests, "floats", "floats.c")
	cmd := exec.CommandContext(b.Context(), clang, "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry", "-o", out, source)
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}
