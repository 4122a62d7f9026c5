// Package le reads and writes runs of numbers, little-endian, as records have them.
//
// Where memory is little-endian itself a run is copied as it lies. That matters most
// in a guest, where each number by itself is an access with checks of its own.
package le

// Number is what records consist of.
type Number interface{ float64 | uint64 | uint32 }
