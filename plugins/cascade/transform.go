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

	"github.com/resonhost/resonhost/abi/cascade"
)

const (
	phi       = 1.618033988749895
	threshold = 0.7

	harmonics = cascade.HarmonicsPerFrequency
	maxTones  = cascade.MaxFrequencies * harmonics
)

// bases are the frequencies in Hz by which the values of a state are multiplied.
var bases = [cascade.MaxFrequencies]float64{432, 528, 741, 639, 852}

// emotions are the frequencies of the emotions in Hz.
var emotions = [...]struct {
	name      cascade.Emotion
	frequency float64
}{
	{cascade.Joy, 528}, {cascade.Love, 639}, {cascade.Peace, 741}, {cascade.Insight, 852}, {cascade.Unity, 963},
}

// Analyze computes the result of a valid state whose stream has the given
// history, and adds the result to the history. It uses the memory of r's slices
// again.
func Analyze(s *cascade.State, history *cascade.History, r *cascade.Result) {
	var base [cascade.MaxFrequencies]float64
	n := 0
	for i, v := range s.Values() {
		if v != 0 {
			base[n] = v * bases[i]
			n++
		}
	}
	if n == 0 {
		n = copy(base[:], []float64{432, 528, 639})
	}
	f := base[:n]
	r.Timestamp = s.Timestamp
	resonance, alignment := octaveResonance(f), goldenAlignment(f)
	describeOctaves(f, resonance, alignment, s.Detail != cascade.DetailSummary, r)
	converge(resonance, alignment, &r.Convergence)
	feel(f, r)
	var pattern cascade.Pattern
	for i := range pattern {
		pattern[i] = resonance
	}
	create(&pattern, history, &r.Convergence, &r.CreativePatterns)
	stand(f, &r.StandingWaves)
	score(resonance, r)
	history.Add(pattern)
}

// octaveResonance is the resonance of an octave with those base frequencies.
//
// It is where the time goes: 300 pairs for five frequencies. So it is one loop
// without a call, over arrays whose length the compiler knows, and without a branch
// but its own: in a guest a call costs more than the arithmetic, and so does a jump,
// which is one to the function's beginning and through a table.
func octaveResonance(f []float64) float64 {
	var tones [maxTones]struct{ frequency, amplitude float64 }
	n := 0
	for _, base := range f {
		for k := range harmonics {
			tones[n].frequency, tones[n].amplitude = base*float64(k+1), amplitudes[k]
			n++
		}
	}
	sum := 0.0
	scores := [4]float64{1: 1, 2: 0.9}
	for i := range tones[:n] {
		t := tones[i]
		for _, u := range tones[i+1 : n] {
			r := t.frequency / u.frequency
			scores[0] = falloff(0.5 - math.Abs(r-math.Floor(r)-0.5)) // the distance to round(r)
			// Whatever the index is for ratios beyond the table, they are not near.
			c := &special[int(r*16)&(len(special)-1)]
			s := 0
			if math.Abs(r-c[1].ratio) < 0.01 {
				s = c[1].score
			}
			if math.Abs(r-c[0].ratio) < 0.01 {
				s = c[0].score
			}
			sum += scores[s&3] * t.amplitude * u.amplitude
		}
	}
	return atMost1(sum / float64(n))
}

// special has the special ratios that are within 0.01 of k/16 to (k+1)/16, the one
// that counts first, and for what they count: 1 is 1, 2 is 0.9.
var special = [64][2]struct {
	ratio float64
	score int
}{
	9:  {{1 / phi, 2}},
	10: {{1 / phi, 2}},
	15: {{1, 1}},
	16: {{1, 1}},
	19: {{5.0 / 4, 1}},
	20: {{5.0 / 4, 1}},
	21: {{4.0 / 3, 1}},
	23: {{3.0 / 2, 1}},
	24: {{3.0 / 2, 1}},
	25: {{8.0 / 5, 1}, {phi, 2}},
	26: {{5.0 / 3, 1}, {phi, 2}},
	31: {{2, 1}},
	32: {{2, 1}},
}

// falloff is exp(−10·d²) for d within 0 and ½, within 2e-14 relative: the 16th
// power of exp(y), which for y within ±0.625/8 is its Taylor polynomial within
// 3e-16, times exp(−1.25). Unlike math.Exp it is inlined, and the same to the last
// bit in a guest and on amd64.
func falloff(d float64) float64 {
	y := 0.625/8 - 10.0/16*d*d
	y2 := y * y
	e := 1 + y + (1.0/2+y*(1.0/6))*y2 + (1.0/24+y*(1.0/120)+(1.0/720+y*(1.0/5040))*y2+y2*y2*(1.0/40320))*y2*y2
	e *= e
	e *= e
	e *= e
	return e * e * 0.28650479686019010032
}

// round rounds half up, towards +∞, as JavaScript does.
func round(v float64) float64 {
	whole := math.Floor(v)
	if v-whole >= 0.5 {
		whole++
	}
	return whole
}

// goldenAlignment is the mean closeness of ratios to φ; 0 without a pair.
func goldenAlignment(f []float64) float64 {
	sum, pairs := 0.0, 0
	for i := range f {
		for j := i + 1; j < len(f); j++ {
			sum += closeness(f[i]/f[j], phi)
			pairs++
		}
	}
	if pairs == 0 {
		return 0
	}
	return sum / float64(pairs)
}

func describeOctaves(f []float64, resonance, alignment float64, full bool, r *cascade.Result) {
	r.OctaveAnalysis = resize(r.OctaveAnalysis, cascade.Octaves)
	scale := 1.0
	for k := range r.OctaveAnalysis {
		o := &r.OctaveAnalysis[k]
		o.Octave, o.Resonance, o.GoldenRatioAlignment = k, resonance, alignment
		o.Frequencies = resize(o.Frequencies, len(f))
		for i, base := range f {
			o.Frequencies[i] = base * scale
		}
		o.Harmonics = resize(o.Harmonics, 0)
		if full {
			o.Harmonics = resize(o.Harmonics, len(f)*harmonics)
			for i, base := range f {
				describeHarmonics(base*scale, (*[harmonics]cascade.Harmonic)(o.Harmonics[i*harmonics:]))
			}
		}
		scale *= 2
	}
}

func describeHarmonics(f float64, h *[harmonics]cascade.Harmonic) {
	for n := range h {
		h[n] = cascade.Harmonic{Frequency: f * float64(n+1), Amplitude: amplitudes[n], Phase: phases[n]}
	}
}

// amplitudes and phases (in radians) are of the harmonics, 1/n and n·π/4.
var (
	amplitudes = [harmonics]float64{1, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5}
	phases     = [harmonics]float64{math.Pi / 4, 2 * math.Pi / 4, 3 * math.Pi / 4, 4 * math.Pi / 4, 5 * math.Pi / 4}
)

// closeness is max(0, 1 − |v − to|/to), by a comparison: Go's max is a call in a
// guest.
func closeness(v, to float64) float64 {
	if c := 1 - math.Abs(v-to)/to; c > 0 {
		return c
	}
	return 0
}

// atMost1 is min(1, v), likewise.
func atMost1(v float64) float64 {
	if v > 1 {
		return 1
	}
	return v
}

// converge finds the pairs of neighbouring octaves that both resonate above 0.7.
// A point's strength and alignment are the pair's means; overall convergence is
// points / 7.
func converge(resonance, alignment float64, c *cascade.Convergence) {
	c.Points = resize(c.Points, 0)
	c.MaxStrength = 0
	if resonance > threshold {
		for k := range cascade.Octaves - 1 {
			c.Points = append(c.Points, cascade.Point{Octaves: [2]int{k, k + 1}, Strength: resonance, GoldenAlignment: alignment})
		}
		c.MaxStrength = resonance
	}
	c.OverallConvergence = float64(len(c.Points)) / (cascade.Octaves - 1)
}

// feel computes the resonance of each emotion e: the mean over base frequencies f
// of max(0, 1 − |f − e|/e) + ½·Σ max(0, 1 − |f − e·h|/(e·h)), h = 2, 3, 4. The
// first that is strictly the largest above 0 dominates.
func feel(f []float64, r *cascade.Result) {
	var strengths [len(emotions)]float64
	r.DominantEmotion = cascade.DominantEmotion{Emotion: cascade.Neutral, Color: cascade.Neutral.Color()}
	for i, e := range emotions {
		sum := 0.0
		for _, base := range f {
			sum += closeness(base, e.frequency) + 0.5*(closeness(base, e.frequency*2)+
				closeness(base, e.frequency*3)+closeness(base, e.frequency*4))
		}
		strengths[i] = sum / float64(len(f))
		if strengths[i] > r.DominantEmotion.Strength {
			r.DominantEmotion = cascade.DominantEmotion{Emotion: e.name, Strength: strengths[i], Color: e.name.Color()}
		}
	}
	r.EmotionalResonance = cascade.EmotionalResonance{
		Joy: strengths[0], Love: strengths[1], Peace: strengths[2], Insight: strengths[3], Unity: strengths[4],
	}
}

// create computes the creative patterns of the octaves' resonances:
// fractal depth, the mean over i = 0…5 of max(0, 1 − |q₁ − q₂|/max(q₁, q₂)) of
// the ratios q of neighbours; rhythmic complexity, min(1, 2·standard deviation);
// harmonic richness, overall convergence × largest strength; emergent novelty,
// the least of 1 and of 1 − mean(1 − |now − then|) over the last ten results,
// 0.5 with fewer.
func create(p *cascade.Pattern, history *cascade.History, c *cascade.Convergence, out *cascade.CreativePatterns) {
	depth := 0.0
	for i := range cascade.Octaves - 2 {
		q1, q2 := p[i+1]/p[i], p[i+2]/p[i+1]
		depth += max(0, 1-math.Abs(q1-q2)/max(q1, q2))
	}
	out.FractalDepth = depth / (cascade.Octaves - 2)
	mean := 0.0
	for _, v := range p {
		mean += v
	}
	mean /= cascade.Octaves
	variance := 0.0
	for _, v := range p {
		variance += (v - mean) * (v - mean)
	}
	out.RhythmicComplexity = atMost1(2 * math.Sqrt(variance/cascade.Octaves))
	out.HarmonicRichness = c.OverallConvergence * c.MaxStrength
	out.EmergentNovelty = 0.5
	if history.Length >= cascade.HistoryPatterns {
		out.EmergentNovelty = 1
		for i := range history.Patterns {
			alike := 0.0
			for k, then := range &history.Patterns[i] {
				alike += 1 - math.Abs(p[k]-then)
			}
			out.EmergentNovelty = min(out.EmergentNovelty, 1-alike/cascade.Octaves)
		}
	}
}

// stand finds the pairs of base frequencies whose ratio is within 0.01 of a whole
// number. Stability is their share of all pairs; 0 without a pair.
func stand(f []float64, w *cascade.StandingWaves) {
	w.Nodes, w.Antinodes = resize(w.Nodes, 0), resize(w.Antinodes, 0)
	pairs := 0
	for i := range f {
		for j := i + 1; j < len(f); j++ {
			pairs++
			r := f[i] / f[j]
			whole := round(r)
			if off := math.Abs(r - whole); off < 0.01 {
				w.Nodes = append(w.Nodes, cascade.Node{Frequencies: [2]float64{f[i], f[j]}, Ratio: whole, Strength: 1 - off})
			}
		}
	}
	w.Detected = len(w.Nodes) > 0
	w.Stability = 0
	if pairs > 0 {
		w.Stability = float64(len(w.Nodes)) / float64(pairs)
	}
}

// score is min(1, 0.25·mean resonance + 0.20·overall convergence + 0.20·largest
// emotion + 0.20·mean of the creative patterns + 0.15·stability).
func score(resonance float64, r *cascade.Result) {
	p := &r.CreativePatterns
	creative := (p.FractalDepth + p.RhythmicComplexity + p.HarmonicRichness + p.EmergentNovelty) / 4
	r.HarmonicScore = atMost1(0.25*resonance + 0.20*r.Convergence.OverallConvergence +
		0.20*r.DominantEmotion.Strength + 0.20*creative + 0.15*r.StandingWaves.Stability)
	switch {
	case r.HarmonicScore >= 0.9:
		r.ResonanceQuality = cascade.Transcendent
	case r.HarmonicScore >= 0.7:
		r.ResonanceQuality = cascade.Harmonious
	case r.HarmonicScore >= 0.5:
		r.ResonanceQuality = cascade.Resonant
	case r.HarmonicScore >= 0.3:
		r.ResonanceQuality = cascade.Emerging
	default:
		r.ResonanceQuality = cascade.Discordant
	}
}

// resize returns s with n elements, in its own memory if that suffices, and never
// nil.
func resize[T any](s []T, n int) []T {
	if s == nil || cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
