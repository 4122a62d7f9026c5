// Package units reads and writes sizes as people write them.
package units

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var powers = []string{"", "k", "m", "g", "t", "p", "e"}

var errSize = errors.New("must be a size such as 64MiB or 65536")

// ParseSize reads a number of bytes, with a unit such as kB, which is 1000 of them, or KiB, which is
// 1024, or without: 64MiB, 1.5 GB, 65536. Letters are of either case, and B may be left out.
func ParseSize(s string) (uint64, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(s)
	}
	unit := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s[end:])), "b")
	base := 1000.0
	if u, binary := strings.CutSuffix(unit, "i"); binary && u != "" {
		unit, base = u, 1024
	}
	factor := 1.0
	for _, p := range powers {
		if p == unit {
			if n, err := strconv.ParseUint(s[:end], 10, 64); err == nil && n <= math.MaxUint64/uint64(factor) {
				return n * uint64(factor), nil
			}
			f, err := strconv.ParseFloat(s[:end], 64)
			if f *= factor; err != nil || f >= math.MaxUint64 {
				return 0, errSize
			}
			return uint64(f), nil
		}
		factor *= base
	}
	return 0, errSize
}
