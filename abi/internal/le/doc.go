// Package le reads and writes runs of numbers, little-endian, as records have them.
//
// Where memory is little-endian itself a run is copied as it lies. That matters most
// in a guest: for WebAssembly the compiler makes of each number eight accesses of a
// byte.
package le

// Number is what records consist of.
type Number interface{ float64 | uint64 | uint32 }
