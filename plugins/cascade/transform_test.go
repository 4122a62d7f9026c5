package cascade

import (
	"math"
	"testing"

	"github.com/resonhost/resonhost/resonance/cascade"
)

func TestFalloff(t *testing.T) {
	const bound, steps = 3e-14, 1_000_000
	worst := 0.0
	for i := range steps + 1 {
		d := 0.5 * float64(i) / steps
		worst = max(worst, math.Abs(falloff(d)/math.Exp(-10*d*d)-1))
	}
	if worst > bound {
		t.Errorf("off by %g, the stated bound is %g", worst, bound)
	}
	t.Logf("off by %g at most", worst)
}

// TestSimilarity has the pairs of two harmonics through compare, whose
// tables are to find what a comparison with every special ratio does.
func TestSimilarity(t *testing.T) {
	want := func(r float64) float64 {
		for _, special := range []float64{1, 2, 3.0 / 2, 4.0 / 3, 5.0 / 4, 5.0 / 3, 8.0 / 5} {
			if math.Abs(r-special) < 0.01 {
				return 1
			}
		}
		if math.Abs(r-phi) < 0.01 || math.Abs(r-1/phi) < 0.01 {
			return 0.9
		}
		d := r - round(r)
		return math.Exp(-10 * d * d)
	}
	plain := func(f []float64) float64 {
		var tones, amplitudes []float64
		for _, base := range f {
			for n := 1.0; n <= harmonics; n++ {
				tones, amplitudes = append(tones, base*n), append(amplitudes, 1/n)
			}
		}
		sum := 0.0
		for i := range tones {
			for j := i + 1; j < len(tones); j++ {
				sum += want(tones[i]/tones[j]) * amplitudes[i] * amplitudes[j]
			}
		}
		return min(1, sum/float64(len(tones)))
	}
	ratios := []float64{1e24, 100.3, 12345.678, 1<<16 - 1.0/3, 1 << 16, 1<<48 - 1, 1 << 48, 1<<49 + 12345, 1<<50 + 1, 1 << 52, 1 << 55, 1e-24}
	for i := range 30_000 {
		ratios = append(ratios, float64(i)/5_000) // every ratio from 0 to 6
	}
	for r := 6.0; r < 2*farRatio; r *= 1.001 {
		ratios = append(ratios, r)
	}
	for _, r := range ratios {
		for _, f := range [][]float64{{432 * r, 432}, {-432 * r, 432}} {
			bound := 1e-13
			if r > 6 && r < farRatio {
				bound = 1e-10 // as farRatio says
			}
			if got, want := first(compare(f)), plain(f); math.Abs(got-want) > bound {
				t.Fatalf("ratio %v: %v, want %v", f[0]/f[1], got, want)
			}
		}
	}
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

func BenchmarkCompare(b *testing.B) {
	f := []float64{345.6, 396, 457.938, 575.1, 596.4}
	for b.Loop() {
		compare(f)
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

func first(v, _ float64, _ uint) float64 { return v }
