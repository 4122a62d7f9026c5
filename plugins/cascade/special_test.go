package cascade

import (
	"math"
	"testing"
)

// TestSpecial has every ratio be near the special one of its cell if it is near any.
func TestSpecial(t *testing.T) {
	for i := range 10_000_000 {
		r := float64(i) / 2_000_000
		near := special[cell(r)&(len(special)-1)]
		for _, s := range specials {
			if math.Abs(r-s.ratio) < 0.01 != (math.Abs(r-near.ratio) < 0.01 && near == s) && math.Abs(r-1.61) > 0.003 {
				t.Fatalf("%v: the table has %v, but it is near %v", r, near, s)
			}
		}
	}
}
