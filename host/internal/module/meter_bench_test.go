package module_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// BenchmarkMetering runs cascade with counters and without, in turns, and reports
// the ratio of the medians.
func BenchmarkMetering(b *testing.B) {
	state := cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.75, PhiValue: 0.618, EmotionalResonance: 0.9, CreativeEmergence: 0.7}
	input, err := state.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	items, results := []abi.Item{{Payload: input}}, make([]abi.Result, 1)
	var ins []*module.Instance
	for _, i := range []module.Interrupt{module.Off, module.Metered} {
		opts := options()
		opts.Interrupt, opts.MemoryLimit = i, 64<<20
		m, err := module.Load(b.Context(), guesttest.Build(b, guesttest.Cascade), opts)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = m.Close(context.Background()) })
		in, err := m.Instantiate(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		ins = append(ins, in)
	}
	var took [2][]float64
	var fuel uint64
	for b.Loop() {
		for i, in := range ins {
			began := time.Now()
			for range 20 {
				var err error
				if fuel, err = in.Run(b.Context(), &module.Call{Items: items, Results: results}); err != nil {
					b.Fatal(err)
				}
			}
			took[i] = append(took[i], float64(time.Since(began))/20)
		}
	}
	var medians [2]float64
	for i := range took {
		slices.Sort(took[i])
		medians[i] = took[i][len(took[i])/2]
	}
	b.ReportMetric(medians[0], "plain-ns")
	b.ReportMetric(medians[1], "metered-ns")
	b.ReportMetric(medians[1]/medians[0], "ratio")
	b.ReportMetric(float64(fuel), "fuel")
}

// BenchmarkIsolation runs cascade in an instance that is reset and in one that is
// not, in turns.
func BenchmarkIsolation(b *testing.B) {
	state := cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.75, PhiValue: 0.618, EmotionalResonance: 0.9, CreativeEmergence: 0.7}
	input, err := state.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	items, results := []abi.Item{{Payload: input}}, make([]abi.Result, 1)
	opts := options()
	opts.MemoryLimit = 64 << 20
	m, err := module.Load(b.Context(), guesttest.Build(b, guesttest.Cascade), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close(context.Background())
	var ins [2]*module.Instance
	for i := range ins {
		if ins[i], err = m.Instantiate(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	var took [3][]float64
	for b.Loop() {
		for i, in := range ins {
			var run, reset time.Duration
			for range 20 {
				began := time.Now()
				if _, err := in.Run(b.Context(), &module.Call{Items: items, Results: results}); err != nil {
					b.Fatal(err)
				}
				ran := time.Now()
				run += ran.Sub(began)
				if i == 1 && !in.Reset() {
					b.Fatal("cannot be reset")
				}
				reset += time.Since(ran)
			}
			took[i] = append(took[i], float64(run)/20)
			if i == 1 {
				took[2] = append(took[2], float64(reset)/20)
			}
		}
	}
	for i, name := range []string{"shared-ns", "pristine-run-ns", "reset-ns"} {
		slices.Sort(took[i])
		b.ReportMetric(took[i][len(took[i])/2], name)
	}
}
