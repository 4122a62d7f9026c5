package fleetlines

import (
	"context"
	"sync/atomic"

	"github.com/resonhost/resonhost/fleet"
)

// early are answers that came before their turn. One goroutine puts and takes them, and others wait for room.
type early struct {
	most    int64 // bytes
	answers map[uint64]*fleet.Answer
	held    atomic.Int64  // bytes
	eased   chan struct{} // has something if there is less held
}

func newEarly(most int64) *early {
	return &early{most: most, answers: make(map[uint64]*fleet.Answer), eased: make(chan struct{}, 1)}
}

func (e *early) put(number uint64, a *fleet.Answer) {
	e.answers[number] = a
	e.held.Add(bytesOf(a))
}

// take returns an answer, and is false if it is not there.
func (e *early) take(number uint64) (a *fleet.Answer, ok bool) {
	if a, ok = e.answers[number]; ok {
		delete(e.answers, number)
		e.held.Add(-bytesOf(a))
		select {
		case e.eased <- struct{}{}:
		default:
		}
	}
	return a, ok
}

// room waits while as much is held as may be, or until ctx ends. The answer that others wait for is of a frame that was sent before them.
func (e *early) room(ctx context.Context) error {
	for e.held.Load() >= e.most {
		select {
		case <-e.eased:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// bytesOf is how many bytes an answer's results have.
func bytesOf(a *fleet.Answer) (n int64) {
	for i := range a.Outcomes {
		n += outcomeBytes(&a.Outcomes[i])
	}
	return n
}

func outcomeBytes(o *fleet.Outcome) int64 {
	if o.Failure != nil {
		return int64(len(o.Failure.Message))
	}
	return int64(len(o.Output))
}
