//go:build !(wasm || amd64 || arm64)

package le

import (
	"encoding/binary"
	"math"
)

// Append appends numbers to b.
func Append[T Number](b []byte, v ...T) []byte {
	for _, x := range v {
		switch x := any(x).(type) {
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, x)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, x)
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
