package tick

import (
	"math"

	"github.com/resonhost/resonhost/resonance/tick"
)

// The loop of this file does what AdvanceNodes does one by one, and is written for Go's
// compiler to WebAssembly:
//
//   - It calls nothing, not even for an index that is out of range, a pointer that is nil
//     or a stack that is too small: around a call a guest keeps its variables in memory. So
//     its slices are seen to be long enough.
//   - A jump that is taken goes through a table, forwards as well. So there are as few as
//     possible where a node is resonating and has one pattern.
//   - A float's bits, whole part or conversion cost more than some arithmetic: the bits go
//     by memory, the others wait for what a register held before.

// advance advances nodes from the i-th on, which are given as in [tick.Nodes] and
// [tick.NodesResult], and returns how many are done: less than all if the frequency of the
// next is too high for this. It leaves patterns above 1, for capAll: they never sink, so
// that it is the same as if none ever were.
//
//go:noinline
//go:nosplit
func advance(frequency, strength []float64, stopped []bool, offset, attached []uint32, pattern []float64, progress []uint64, i uint, seconds, common float64) (done uint) {
	n := uint(len(frequency))
	if uint(len(strength)) < n || uint(len(stopped)) < n || i >= uint(len(offset)) || len(pattern) < tick.MaxPatterns {
		return n
	}
	k := uint(offset[i])
	ends := offset[1:]
	if uint(len(ends)) < n {
		return n
	}
	for i < n {
		word := i >> 6
		if word >= uint(len(progress)) {
			return n
		}
		made := uint64(0)
		for i < n && i>>6 == word {
			end := uint(ends[i])
			if stopped[i] {
				k = end
				i++
				continue
			}
			f := frequency[i]
			x := seconds * f / 100
			if f > highest || math.Abs(x) >= largestArgument {
				progress[word] |= made
				return i
			}
			s := capped(strength[i] + 0.01*(f/100)*common)
			strength[i] = s
			// ⌊s·1000⌋ is a multiple of 100 if s·1000 is less than 1 above one.
			above := s*1000 - 100*nearest(s*1000*0.01)
			made |= (number(above >= 0) & number(above < 1)) << (i & 63)
			i++
			if k >= end {
				continue
			}
			y, sign := reduce(x)
			step := 0.001 * (0.5*(sign*sine(y)) + 0.5)
			for {
				if k >= uint(len(attached)) {
					return n
				}
				pattern[attached[k]&(tick.MaxPatterns-1)] += step
				if k++; k >= end {
					break
				}
			}
		}
		progress[word] |= made
	}
	return n
}

// capAll makes what is above 1 one.
//
//go:noinline
//go:nosplit
func capAll(v []float64) {
	for i, x := range v {
		if x <= 1 {
			continue
		}
		v[i] = 1
	}
}

// highest is the highest frequency for advance, in Hz: it raises no strength by more
// than 1.
const highest = 10_000

// capped is atMost1(v) for a v up to 2.
func capped(v float64) float64 {
	above := v - 1
	return v - 0.5*(above+math.Abs(above))
}

// nearest returns the whole number nearest to v, which is of a magnitude below 2^51.
func nearest(v float64) float64 {
	const toWhole = 3 << 51
	return v + toWhole - toWhole
}

// number is 1 if b is true, and 0 if not.
func number(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// largestArgument is where sine ends: the first of the three parts of π, of 23 bits,
// times a whole number is exact up to there.
const largestArgument = 1 << 29

// reduce and sine make sin(x) = sign·sine(y) within 1e-15, for |x| below
// largestArgument: x less the nearest multiple of π, and there a polynomial. Unlike
// math.Sin they are inlined, and have no jumps.
func reduce(x float64) (y, sign float64) {
	n := nearest(x * (1 / math.Pi))
	odd := n - 2*nearest(n*0.5) // -1, 0 or 1
	return ((x - n*pi1) - n*pi2) - n*pi3, 1 - 2*odd*odd
}

func sine(y float64) float64 {
	yy := y * y
	y4 := yy * yy
	return y + y*yy*((sin6+sin5*yy)+y4*((sin4+sin3*yy)+y4*((sin2+sin1*yy)+y4*sin0)))
}

// sin is that, or math.Sin of what is too large for it.
func sin(x float64) float64 {
	if math.Abs(x) < largestArgument {
		y, sign := reduce(x)
		return sign * sine(y)
	}
	return math.Sin(x)
}

const (
	// π in three parts.
	pi1 = 3.14159250259399414062
	pi2 = 1.50995788317231927067e-7
	pi3 = 1.07806057163166381018e-14

	// The coefficients of (sin(x)/x - 1)/x² in x² for |x| up to π/2, within 2e-16.
	sin0 = -7.4080313436704882966e-13
	sin1 = 1.6050970646122486338e-10
	sin2 = -2.5051972881210060327e-8
	sin3 = 2.7557318055221204417e-6
	sin4 = -1.9841269836466635949e-4
	sin5 = 8.3333333333259282536e-3
	sin6 = -1.6666666666666648022e-1
)
