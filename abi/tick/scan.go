package tick

// The loops over all nodes of a message. They call nothing, not even for an index that
// is out of range: in a function that does, Go's compiler to WebAssembly lets every jump
// backwards go through a table, and a guest spends most of its time in these.

// outside returns the index of the first number that is not within bounds, or -1.
//
//go:noinline
func outside(v []float64, low, high float64) int {
	for i, x := range v {
		if !(x >= low && x <= high) {
			return i
		}
	}
	return -1
}

// notAscending returns the index of the first number that is less than the one before
// it, or more than that by more than step; or -1. The first number is passed over.
//
//go:noinline
func notAscending(v []uint32, step uint32) int {
	before := uint32(0)
	for i, x := range v {
		if i > 0 && (x < before || x-before > step) {
			return i
		}
		before = x
	}
	return -1
}

// notBelow returns the index of the first number that is not below the limit, or -1.
//
//go:noinline
func notBelow(v []uint32, limit uint64) int {
	for i, x := range v {
		if uint64(x) >= limit {
			return i
		}
	}
	return -1
}

// readBools sets dst to what src begins with, and returns the index of the first byte
// that is neither 0 nor 1, or -1.
//
//go:noinline
func readBools(dst []bool, src []byte) int {
	for i, v := range src {
		if i >= len(dst) {
			break
		}
		if v > 1 {
			return i
		}
		dst[i] = v == 1
	}
	return -1
}

// appendBools appends a 1 for each that is true, and a 0 for others.
func appendBools(b []byte, v []bool) []byte {
	at := len(b)
	b = append(b, make([]byte, len(v))...)
	writeBools(b[at:], v)
	return b
}

//go:noinline
func writeBools(dst []byte, v []bool) {
	for i := range dst {
		if i >= len(v) {
			break
		}
		if v[i] {
			dst[i] = 1
		}
	}
}
