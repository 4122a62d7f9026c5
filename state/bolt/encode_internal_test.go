package bolt

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestPace has other work go first after few large records, as after many small ones.
func TestPace(t *testing.T) {
	for name, c := range map[string]struct{ records, bytes, yields int }{
		"large": {4, 1 << 20, 4},
		"small": {256, 1, 4},
		"few":   {3, 100, 0},
	} {
		yields := 0
		ctx := state.Unhurried(t.Context(), func() bool { yields++; return true })
		changes := make([]state.Change, c.records)
		for i := range changes {
			changes[i] = statetest.Change("a", strings.Repeat("x", c.bytes))
		}
		if err := new(encoded).encode(ctx, state.Codec{}, changes); err != nil || yields != c.yields {
			t.Errorf("%s: %d times, %v, want %d", name, yields, err, c.yields)
		}
	}
}
