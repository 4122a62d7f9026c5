package module_test

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/internal/guesttest"
)

var gate = flag.String("gate", "", "a file of the most that ratios may be, as bench/guards.txt is: beyond them, benchmarks of ratios fail")

// mostOf returns what the gate allows the benchmark; 0 if there is no gate.
func mostOf(b *testing.B) float64 {
	b.Helper()
	if *gate == "" {
		return 0
	}
	text, err := os.ReadFile(*gate)
	if err != nil {
		b.Fatal(err)
	}
	name := strings.TrimPrefix(b.Name(), "Benchmark")
	for line := range strings.Lines(string(text)) {
		of, value, _ := strings.Cut(line, "|")
		if strings.TrimSpace(of) != name {
			continue
		}
		most, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(most > 0) {
			b.Fatalf("%s: %s: want a number above 0, not %q", *gate, name, strings.TrimSpace(value))
		}
		return most
	}
	b.Fatalf("%s: there is no bound for %s", *gate, name)
	return 0
}

// reportRatio reports the median of the ratios of many rounds, with their quartiles. In a round two
// things run one after the other, of which either goes first in turn. If the median exceeds the bound
// of the gate three times in a row, the benchmark fails: what disturbs a while is no fault of the code's.
func reportRatio(b *testing.B, name string, round func(first int) float64) {
	b.Helper()
	most := mostOf(b)
	var ratios []float64
	for b.Loop() {
		ratios = append(ratios, round(len(ratios)%2))
	}
	const least, attempts = 5, 3
	for attempt := 1; ; attempt++ {
		for len(ratios) < least {
			ratios = append(ratios, round(len(ratios)%2))
		}
		slices.Sort(ratios)
		median := ratios[len(ratios)/2]
		if exceeds := most > 0 && !(median <= most); !exceeds || attempt == attempts {
			if exceeds {
				b.Errorf("%s is %.3f, %d times in a row more than the bound %.3f of %s", name, median, attempts, most, *gate)
			}
			break
		}
		for again := range ratios {
			ratios[again] = round(again % 2)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(ratios)), "rounds")
	b.ReportMetric(ratios[len(ratios)/4], "lower-quartile")
	b.ReportMetric(ratios[len(ratios)/2], name)
	b.ReportMetric(ratios[len(ratios)*3/4], "upper-quartile")
}

// BenchmarkGuards runs guests with guards and without, in turns.
func BenchmarkGuards(b *testing.B) {
	inC, inRust := floatsInC(b), floatsInRust(b)
	for _, c := range []struct {
		name      string
		wasm      []byte
		transform string
	}{
		{"cascade", guesttest.Build(b, guesttest.Cascade), ""},
		{"tick", guesttest.Build(b, guesttest.Tick), ""},
		{"noop", guesttest.HandWritten(b, "busy"), "busy.noop"},
		{"bodies", inC, "floats.bodies"},
		{"product", inC, "floats.product"},
		{"mandelbrot", inC, "floats.mandelbrot"},
		{"clamps", inC, "floats.clamps"},
		{"swarm", inRust, "floats.swarm"},
		{"fourier", inRust, "floats.fourier"},
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
					if _, err := in.Run(b.Context(), &module.Call{Transform: transform, Items: items, Results: results}); err != nil {
						b.Fatal(err)
					}
				}
				return time.Since(began)
			}
			run(ins[0], 20)
			// Short turns, of which few are disturbed.
			n := max(1, int(20*100*time.Microsecond/run(ins[1], 20)))
			reportRatio(b, "guarded/unguarded", func(first int) float64 {
				var took [2]time.Duration
				took[first] = run(ins[first], n)
				took[1-first] = run(ins[1-first], n)
				return float64(took[0]) / float64(took[1])
			})
		})
	}
}

// BenchmarkVerify loads cascade with its self-tests compared with the interpreter's answers and
// without, in turns: each time as if for the first time, and from a cache that knows that they were
// compared.
func BenchmarkVerify(b *testing.B) {
	wasm := guesttest.Build(b, guesttest.Cascade)
	load := func(b *testing.B, cache *module.Cache, verify bool) (time.Duration, module.Info) {
		b.Helper()
		opts := options()
		opts.MemoryLimit, opts.InitTimeout, opts.Verify, opts.Cache = 64<<20, time.Minute, verify, cache
		began := time.Now()
		m, err := module.Load(b.Context(), wasm, opts)
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		defer m.Close(context.Background())
		return took, m.Info()
	}
	for _, name := range []string{"first", "cached"} {
		b.Run(name, func(b *testing.B) {
			var cache *module.Cache
			if name == "cached" {
				cache = module.OpenCache(b.TempDir(), 1<<30, slog.New(slog.DiscardHandler))
				load(b, cache, true)
				if _, info := load(b, cache, true); !info.Verified.Cached {
					b.Fatal("the cache does not know that the self-tests were compared")
				}
			}
			reportRatio(b, "verified/unverified", func(first int) float64 {
				var took [2]time.Duration
				took[first], _ = load(b, cache, first == 0)
				took[1-first], _ = load(b, cache, first == 1)
				return float64(took[0]) / float64(took[1])
			})
		})
	}
}

// floatsInC and floatsInRust build the guests of testdata/guests/floats.
func floatsInC(b *testing.B) []byte {
	b.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		b.Fatal("clang is missing: install the Debian packages clang and lld")
	}
	return floats(b, "floats.c", "clang", "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry")
}

func floatsInRust(b *testing.B) []byte {
	b.Helper()
	b.Setenv("PATH", guesttest.RustPath(b))
	return floats(b, "floats.rs", "rustc", "--edition", "2021", "--crate-type", "cdylib", "--target", "wasm32-unknown-unknown",
		"-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols")
}

func floats(b *testing.B, source, compiler string, args ...string) []byte {
	b.Helper()
	out := filepath.Join(b.TempDir(), "floats.wasm")
	args = append(args, "-o", out, filepath.Join(guests, "floats", source))
	if text, err := exec.CommandContext(b.Context(), compiler, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", source, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}
