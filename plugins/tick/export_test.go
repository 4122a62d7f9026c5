package tick

import (
	"slices"

	"github.com/resonhost/resonhost/resonance/tick"
)

// AdvancePlainly is AdvanceNodes without its fast loop.
func AdvancePlainly(a *tick.Nodes, r *tick.NodesResult) {
	r.Strength, r.Pattern, r.Progress = slices.Clone(a.Strength), slices.Clone(a.Pattern), make([]uint64, (len(a.Frequency)+63)/64)
	seconds := a.NowMS / 1000
	for i := range a.Frequency {
		if advanceOne(a, r, i, seconds, 0.5*sin(seconds*phi)+0.5) {
			r.Progress[i/64] |= 1 << (i % 64)
		}
	}
}
