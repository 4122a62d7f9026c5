package module

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// firstDifference returns where two byte strings part, and excerpts of both from there on.
func firstDifference(a, b []byte) (at int, fromA, fromB string) {
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	const most = 24
	excerpt := func(b []byte) string {
		b = b[at:]
		if len(b) > most {
			return fmt.Sprintf("%q…", b[:most])
		}
		return fmt.Sprintf("%q", b)
	}
	return at, excerpt(a), excerpt(b)
}

// nanNote is what is to be said of two byte strings that differ in bits of NaNs alone.
func nanNote(a, b []byte) string {
	if !sameButNaNs(a, b) {
		return ""
	}
	return "; they differ in the bits of NaNs alone, which depend on the engine and the processor: have the transform write one NaN for all"
}

// sameButNaNs reports whether two byte strings differ only in numbers, at multiples of their
// size, that are NaNs in both.
func sameButNaNs(a, b []byte) bool {
	if len(a) != len(b) || bytes.Equal(a, b) {
		return false
	}
	return sameWords(a, b, 8, isNaN64) || sameWords(a, b, 4, isNaN32)
}

func sameWords(a, b []byte, size int, isNaN func([]byte) bool) bool {
	for ; len(a) >= size; a, b = a[size:], b[size:] {
		if x, y := a[:size], b[:size]; !bytes.Equal(x, y) && (!isNaN(x) || !isNaN(y)) {
			return false
		}
	}
	return bytes.Equal(a, b)
}

func isNaN64(b []byte) bool { return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b))) }

func isNaN32(b []byte) bool {
	f := math.Float32frombits(binary.LittleEndian.Uint32(b))
	return f != f // so it is a NaN
}
