package module_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// everyday loads the guest of that name, and returns an instance and its transforms' names.
func everyday(tb testing.TB, opts module.Options) (*module.Instance, []string) {
	tb.Helper()
	opts.MemoryLimit, opts.CallDepth = 64<<20, 100_000
	m, err := module.Load(tb.Context(), guesttest.Build(tb, guesttest.Everyday), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	in, err := m.Instantiate(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, t := range m.Info().Manifest.Transforms {
		names = append(names, t.Name)
	}
	return in, names
}

func answer(tb testing.TB, in *module.Instance, transform int) string {
	tb.Helper()
	results := make([]abi.Result, 1)
	if _, err := in.Run(tb.Context(), &module.Call{Transform: transform, Items: make([]abi.Item, 1), Results: results}); err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("%v %s", results[0].Status, results[0].Payload)
}

// TestTables has what Go programs do come to the same with the tables of their functions
// and without: goroutines, panics, growing stacks and collections of garbage among it.
func TestTables(t *testing.T) {
	var want []string
	for _, c := range []struct {
		interpret, keep bool
		interrupt       module.Interrupt
	}{{true, true, module.Off}, {true, false, module.Metered}, {false, false, module.Off}, {false, false, module.Metered}} {
		opts := options()
		opts.Interpret, opts.KeepTables, opts.Interrupt = c.interpret, c.keep, c.interrupt
		in, names := everyday(t, opts)
		for range 2 { // the second time in what the first has left
			var got []string
			for i := range names {
				got = append(got, answer(t, in, i))
			}
			if want == nil {
				want = got
				t.Logf("%q", want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %q", c, got)
			}
		}
	}
}

// BenchmarkTables runs what Go programs do with the tables of their functions and without,
// in turns, and reports how much faster the latter is: the median of ratios, and its
// quartiles.
func BenchmarkTables(b *testing.B) {
	var ins []*module.Instance
	var names []string
	for _, keep := range []bool{true, false} {
		opts := options()
		opts.KeepTables = keep
		in, all := everyday(b, opts)
		ins, names = append(ins, in), all
	}
	for i, name := range names {
		b.Run(name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				var took [2]time.Duration
				for k, in := range ins {
					began := time.Now()
					answer(b, in, i)
					took[k] = time.Since(began)
				}
				ratios = append(ratios, float64(took[0])/float64(took[1]))
			}
			slices.Sort(ratios)
			for _, q := range []int{25, 50, 75} {
				b.ReportMetric(ratios[len(ratios)*q/100], fmt.Sprintf("p%d-faster", q))
			}
		})
	}
}
