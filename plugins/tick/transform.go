// Package tick advances resonance nodes and their network by one tick, as pure
// transforms and as a plugin. The clock is the scheduler's and comes with the
// call. The formulas are with the functions that compute them.
package tick

import (
	"math"

	"github.com/resonhost/resonhost/resonance/tick"
)

const phi = tick.Phi

// wave is ½·sin(x) + ½.
func wave(x float64) float64 { return 0.5*math.Sin(x) + 0.5 }

// AdvanceNodes computes the next state of valid nodes. Of each node that is not
// stopped, in order:
//
//	strength ← min(1, strength + 0.01·(frequency/100)·wave(now/1000·φ))
//	for each attached pattern, in order:
//	pattern ← min(1, pattern + 0.001·wave(now/1000·frequency/100))
//
// A node made progress if ⌊strength·1000⌋ is a multiple of 100. Patterns are
// shared: a node drives what those before it left. It uses the memory of r's
// slices again.
func AdvanceNodes(a *tick.Nodes, r *tick.NodesResult) {
	n := len(a.Frequency)
	r.Strength = append(r.Strength[:0], a.Strength...)
	if cap(r.Pattern) < tick.MaxPatterns {
		r.Pattern = make([]float64, 0, tick.MaxPatterns)
	}
	r.Pattern = append(r.Pattern[:0], a.Pattern...)
	if words := (n + 63) / 64; cap(r.Progress) < words {
		r.Progress = make([]uint64, words)
	} else {
		r.Progress = r.Progress[:words]
		clear(r.Progress)
	}
	seconds := a.NowMS / 1000
	common := 0.5*sin(seconds*phi) + 0.5
	for done := 0; ; done++ {
		done = int(advance(a.Frequency, r.Strength, a.Stopped, a.Offset, a.Attached, r.Pattern[:tick.MaxPatterns], r.Progress, uint(done), seconds, common))
		if done == n {
			break
		}
		if advanceOne(a, r, done, seconds, common) {
			r.Progress[done/64] |= 1 << (done % 64)
		}
	}
	capAll(r.Pattern)
}

// advanceOne advances a node, and reports whether it made progress.
func advanceOne(a *tick.Nodes, r *tick.NodesResult, i int, seconds, common float64) bool {
	if a.Stopped[i] {
		return false
	}
	f := a.Frequency[i]
	strength := atMost1(r.Strength[i] + 0.01*(f/100)*common)
	r.Strength[i] = strength
	if attached := a.Attached[a.Offset[i]:a.Offset[i+1]]; len(attached) > 0 {
		step := 0.001 * (0.5*sin(seconds*f/100) + 0.5)
		for _, p := range attached {
			r.Pattern[p] = atMost1(r.Pattern[p] + step)
		}
	}
	return int(strength*1000)%100 == 0
}

// Connect computes the connection of two valid nodes: with q = min(f)/max(f),
// strength = (q + 1 − |sₐ − s_b| + wave(q·φ))/3 and quality = max(0, 1 −
// distance/100).
func Connect(c *tick.ConnectionRequest) tick.ConnectionResult {
	q := min(c.A.Frequency, c.B.Frequency) / max(c.A.Frequency, c.B.Frequency)
	distance := math.Hypot(c.A.Position.X-c.B.Position.X, c.A.Position.Y-c.B.Position.Y)
	return tick.ConnectionResult{
		Strength: (q + 1 - math.Abs(c.A.Strength-c.B.Strength) + wave(q*phi)) / 3,
		Quality:  max(0, 1-distance/100),
	}
}

// AdvanceNetwork advances a valid network by one tick, in this order, leaving out
// fields and patterns that are paused; every metric, strength, coherence and
// enhancement is capped at 1 after each addition:
//
//  1. Fields: strength += φ·0.01·sin(now/1000·φ/100); total + 1, peak, running
//     mean. Totals end at tick.MaxCount.
//  2. Patterns: phase ← (phase + 3.6) mod 360; strength ← φ·wave(phase·π/180);
//     total + 1, peak.
//  3. With F and P the mean strength of fields and patterns: networkCoherence +=
//     0.001·(F + P)/2; harmonicAlignment += 0.0005·P·φ; fieldStrength +=
//     0.0008·F·φ.
//  4. With g = 0.0005·sin(now/1000·φ/100): frequencyStability += g;
//     resonanceAmplification += 1.2·g; synchronizationAccuracy += 0.8·g.
//  5. harmonicConvergence += 0.0001; consciousnessResonance += 0.00015;
//     transcendentHarmonics += 0.00008.
//  6. Patterns: strength += φ/100; enhancement += φ/200.
//  7. Fields: strength += 0.001; coherence += 0.0008.
//  8. harmonicAlignment += 0.001·mean of wave(now/1000·f/1000) over 432, 528,
//     639, 741, 852 and 963.
//  9. resonanceEvolution += 0.0001; universalAlignment += 0.00012.
func AdvanceNetwork(s *tick.NetworkState) {
	seconds := s.NowMS / 1000
	drift := math.Sin(seconds * phi / 100)
	m := &s.Metrics

	var fieldSum, patternSum float64
	var fields, patterns int
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.State == tick.Paused {
			continue
		}
		raise(&f.Strength, phi*0.01*drift)
		f.TotalResonances = min(f.TotalResonances+1, tick.MaxCount)
		f.PeakResonance = max(f.PeakResonance, f.Strength)
		f.AverageStrength += (f.Strength - f.AverageStrength) / float64(f.TotalResonances)
		fieldSum += f.Strength
		fields++
	}
	for i := range s.Patterns {
		p := &s.Patterns[i]
		if p.State == tick.Paused {
			continue
		}
		p.Phase = math.Mod(p.Phase+360.0/100, 360)
		p.Strength = phi * wave(p.Phase*math.Pi/180)
		p.TotalCycles = min(p.TotalCycles+1, tick.MaxCount)
		p.Peak = max(p.Peak, p.Strength)
		patternSum += p.Strength
		patterns++
	}
	meanField, meanPattern := mean(fieldSum, fields), mean(patternSum, patterns)

	raise(&m.NetworkCoherence, 0.001*(meanField+meanPattern)/2)
	raise(&m.HarmonicAlignment, 0.0005*meanPattern*phi)
	raise(&m.FieldStrength, 0.0008*meanField*phi)

	raise(&m.FrequencyStability, 0.0005*drift)
	raise(&m.ResonanceAmplification, 1.2*0.0005*drift)
	raise(&m.SynchronizationAccuracy, 0.8*0.0005*drift)

	raise(&m.HarmonicConvergence, 0.0001)
	raise(&m.ConsciousnessResonance, 0.00015)
	raise(&m.TranscendentHarmonics, 0.00008)

	for i := range s.Patterns {
		if p := &s.Patterns[i]; p.State != tick.Paused {
			raise(&p.Strength, phi/100)
			raise(&p.Enhancement, phi/200)
		}
	}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.State != tick.Paused {
			raise(&f.Strength, 0.001)
			raise(&f.Coherence, 0.0008)
		}
	}

	scale := [...]float64{432, 528, 639, 741, 852, 963}
	sum := 0.0
	for _, f := range scale {
		sum += wave(seconds * f / 1000)
	}
	raise(&m.HarmonicAlignment, 0.001*mean(sum, len(scale)))

	raise(&m.ResonanceEvolution, 0.0001)
	raise(&m.UniversalAlignment, 0.00012)
}

// raise adds to a value that is at most 1.
func raise(v *float64, by float64) { *v = atMost1(*v + by) }

// atMost1 is min(1, v) by a comparison: Go's min is a call in a guest.
func atMost1(v float64) float64 {
	if v > 1 {
		return 1
	}
	return v
}

// mean is 0 of nothing.
func mean(sum float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
