package cascade

import (
	"math"
	"testing"
)

// TestSpecial has each entry of the table be what is near its range, and all of it.
func TestSpecial(t *testing.T) {
	ratios := []struct {
		ratio float64
		score int
	}{{1, 1}, {2, 1}, {3.0 / 2, 1}, {4.0 / 3, 1}, {5.0 / 4, 1}, {5.0 / 3, 1}, {8.0 / 5, 1}, {phi, 2}, {1 / phi, 2}}
	for k := range special {
		var want [3]struct {
			ratio float64
			score int
		}
		n := 0
		for _, r := range ratios {
			if r.ratio+0.01 >= float64(k)/16 && r.ratio-0.01 <= float64(k+1)/16 {
				want[n].ratio, want[n].score = r.ratio, r.score
				n++
			}
		}
		for i, c := range special[k] {
			if math.Abs(c.ratio-want[i].ratio) > 1e-15 || c.score != want[i].score {
				t.Errorf("%d, %d: %v, want %v", k, i, c, want[i])
			}
		}
		if n > len(special[k]) {
			t.Errorf("%d: %d ratios are near", k, n)
		}
	}
}
