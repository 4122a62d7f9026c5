//go:build wasm || amd64 || arm64

package le

import "unsafe"

// Append appends numbers to b.
func Append[T Number](b []byte, v ...T) []byte { return append(b, bytes(v)...) }

// Read reads dst from the beginning of b, which must be long enough, and returns
// the rest.
func Read[T Number](b []byte, dst []T) []byte {
	n := len(bytes(dst))
	copy(bytes(dst), b[:n])
	return b[n:]
}

func bytes[T Number](v []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}
