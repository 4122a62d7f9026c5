package events

import (
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/host/event"
)

// pace leaves out events that a client has not asked for, since it wants so many a second only. They are left out
// before they wait for the client, and are written down for nobody.
type pace struct {
	limit *rate.Limiter
	left  atomic.Uint64 // out, since it was told
	last  time.Time     // when it was told; the stream's own
}

// newPace lets a quarter of a second's events pass at once.
func newPace(perSecond int) *pace {
	return &pace{limit: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/4))}
}

// match returns a body if it is among those that the client gets, else nil.
func (p *pace) match(b event.Body) event.Body {
	if b == nil || !b.Kind().Transient() || p.limit.Allow() {
		return b
	}
	p.left.Add(1)
	return nil
}

// told returns how many events were left out if it is time to tell the client, else 0.
func (p *pace) told(now time.Time) uint64 {
	if p == nil || now.Sub(p.last) < time.Second {
		return 0
	}
	p.last = now
	return p.left.Swap(0)
}

// kinds are those among kinds, all if there are none, of which events may be left out.
func (p *pace) kinds(of []event.Kind) []event.Kind {
	if len(of) == 0 {
		of = event.Kinds()
	}
	return slices.DeleteFunc(slices.Clone(of), func(k event.Kind) bool { return !k.Transient() })
}
