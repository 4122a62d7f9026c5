// Package rounded writes figures beside their bounds: rounded, but never so that one reads
// as if it were on the other side of its bound, or at it.
package rounded

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Beside writes v with so many decimals, and with more where else it would not compare to
// the bound as it does.
func Beside(v, bound float64, decimals int) string { return beside("%.*f", v, bound, decimals) }

// Signed is Beside with a sign.
func Signed(v, bound float64, decimals int) string { return beside("%+.*f", v, bound, decimals) }

func beside(format string, v, bound float64, decimals int) string {
	for ; ; decimals++ { // some are enough to be v and no other number
		text := fmt.Sprintf(format, decimals, v)
		if read, err := strconv.ParseFloat(text, 64); err != nil || cmp.Compare(read, bound) == cmp.Compare(v, bound) {
			return text
		}
	}
}

// Duration writes d in steps of the unit, and finer where else it would not compare to the
// bound as it does.
func Duration(d, bound, step time.Duration) string {
	for ; step > 1; step /= 10 {
		if r := d.Round(step); cmp.Compare(r, bound) == cmp.Compare(d, bound) {
			return r.String()
		}
	}
	return d.String()
}
