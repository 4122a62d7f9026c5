//go:build !(wasm || amd64 || arm64)

package le

import (
	"encoding/binary"
	"math"
)

// Append appends numbers to b, or bools as bytes that are 0 or 1.
func Append[T Number | bool](b []byte, v ...T) []byte {
	for _, x := range v {
		switch x := any(x).(type) {
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, x)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, x)
		case bool:
			one := byte(0)
			if x {
				one = 1
			}
			b = append(b, one)
		}
	}
	return b
}

// Read reads dst from the beginning of b, which must be long enough, and returns
// the rest.
func Read[T Number](b []byte, dst []T) []byte {
	for i := range dst {
		switch p := any(&dst[i]).(type) {
		case *float64:
			*p = math.Float64frombits(binary.LittleEndian.Uint64(b))
			b = b[8:]
		case *uint64:
			*p = binary.LittleEndian.Uint64(b)
			b = b[8:]
		case *uint32:
			*p = binary.LittleEndian.Uint32(b)
			b = b[4:]
		}
	}
	return b
}

// IsAligned reports false: no memory of bytes is one of numbers.
func IsAligned([]byte) bool { return false }

// Aligned returns b.
func Aligned(b []byte) []byte { return b }

// View returns b as numbers, or as bools that are 0 or 1 alone, in memory of its own.
func View[T Number | bool](b []byte) []T {
	var v []T
	switch v := any(&v).(type) {
	case *[]bool:
		*v = make([]bool, len(b))
		for i, x := range b {
			(*v)[i] = x == 1
		}
	case *[]float64:
		*v = make([]float64, len(b)/8)
		Read(b, *v)
	case *[]uint64:
		*v = make([]uint64, len(b)/8)
		Read(b, *v)
	case *[]uint32:
		*v = make([]uint32, len(b)/4)
		Read(b, *v)
	}
	return v
}

// Bits returns the bits of numbers.
func Bits(v []float64) []int64 {
	bits := make([]int64, len(v))
	for i, x := range v {
		bits[i] = int64(math.Float64bits(x))
	}
	return bits
}

// Float returns the number at the beginning of b.
func Float(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// Room returns n numbers for [AppendRoom] to append.
func Room(_ []byte, n int) []float64 { return make([]float64, n) }

// AppendRoom appends the numbers of [Room].
func AppendRoom(b []byte, room []float64) []byte { return Append(b, room...) }
