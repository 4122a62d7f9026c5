package cascade

import (
	"math"
	"math/bits"
)

// The loops that are not to be inlined are written for Go's compiler to WebAssembly: they
// call nothing, not even for an index that is out of range, a pointer that is nil
// or a stack that is too small, since around a call a guest keeps its variables in
// memory; and they jump as little as they can, since a jump that is taken goes through a
// table.

// compare computes what pairs of an octave's base frequencies say: its resonance, its
// golden alignment, and, a bit a pair in their order, whose ratio is within 0.01 of a whole
// number.
//
// The harmonics of one frequency have the same ratios whatever it is.
func compare(f []float64) (resonance, alignment float64, whole uint) {
	sum, golden, whole, ok := pairs(f)
	if !ok {
		sum, golden, whole = farPairs(f)
	}
	n := len(f)
	if n > 1 {
		alignment = golden / float64(n*(n-1)/2)
	}
	return atMost1((float64(n)*ownPairs + sum) / float64(n*harmonics)), alignment, whole
}

const (
	// ownPairs is Σ s(n/m)/(n·m) over harmonics n < m of one frequency.
	ownPairs = 0.59554952539157201259
	// farRatio is from where a ratio of harmonics is divided out, as a last bit counts more
	// the larger it is: below, it makes less than 1e-10 of a resonance. All of them are near to
	// none that is special.
	farRatio = 1 << 16
)

// pairs adds up over all pairs p, q of frequencies: s(p·n/(q·m))/(n·m) over harmonics n of
// p and m of q, and the closeness of p/q to φ. It gives up at a ratio from farRatio on.
//
// It is where the time goes. Of the 25 ratios of two frequencies 19 differ, all of which are
// computed from that of the frequencies, by multiplication. It takes none of them for a special one,
// at first, and puts right those that [candidates] knows of: which are special is told by what is
// divided out, as a last bit may decide it.
//
//go:noinline
//go:nosplit
func pairs(frequencies []float64) (sum, golden float64, whole uint, ok bool) {
	pair := uint(1)
	for len(frequencies) > 0 {
		p := frequencies[0]
		frequencies = frequencies[1:]
		for _, q := range frequencies {
			ratio := p / q
			if math.Abs(ratio) >= farRatio {
				return 0, 0, 0, false
			}
			golden += closeness(ratio, phi)
			if math.Abs(ratio-nearest(ratio)) < 0.01 {
				whole |= pair
			}
			pair <<= 1
			sum += falloff(ratio)*(1+1.0/4+1.0/9+1.0/16+1.0/25) + (falloff(ratio*(1.0/2))+falloff(ratio*2))*(1.0/2+1.0/8)
			sum += (falloff(ratio*(1.0/3)) + falloff(ratio*3)) * (1.0 / 3)
			sum += (falloff(ratio*(1.0/4)) + falloff(ratio*4)) * (1.0 / 4)
			sum += (falloff(ratio*(1.0/5)) + falloff(ratio*5)) * (1.0 / 5)
			sum += (falloff(ratio*(2.0/3)) + falloff(ratio*(3.0/2))) * (1.0 / 6)
			sum += (falloff(ratio*(2.0/5)) + falloff(ratio*(5.0/2))) * (1.0 / 10)
			sum += (falloff(ratio*(3.0/4)) + falloff(ratio*(4.0/3))) * (1.0 / 12)
			sum += (falloff(ratio*(3.0/5)) + falloff(ratio*(5.0/3))) * (1.0 / 15)
			sum += (falloff(ratio*(4.0/5)) + falloff(ratio*(5.0/4))) * (1.0 / 20)
			for left := candidates[cell(ratio)&(len(candidates)-1)]; left != 0; left &= left - 1 {
				d := &differing[bits.TrailingZeros64(left)&(len(differing)-1)]
				r := p * d.n / (q * d.m)
				special := &special[cell(r)&(len(special)-1)]
				if math.Abs(r-special.ratio) >= 0.01 {
					continue
				}
				score := special.score
				if math.Abs(r-8.0/5) < 0.01 {
					score = 1
				}
				sum += d.weight * (score - falloff(ratio*d.times))
			}
		}
	}
	return sum, golden, whole, true
}

// farPairs is pairs one by one, for any ratio.
func farPairs(frequencies []float64) (sum, golden float64, whole uint) {
	pair := uint(1)
	for i, p := range frequencies {
		for _, q := range frequencies[i+1:] {
			if r := p / q; math.Abs(r) >= farRatio {
				golden += closeness(r, phi)
				if math.Abs(r-round(r)) < 0.01 {
					whole |= pair
				}
				for n := 1.0; n <= harmonics; n++ {
					for m := 1.0; m <= harmonics; m++ {
						r := (p * n) / (q * m)
						sum += falloff(r-round(r)) / (n * m) // of what is within ½ of 0
					}
				}
			} else {
				s, g, w, _ := pairs([]float64{p, q})
				sum, golden, whole = sum+s, golden+g, whole|w*pair
			}
			pair <<= 1
		}
	}
	return sum, golden, whole
}

// differing are harmonics n and m, but for those that are multiplied by two or by four, which have
// the same ratio to the last bit; n/m, and 1/(n·m) of all that have it.
var differing = func() (all [32]struct{ n, m, times, weight float64 }) {
	k := 0
	for n := 1.0; n <= harmonics; n++ {
		for m := 1.0; m <= harmonics; m++ {
			weight := 1 / (n * m)
			switch {
			case int(n)%2 == 0 && int(m)%2 == 0:
				continue
			case n == 1 && m == 1:
				weight += 1.0/4 + 1.0/16
			case n*m == 2:
				weight += 1.0 / 8
			}
			all[k].n, all[k].m, all[k].times, all[k].weight = n, m, n/m, weight
			k++
		}
	}
	return all
}()

// cells is how many cells of the tables a ratio of 1 has.
const cells = 64

// cell is where in a table a ratio is. Those beyond the table are near nothing, so that it
// does not matter where they are.
func cell(ratio float64) int { return int(ratio * cells) }

// special has for each cell, the ratios from k/64 to (k+1)/64, the special ratio that is
// within 0.01 of some of them, and for what it counts; or one that is far from all. Of the
// cells that both 8/5 and φ are near, one is 8/5's alone, and one has φ, of which all of it
// is near.
var special = func() (t [4 * cells]specialRatio) {
	for k := range t {
		t[k].ratio = -1e9
	}
	for _, s := range specials {
		for k := cell(s.ratio - 0.01); k <= cell(s.ratio+0.01); k++ {
			if math.Abs(float64(k)/cells-t[k].ratio) >= 0.01 || math.Abs(float64(k+1)/cells-t[k].ratio) >= 0.01 {
				t[k] = s
			}
		}
	}
	return t
}()

// candidates has for each cell of p/q a bit for each of differing that may be a special
// ratio there.
var candidates = func() (t [16 * cells]uint64) {
	for i, d := range differing {
		for _, s := range specials {
			if d.weight > 0 {
				const reserve = 1e-9 // for rounding
				for k := cell((s.ratio - 0.01) * d.m / d.n * (1 - reserve)); k <= cell((s.ratio+0.01)*d.m/d.n*(1+reserve)); k++ {
					t[k] |= 1 << i
				}
			}
		}
	}
	return t
}()

// specialRatio is a ratio that counts otherwise than by its distance to a whole number.
type specialRatio struct{ ratio, score float64 }

var specials = []specialRatio{
	{1, 1}, {2, 1}, {3.0 / 2, 1}, {4.0 / 3, 1}, {5.0 / 4, 1}, {5.0 / 3, 1}, {8.0 / 5, 1}, {1 / phi, 0.9}, {phi, 0.9},
}

// falloff is exp(−10·d²) for the distance d of r to the nearest whole number, within 3e-14
// relative: the 16th power of a polynomial in d². Unlike math.Exp it is inlined, and the
// same to the last bit in a guest and on amd64.
func falloff(r float64) float64 {
	d := float64(r) - nearest(r) // not of a product that arm64 did not round
	t := d * d
	e := 1 + t*(e1+t*(e2+t*(e3+t*(e4+t*(e5+t*(e6+t*e7))))))
	e *= e
	e *= e
	e *= e
	return e * e
}

// Coefficients of exp(−10·t/16) for t from 0 to ¼.
const (
	e1 = -0.62499999999999595056
	e2 = 0.19531249999841233774
	e3 = -0.040690104064963466254
	e4 = 0.0063578263307221259132
	e5 = -0.00079470056089877363173
	e6 = 0.000082618794787386662627
	e7 = -6.9043366018661081611e-6
)

// nearest returns the whole number nearest to v, which is of a magnitude below 2^51. A
// guest computes it faster than math.Floor, and so does amd64.
func nearest(v float64) float64 {
	const toWhole = 3 << 51
	return v + toWhole - toWhole
}
