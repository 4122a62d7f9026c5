// Package cascade is harmonic resonance analysis of one state, as a pure
// transform and as a plugin.
//
// # Formulas
//
// The base frequencies are awareness × 432, coherence × 528, phi × 741, emotional
// × 639 and creative × 852 Hz, without those of a value that is 0; if none is
// left, 432, 528 and 639 Hz. Octave k of eight has the base frequencies times 2ᵏ,
// each with the harmonics n = 1…5 of frequency f·n, amplitude 1/n and phase
// n·π/4.
//
// The resonance of an octave is min(1, Σ s(fᵢ/fⱼ)·aᵢ·aⱼ / number of harmonics)
// over all pairs i < j of its harmonics, where s is 1 for a ratio within 0.01 of
// 1, 2, 3/2, 4/3, 5/4, 5/3 or 8/5; else 0.9 within 0.01 of φ or 1/φ; else
// exp(−10·(r − round r)²). Its golden alignment is the mean over pairs of base
// frequencies of max(0, 1 − |fᵢ/fⱼ − φ|/φ). Both depend on ratios alone, and
// scaling by 2ᵏ is exact in binary floating point, so they are the same in every
// octave and computed once.
//
// What follows from them is with the function that computes it.
package cascade

import (
	"math"

	"github.com/resonhost/resonhost/resonance/cascade"
)

const (
	phi       = 1.618033988749895
	threshold = 0.7

	harmonics = cascade.HarmonicsPerFrequency
)

// bases are the frequencies in Hz by which the values of a state are multiplied.
var bases = [cascade.MaxFrequencies]float64{432, 528, 741, 639, 852}

// emotions are the frequencies of joy, love, peace, insight and unity in Hz.
var emotions = [...]float64{528, 639, 741, 852, 963}

// neutral is the index of the emotion of no resonance.
const neutral = len(emotions)

// Analyze computes the result of a valid state whose stream has the given
// history, and adds the result to the history. It uses the memory of r's slices
// again.
func Analyze(s *cascade.State, history *cascade.History, r *cascade.Result) {
	var a cascade.Analysis
	analyze(s, history, &a)
	a.Expand(r)
}

func analyze(s *cascade.State, history *cascade.History, a *cascade.Analysis) {
	values := s.Values()
	n := frequencies(values[:], a.Frequencies[:])
	if n == 0 {
		n = copy(a.Frequencies[:], []float64{432, 528, 639})
	}
	f := a.Frequencies[:n]
	a.Frequency, a.Full, a.Timestamp = n, s.Detail != cascade.DetailSummary, s.Timestamp
	var whole uint
	a.Resonance, a.GoldenAlignment, whole = compare(f)
	a.Converges = a.Resonance > threshold
	a.Dominant, a.DominantStrength = feel(f, a.Emotions[:])
	a.Creative = create(a, history)
	stand(f, whole, a)
	a.Score, a.Quality = score(a)
	history.Add(cascade.Pattern{a.Resonance, a.Resonance, a.Resonance, a.Resonance, a.Resonance, a.Resonance, a.Resonance, a.Resonance})
}

// frequencies sets f to the frequencies of the values that are not 0, and returns how many
// there are.
//
//go:noinline
//go:nosplit
func frequencies(values, f []float64) int {
	n := uint(0)
	for i := range bases {
		if i >= len(values) || n >= uint(len(f)) {
			break
		}
		if values[i] == 0 {
			continue
		}
		f[n] = values[i] * bases[i]
		n++
	}
	return int(n)
}

// round rounds half up, towards +∞, as JavaScript does.
func round(v float64) float64 {
	whole := math.Floor(v)
	if v-whole >= 0.5 {
		whole++
	}
	return whole
}

// closeness is max(0, 1 − |v − to|/to), by arithmetic: Go's max is a call in a guest,
// and a comparison a jump.
func closeness(v, to float64) float64 {
	c := 1 - math.Abs(v-to)/to
	return 0.5 * (c + math.Abs(c))
}

// atMost1 is min(1, v).
func atMost1(v float64) float64 {
	if v > 1 {
		return 1
	}
	return v
}

// feel computes the resonance of each emotion e: the mean over base frequencies f
// of max(0, 1 − |f − e|/e) + ½·Σ max(0, 1 − |f − e·h|/(e·h)), h = 2, 3, 4. The
// first that is strictly the largest above 0 dominates.
//
//go:noinline
//go:nosplit
func feel(f, strengths []float64) (dominant int, strength float64) {
	dominant = neutral
	if len(strengths) < len(emotions) {
		return dominant, 0
	}
	n := float64(len(f))
	for i := range emotions {
		e := emotions[i]
		e2, e3, e4 := e*2, e*3, e*4
		sum := 0.0
		for _, base := range f {
			sum += closeness(base, e) + 0.5*(closeness(base, e2)+closeness(base, e3)+closeness(base, e4))
		}
		sum /= n
		strengths[i] = sum
		if sum > strength {
			dominant, strength = i, sum
		}
	}
	return dominant, strength
}

// create computes the creative patterns of the octaves' resonances:
// fractal depth, the mean over i = 0…5 of max(0, 1 − |q₁ − q₂|/max(q₁, q₂)) of
// the ratios q of neighbours, which is 1, as all are alike; rhythmic complexity,
// min(1, 2·standard deviation), which is 0 but for rounding; harmonic richness, overall
// convergence × largest strength; emergent novelty, the least of 1 and of 1 − mean(1 −
// |now − then|) over the last ten results, 0.5 with fewer.
func create(a *cascade.Analysis, history *cascade.History) cascade.CreativePatterns {
	r := a.Resonance
	off := r - (r+r+r+r+r+r+r+r)/cascade.Octaves
	off *= off
	c := cascade.CreativePatterns{
		FractalDepth: 1, RhythmicComplexity: atMost1(2 * math.Sqrt((off+off+off+off+off+off+off+off)/cascade.Octaves)), EmergentNovelty: 0.5,
	}
	if a.Converges {
		c.HarmonicRichness = r
	}
	if history.Length >= cascade.HistoryPatterns {
		c.EmergentNovelty = novelty(r, history.Patterns)
	}
	return c
}

//go:noinline
//go:nosplit
func novelty(now float64, history []cascade.Pattern) float64 {
	least := 1.0
	for i := range history {
		h, g, f, e := history[i][7], history[i][6], history[i][5], history[i][4]
		d, c, b, a := history[i][3], history[i][2], history[i][1], history[i][0]
		alike := 1 - math.Abs(now-a) + (1 - math.Abs(now-b)) + (1 - math.Abs(now-c)) + (1 - math.Abs(now-d)) +
			(1 - math.Abs(now-e)) + (1 - math.Abs(now-f)) + (1 - math.Abs(now-g)) + (1 - math.Abs(now-h))
		if v := 1 - alike/cascade.Octaves; v < least {
			least = v
		}
	}
	return least
}

// stand describes the pairs of base frequencies whose ratio is within 0.01 of a whole
// number. Stability is their share of all pairs; 0 without a pair.
func stand(f []float64, whole uint, a *cascade.Analysis) {
	a.Wave, a.Stability = 0, 0
	if whole == 0 {
		return
	}
	for i := range f {
		for j := i + 1; j < len(f); j++ {
			if whole&1 == 1 {
				r := f[i] / f[j]
				a.Waves[a.Wave] = cascade.Node{Frequencies: [2]float64{f[i], f[j]}, Ratio: round(r), Strength: 1 - math.Abs(r-round(r))}
				a.Wave++
			}
			whole >>= 1
		}
	}
	a.Stability = float64(a.Wave) / float64(len(f)*(len(f)-1)/2)
}

// score is min(1, 0.25·mean resonance + 0.20·overall convergence + 0.20·largest
// emotion + 0.20·mean of the creative patterns + 0.15·stability), and the index of its
// quality.
func score(a *cascade.Analysis) (score float64, quality int) {
	p := &a.Creative
	creative := (p.FractalDepth + p.RhythmicComplexity + p.HarmonicRichness + p.EmergentNovelty) / 4
	convergence := 0.0
	if a.Converges {
		convergence = 1
	}
	score = atMost1(0.25*a.Resonance + 0.20*convergence + 0.20*a.DominantStrength + 0.20*creative + 0.15*a.Stability)
	switch {
	case score >= 0.9:
		return score, 0
	case score >= 0.7:
		return score, 1
	case score >= 0.5:
		return score, 2
	case score >= 0.3:
		return score, 3
	}
	return score, 4
}
