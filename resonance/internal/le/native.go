//go:build wasm || amd64 || arm64

package le

import "unsafe"

// Append appends numbers to b, or bools as bytes that are 0 or 1.
func Append[T Number | bool](b []byte, v ...T) []byte { return append(b, bytes(v)...) }

// Read reads dst from the beginning of b, which must be long enough, and returns
// the rest.
func Read[T Number](b []byte, dst []T) []byte {
	n := copy(bytes(dst), b[:len(dst)*int(unsafe.Sizeof(T(0)))])
	return b[n:]
}

// IsAligned reports whether b is where numbers may lie.
func IsAligned(b []byte) bool { return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 }

// Aligned returns b, or a copy of it if it is not where numbers may lie.
func Aligned(b []byte) []byte {
	if IsAligned(b) {
		return b
	}
	v := make([]uint64, (len(b)+7)/8)
	copy(bytes(v), b)
	return bytes(v)[:len(b)]
}

// View returns memory of numbers, which is [Aligned], or of bools that are 0 or 1 alone
// as that.
func View[T Number | bool](b []byte) []T {
	var zero T
	n := len(b) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil
	}
	return (*[1 << 37]T)(unsafe.Pointer(unsafe.SliceData(b)))[:n:n]
}

// Bits returns the memory of numbers as that of their bits, of which a guest has one by
// one the way over memory.
func Bits(v []float64) []int64 {
	if len(v) == 0 {
		return nil
	}
	return (*[1 << 37]int64)(unsafe.Pointer(unsafe.SliceData(v)))[:len(v):len(v)]
}

// Float returns the number at the beginning of b. A guest takes its bits the way over
// memory otherwise.
func Float(b []byte) float64 {
	_ = b[7]
	return *(*float64)(unsafe.Pointer(unsafe.SliceData(b)))
}

// Room returns the n numbers behind b, in the memory that it has room for, for
// [AppendRoom] to append.
func Room(b []byte, n int) []float64 {
	if n == 0 {
		return nil
	}
	room := b[len(b) : len(b)+8*n]
	return (*[1 << 37]float64)(unsafe.Pointer(unsafe.SliceData(room)))[:n:n]
}

// AppendRoom appends the numbers of [Room].
func AppendRoom(b []byte, room []float64) []byte { return b[:len(b)+8*len(room)] }

// bytes returns the memory of numbers. It is not [unsafe.Slice], which calls a function
// in a guest to see that its length does not overflow.
func bytes[T Number | bool](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	var zero T
	n := len(v) * int(unsafe.Sizeof(zero))
	return (*[1 << 40]byte)(unsafe.Pointer(unsafe.SliceData(v)))[:n:n]
}
