package tick

import (
	"encoding/binary"
	"math"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// The loops over all nodes of a message, written for Go's compiler to WebAssembly:
//
//   - They call nothing, not even for an index that is out of range or a pointer that is
//     nil: around a call a guest keeps its variables in memory.
//   - Each jump backwards goes through a table, which takes longer than a comparison. So
//     they look at several numbers a turn, and gather in the sign of a number whether one
//     is wrong. Only if so a second, plain loop looks for it.

// outside returns the index of the first number that is not within bounds, which must
// not be negative; or -1.
func outside(v []float64, low, high float64) int {
	if allInside(le.Bits(v), int64(math.Float64bits(low)), int64(math.Float64bits(high))) {
		return -1
	}
	return firstOutside(v, low, high)
}

//go:noinline
func firstOutside(v []float64, low, high float64) int {
	for i, x := range v {
		if !(x >= low && x <= high) {
			return i
		}
	}
	return -1 // a -0
}

// allInside reports whether all numbers, of which these are the bits, are within bounds.
// It may say no if one is -0. Numbers that are not negative are in the order of their bits.
//
//go:noinline
//go:nosplit
func allInside(v []int64, least, most int64) bool {
	var wrong int64
	for ; len(v) >= 8; v = v[8:] {
		h, g, f, e, d, c, b, a := v[7], v[6], v[5], v[4], v[3], v[2], v[1], v[0]
		wrong |= (a - least) | (most - a) | (b - least) | (most - b) | (c - least) | (most - c) | (d - least) | (most - d) |
			(e - least) | (most - e) | (f - least) | (most - f) | (g - least) | (most - g) | (h - least) | (most - h)
	}
	for _, a := range v {
		wrong |= (a - least) | (most - a)
	}
	return wrong >= 0
}

// notAscending returns the index of the first number that is less than the one before
// it, or more than that by more than step; or -1. The first number is passed over.
func notAscending(v []uint32, step uint32) int {
	if allAscending(v, int64(step)) {
		return -1
	}
	return firstNotAscending(v, step)
}

//go:noinline
func firstNotAscending(v []uint32, step uint32) int {
	for i := range v {
		if i > 0 && (v[i] < v[i-1] || v[i]-v[i-1] > step) {
			return i
		}
	}
	return -1
}

//go:noinline
//go:nosplit
func allAscending(v []uint32, step int64) bool {
	if len(v) == 0 {
		return true
	}
	z := int64(v[0])
	var wrong int64
	for ; len(v) >= 4; v = v[4:] {
		d, c, b, a := int64(v[3]), int64(v[2]), int64(v[1]), int64(v[0])
		wrong |= (a - z) | (step - (a - z)) | (b - a) | (step - (b - a)) | (c - b) | (step - (c - b)) | (d - c) | (step - (d - c))
		z = d
	}
	for _, x := range v {
		a := int64(x)
		wrong |= (a - z) | (step - (a - z))
		z = a
	}
	return wrong >= 0
}

// notBelow returns the index of the first number that is not below the limit, or -1.
func notBelow(v []uint32, limit uint32) int {
	if allBelow(v, int64(limit)) {
		return -1
	}
	return firstNotBelow(v, limit)
}

//go:noinline
func firstNotBelow(v []uint32, limit uint32) int {
	for i, x := range v {
		if x >= limit {
			return i
		}
	}
	return -1
}

//go:noinline
//go:nosplit
func allBelow(v []uint32, limit int64) bool {
	limit--
	var wrong int64
	for ; len(v) >= 4; v = v[4:] {
		wrong |= (limit - int64(v[3])) | (limit - int64(v[2])) | (limit - int64(v[1])) | (limit - int64(v[0]))
	}
	for _, x := range v {
		wrong |= limit - int64(x)
	}
	return wrong >= 0
}

// notBool returns the index of the first byte that is neither 0 nor 1, or -1.
func notBool(b []byte) int {
	if allBools(b) {
		return -1
	}
	return firstNotBool(b)
}

//go:noinline
func firstNotBool(b []byte) int {
	for i, v := range b {
		if v > 1 {
			return i
		}
	}
	return -1
}

//go:noinline
//go:nosplit
func allBools(b []byte) bool {
	var all uint64
	for ; len(b) >= 32; b = b[32:] {
		all |= binary.LittleEndian.Uint64(b[24:]) | binary.LittleEndian.Uint64(b[16:]) |
			binary.LittleEndian.Uint64(b[8:]) | binary.LittleEndian.Uint64(b)
	}
	for _, x := range b {
		all |= uint64(x)
	}
	return all&^0x0101010101010101 == 0
}
