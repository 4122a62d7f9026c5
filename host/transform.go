package host

import (
	"slices"
	"sync/atomic"

	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/row"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/schema"
)

// transform is one transform that is served, through all versions that have it with the
// same media types: its queue, and what is counted of it.
type transform struct {
	service       *service
	name          string
	input, output string
	slot          int
	group         *sched.Group
	counts        counts
	row           row.Row
	// last is the version that does the tasks it still has, once no version that serves
	// has it; nil before.
	last atomic.Pointer[version]
	full atomic.Pointer[Error] // see fullQueue
	over chan struct{}         // the runner's
	// schema is what inputs are held to; nil for any.
	schema atomic.Pointer[schema.Schema]
	// fits is how many tasks share a frame.
	fits framefit.Fit
	// elsewhere is whether a task came of a stream whose state somebody else keeps, see [Client.WithStates].
	elsewhere atomic.Bool
}

// current returns the version that does a transform's tasks, canaries aside.
func (t *transform) current() *version {
	if v := t.service.current(); v != nil && v.spec(t.slot) != nil {
		return v
	}
	return t.last.Load()
}

// count counts the error of n tasks and returns it.
func (t *transform) count(e *Error, n int) error {
	t.counts.errors[slices.Index(kinds[:], e.Kind)].Add(uint64(n))
	return e
}

// failed counts a task that never became one. A kind that the host has not is left out.
func (t *transform) failed(k Kind) {
	if i := slices.Index(kinds[:], k); i >= 0 {
		t.counts.errors[i].Add(1)
	}
}

func (t *transform) stats() TransformStats {
	s := t.counts.stats(t.name)
	s.Row = t.row.Size()
	return s
}
