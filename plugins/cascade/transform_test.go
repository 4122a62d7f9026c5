package cascade

import (
	"math"
	"testing"

	"github.com/resonhost/resonhost/abi/cascade"
)

func TestExp(t *testing.T) {
	const bound, steps = 4e-15, 1_000_000
	worst := 0.0
	for i := range steps + 1 {
		x := -2.5 * float64(i) / steps
		worst = max(worst, math.Abs(eighthPower(eighth(x/8))/math.Exp(x)-1))
	}
	if worst > bound {
		t.Errorf("off by %g, the stated bound is %g", worst, bound)
	}
	t.Logf("off by %g at most", worst)
}

func eighthPower(v float64) float64 {
	v *= v
	v *= v
	return v * v
}

func TestRound(t *testing.T) {
	for _, c := range [][2]float64{
		{0.5, 1}, {-0.5, 0}, {-1.5, -1}, {2.5, 3}, {0.49999999999999994, 0}, {-0.2, 0}, {1e15 + 0.5, 1e15 + 1}, {1 << 60, 1 << 60},
	} {
		if got := round(c[0]); got != c[1] {
			t.Errorf("round(%v) is %v, want %v", c[0], got, c[1])
		}
	}
}

// TestFinite has the bounds of what Validate accepts.
func TestFinite(t *testing.T) {
	values := []float64{0, 1e-12, -1e-12, 1, 1e12, -1e12}
	var history cascade.History
	var result cascade.Result
	for _, a := range values {
		for _, b := range values {
			for _, c := range values {
				s := &cascade.State{AwarenessLevel: a, CoherenceScore: b, PhiValue: c, EmotionalResonance: a, CreativeEmergence: 1}
				if err := s.Validate(); err != nil {
					t.Fatal(err)
				}
				Analyze(s, &history, &result)
				record, err := result.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				for i := 56; i < len(record); i += 8 {
					var v float64
					for j := range 8 {
						v = math.Float64frombits(math.Float64bits(v) | uint64(record[i+j])<<(8*j))
					}
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Fatalf("%+v gives %v at byte %d", s, v, i)
					}
				}
				state, err := history.AppendBinary(nil)
				if err == nil {
					err = new(cascade.History).UnmarshalBinary(state)
				}
				if err != nil {
					t.Fatalf("%+v gives a history that cannot be read: %v", s, err)
				}
			}
		}
	}
}

func TestNoAllocationOnReuse(t *testing.T) {
	s := &cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.7, PhiValue: 0.6, EmotionalResonance: 0.5, CreativeEmergence: 0.4}
	var history cascade.History
	var result cascade.Result
	for range 12 {
		Analyze(s, &history, &result)
	}
	if n := testing.AllocsPerRun(50, func() { Analyze(s, &history, &result) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAnalyze(b *testing.B) {
	s := &cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.7, PhiValue: 0.6, EmotionalResonance: 0.5, CreativeEmergence: 0.4}
	var history cascade.History
	var result cascade.Result
	b.ReportAllocs()
	for b.Loop() {
		Analyze(s, &history, &result)
	}
}
