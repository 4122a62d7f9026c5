package tick

import (
	"math"

	"github.com/resonhost/resonhost/abi/tick"
)

// block is how many nodes the loops of this file take at a time.
//
// They do what AdvanceNodes does one by one, and are written for Go's compiler to
// WebAssembly. In a function that calls another, every jump backwards goes through a
// table, since a call may suspend and come back. So these call nothing, and have arrays
// with indices that are seen to be within them, as an index that is not is a call too.
const block = 64

// advanceBlock advances the nodes from that one on, unless their frequencies are too
// high for this: then it returns false, and has done nothing.
func advanceBlock(a *tick.Nodes, r *tick.NodesResult, from int, seconds, common float64) bool {
	frequency, stopped := (*[block]float64)(a.Frequency[from:]), (*[block]bool)(a.Stopped[from:])
	attached := a.Attached[a.Offset[from]:a.Offset[from+block]]
	if len(attached) > 0 {
		var step [block]float64
		if !steps(frequency, seconds, &step) {
			return false
		}
		drive((*[tick.MaxPatterns]float64)(r.Pattern[:tick.MaxPatterns]), attached, stopped, (*[block + 1]uint32)(a.Offset[from:]), &step)
	}
	r.Progress[from/block] = advance(frequency, (*[block]float64)(r.Strength[from:]), stopped, common)
	return true
}

// advance advances strengths and returns which nodes made progress, a bit each.
//
//go:noinline
func advance(frequency, strength *[block]float64, stopped *[block]bool, common float64) (progress uint64) {
	for i := range block {
		if stopped[i] {
			continue
		}
		s := strength[i] + 0.01*(frequency[i]/100)*common
		if s > 1 {
			s = 1
		}
		strength[i] = s
		if int64(s*1000)%100 == 0 {
			progress |= 1 << (i & 63)
		}
	}
	return progress
}

// steps computes by how much each node raises its patterns, 0.001·wave(seconds·f/100),
// and reports whether all arguments of the sine are below largestArgument.
//
// The sine is that of Cephes (S. L. Moshier, sin.c, 1989), which package math has as
// well: the argument less the nearest even multiple of π/4, which is taken off in three
// parts, and there a polynomial of the sine or of the cosine. The result is math.Sin's
// to the last bit, where neither fuses a multiplication with an addition.
//
//go:noinline
func steps(frequency *[block]float64, seconds float64, step *[block]float64) (ok bool) {
	for i := range block {
		x := seconds * frequency[i] / 100
		negative := x < 0
		if negative {
			x = -x
		}
		if x >= largestArgument {
			return false
		}
		j := uint64(x * (4 / math.Pi))
		j += j & 1
		y := float64(j)
		x = ((x - y*quarterPi1) - y*quarterPi2) - y*quarterPi3
		if j&4 != 0 {
			negative = !negative
		}
		xx := x * x
		if j&2 != 0 {
			x = 1 - 0.5*xx + xx*xx*(((((cos0*xx+cos1)*xx+cos2)*xx+cos3)*xx+cos4)*xx+cos5)
		} else {
			x += x * xx * (((((sin0*xx+sin1)*xx+sin2)*xx+sin3)*xx+sin4)*xx + sin5)
		}
		if negative {
			x = -x
		}
		step[i] = 0.001 * (0.5*x + 0.5)
	}
	return true
}

// largestArgument is where the three parts of π/4 no longer suffice.
const largestArgument = 1 << 29

// Constants of Cephes: π/4 in three parts, and the coefficients of the polynomials.
const (
	quarterPi1 = 7.85398125648498535156e-1
	quarterPi2 = 3.77489470793079817668e-8
	quarterPi3 = 2.69515142907905952645e-15

	sin0 = 1.58962301576546568060e-10
	sin1 = -2.50507477628578072866e-8
	sin2 = 2.75573136213857245213e-6
	sin3 = -1.98412698295895385996e-4
	sin4 = 8.33333333332211858878e-3
	sin5 = -1.66666666666666307295e-1

	cos0 = -1.13585365213876817300e-11
	cos1 = 2.08757008419747316778e-9
	cos2 = -2.75573141792967388112e-7
	cos3 = 2.48015872888517045348e-5
	cos4 = -1.38888888888730564116e-3
	cos5 = 4.16666666666665929218e-2
)

// drive raises the patterns that the nodes drive, in the order of nodes and of each
// one's patterns. attached are those of the block alone.
//
//go:noinline
func drive(pattern *[tick.MaxPatterns]float64, attached []uint32, stopped *[block]bool, offset *[block + 1]uint32, step *[block]float64) {
	first, node := offset[0], 0
	for k, p := range attached {
		for offset[node&(block-1)+1]-first <= uint32(k) && node < block-1 {
			node++
		}
		if stopped[node&(block-1)] {
			continue
		}
		s := pattern[p&(tick.MaxPatterns-1)] + step[node&(block-1)]
		if s > 1 {
			s = 1
		}
		pattern[p&(tick.MaxPatterns-1)] = s
	}
}
