package cascade

import (
	"encoding"
	"math"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Analysis is what a [Result] is made of: its octaves are one another's, scaled, and its
// points of convergence all alike. Its record is that of its Result.
type Analysis struct {
	Timestamp int64
	// Frequencies are those of the first octave, Frequency of them.
	Frequencies [MaxFrequencies]float64
	Frequency   int
	// Full is whether octaves have harmonics.
	Full bool
	// Resonance and GoldenAlignment are of every octave.
	Resonance, GoldenAlignment float64
	// Converges is whether all neighbouring octaves do.
	Converges bool
	// Emotions are the strengths of Joy to Unity, Dominant the index among all
	// emotions of that which dominates, and DominantStrength its strength.
	Emotions         [5]float64
	Dominant         int
	DominantStrength float64
	Creative         CreativePatterns
	// Waves are the nodes of standing waves, Wave of them.
	Waves     [maxNodes]Node
	Wave      int
	Stability float64
	Score     float64
	// Quality is the index among all qualities of the score's.
	Quality int
}

var _ encoding.BinaryAppender = (*Analysis)(nil)

// convergence returns what a result says of it.
func (a *Analysis) convergence() (points int, overall, strongest float64) {
	if a.Converges {
		return maxPoints, 1, a.Resonance
	}
	return 0, 0, 0
}

// Expand makes the result of it. It uses the memory of r's slices again.
func (a *Analysis) Expand(r *Result) {
	points, overall, strongest := a.convergence()
	r.Timestamp, r.HarmonicScore = a.Timestamp, a.Score
	r.OctaveAnalysis = resize(r.OctaveAnalysis, Octaves)
	scale := 1.0
	for k := range r.OctaveAnalysis {
		o := &r.OctaveAnalysis[k]
		o.Octave, o.Resonance, o.GoldenRatioAlignment = k, a.Resonance, a.GoldenAlignment
		o.Frequencies, o.Harmonics = resize(o.Frequencies, a.Frequency), resize(o.Harmonics, 0)
		for i := range o.Frequencies {
			f := a.Frequencies[i] * scale
			o.Frequencies[i] = f
			if a.Full {
				o.Harmonics = append(o.Harmonics,
					Harmonic{f, amplitudes[0], phases[0]}, Harmonic{f * 2, amplitudes[1], phases[1]}, Harmonic{f * 3, amplitudes[2], phases[2]},
					Harmonic{f * 4, amplitudes[3], phases[3]}, Harmonic{f * 5, amplitudes[4], phases[4]})
			}
		}
		scale *= 2
	}
	r.Convergence.Points = resize(r.Convergence.Points, points)
	for k := range r.Convergence.Points {
		r.Convergence.Points[k] = Point{Octaves: [2]int{k, k + 1}, Strength: a.Resonance, GoldenAlignment: a.GoldenAlignment}
	}
	r.Convergence.OverallConvergence, r.Convergence.MaxStrength = overall, strongest
	e := &a.Emotions
	r.EmotionalResonance = EmotionalResonance{Joy: e[0], Love: e[1], Peace: e[2], Insight: e[3], Unity: e[4]}
	r.DominantEmotion = DominantEmotion{Emotion: emotions[a.Dominant], Strength: a.DominantStrength, Color: colors[a.Dominant]}
	r.CreativePatterns = a.Creative
	r.StandingWaves.Nodes = append(resize(r.StandingWaves.Nodes, 0), a.Waves[:a.Wave]...)
	r.StandingWaves.Antinodes = resize(r.StandingWaves.Antinodes, 0)
	r.StandingWaves.Detected, r.StandingWaves.Stability = a.Wave > 0, a.Stability
	r.ResonanceQuality = qualities[a.Quality]
}

// AppendBinary implements [encoding.BinaryAppender].
func (a *Analysis) AppendBinary(b []byte) ([]byte, error) {
	points, overall, strongest := a.convergence()
	full := uint64(0)
	if a.Full {
		full = 1
	}
	n := a.Frequency
	size := resultSize(n, points, a.Wave, a.Full)
	if cap(b)-len(b) < size {
		b = append(make([]byte, 0, len(b)+size), b...)
	}
	octave := 2 + n
	if a.Full {
		octave += n * HarmonicsPerFrequency * 3
	}
	all := le.Room(b, size/8)
	head, room := all[:resultHeader/8], all[resultHeader/8:]
	c, e := &a.Creative, &a.Emotions
	// The farthest first, each by itself: so a guest's bounds are checked once.
	head[20] = a.DominantStrength
	head[19] = a.Stability
	head[18] = c.EmergentNovelty
	head[17] = c.HarmonicRichness
	head[16] = c.RhythmicComplexity
	head[15] = c.FractalDepth
	head[14] = e[4]
	head[13] = e[3]
	head[12] = e[2]
	head[11] = e[1]
	head[10] = e[0]
	head[9] = strongest
	head[8] = overall
	head[7] = a.Score
	// Whole numbers are written by their bits.
	head[6] = math.Float64frombits(uint64(a.Timestamp))
	head[5] = math.Float64frombits(uint64(a.Quality))
	head[4] = math.Float64frombits(uint64(a.Dominant))
	head[3] = math.Float64frombits(uint64(a.Wave))
	head[2] = math.Float64frombits(uint64(points))
	head[1] = math.Float64frombits(uint64(n))
	head[0] = math.Float64frombits(full)
	if a.Full {
		copy(room, blanks[n])
	}
	writeOctaves(room[:Octaves*octave], a.Frequencies[:n], octave, a.Full, a.Resonance, a.GoldenAlignment)
	rest := room[Octaves*octave:]
	if a.Converges {
		writePoints(rest, a.Resonance, a.GoldenAlignment)
		rest = rest[3*maxPoints:]
	}
	for i := range a.Wave {
		w := &a.Waves[i]
		rest[3] = w.Strength
		rest[2] = w.Ratio
		rest[1] = w.Frequencies[1]
		rest[0] = w.Frequencies[0]
		rest = rest[4:]
	}
	return le.AppendRoom(b, all), nil
}

// writePoints and writeOctaves are written for a guest, see resonance.go of
// plugins/cascade: they call nothing, and write the farthest first, as AppendBinary does.
//
// writePoints writes the points of convergence. The lower octave is a whole number, whose
// bits are written as those of a float.
//
//go:noinline
//go:nosplit
func writePoints(p []float64, strength, alignment float64) {
	for k := uint64(0); k < maxPoints && len(p) >= 3; k++ {
		p[2] = alignment
		p[1] = strength
		p[0] = math.Float64frombits(k)
		p = p[3:]
	}
}

// writeOctaves writes all octaves, of that many numbers each, into a record that has [blanks] already
// if it is a full one.
//
//go:noinline
//go:nosplit
func writeOctaves(o, f []float64, octave int, full bool, resonance, alignment float64) {
	scale := 1.0
	for len(o) > 2 {
		o[1] = alignment
		o[0] = resonance
		g := o[2:]
		if len(g) < len(f) {
			return
		}
		h := g[len(f):]
		for i, base := range f {
			base *= scale
			g[i] = base
			if !full || len(h) < 3*HarmonicsPerFrequency {
				continue
			}
			h[12] = base * 5
			h[9] = base * 4
			h[6] = base * 3
			h[3] = base * 2
			h[0] = base
			h = h[15:]
		}
		if uint(len(o)) < uint(octave) {
			return
		}
		o = o[uint(octave):]
		scale *= 2
	}
}

// amplitudes and phases (in radians) are of the harmonics, 1/n and n·π/4.
var (
	amplitudes = [HarmonicsPerFrequency]float64{1, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5}
	phases     = [HarmonicsPerFrequency]float64{math.Pi / 4, 2 * math.Pi / 4, 3 * math.Pi / 4, 4 * math.Pi / 4, 5 * math.Pi / 4}
)

// blanks are the octaves of a full result, by its number of frequencies: amplitudes and phases of
// their harmonics, which are the same in all results, and 0 for the rest.
var blanks = func() (all [MaxFrequencies + 1][]float64) {
	const harmonic = 3 // numbers
	for n := range all {
		octave := 2 + n + n*HarmonicsPerFrequency*harmonic
		all[n] = make([]float64, Octaves*octave)
		for k := range Octaves {
			list := all[n][k*octave+2+n:][:n*HarmonicsPerFrequency*harmonic]
			for i := range n * HarmonicsPerFrequency {
				list[i*harmonic+1] = amplitudes[i%HarmonicsPerFrequency]
				list[i*harmonic+2] = phases[i%HarmonicsPerFrequency]
			}
		}
	}
	return all
}()
