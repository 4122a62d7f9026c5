package host

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

// ErrSuspended is wrapped by the error of a task whose plugin has failed so often
// in a row that the host gives it a rest.
var ErrSuspended = errors.New("plugin is suspended")

// How long a plugin rests: the first time, and at most. Each rest is twice as long as
// the one before, until a task succeeds.
const (
	firstRest   = 100 * time.Millisecond
	longestRest = 30 * time.Second
)

// breaker gives a plugin rests that breaks its instances with every task. After a
// rest a single task tries.
type breaker struct {
	limit int // failures in a row; 0 is for ever

	// troubled is whether there were failures since the last success, or a rest: while it
	// is false, tasks that do not fail pass without the lock. Both are written with mu held.
	troubled atomic.Bool
	rests    atomic.Uint64

	mu       sync.Mutex // guards all below
	failures int        // since the last success
	until    time.Time  // of the rest; zero without one
	rest     time.Duration
	trying   bool // a task is out since the rest ended
}

// admit returns an error if the plugin rests. A task that runs is followed by done, with
// the number of rests that were before it. If try is false the task will not run at once,
// and is not the one that tries.
func (b *breaker) admit(try bool) (rests uint64, err error) {
	// In this order: a rest that begins in between counts as later than the task.
	if rests = b.rests.Load(); !b.troubled.Load() {
		return rests, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return b.rests.Load(), nil
	}
	if left := time.Until(b.until); left > 0 {
		return 0, fmt.Errorf("%w for %v, after %d failures in a row", ErrSuspended, left.Round(time.Millisecond), b.failures)
	}
	if try && b.trying {
		return 0, fmt.Errorf("%w: a task tries whether it has recovered from %d failures in a row", ErrSuspended, b.failures)
	}
	b.trying = b.trying || try
	return b.rests.Load(), nil
}

// done records how a task that was admitted to try ended: whether the plugin did
// its part, failed, or neither. It returns what that changed, if anything. The failure of one
// that was admitted before the last rest is no reason for another: the rest is for it.
func (b *breaker) done(kind Kind, rests uint64) (change event.Change) {
	if b.limit == 0 || !kind.guests() && !b.troubled.Load() {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := rests < b.rests.Load()
	if !before {
		b.trying = false
	}
	switch {
	case kind == "" || kind == KindFailed || kind == KindInvalidArgument:
		if !b.until.IsZero() {
			change = event.PluginRecovered
		}
		b.failures, b.until, b.rest = 0, time.Time{}, 0
		b.troubled.Store(false)
	case kind.guests() && !before:
		b.troubled.Store(true)
		if b.failures++; b.failures >= b.limit {
			b.rest = min(max(firstRest, 2*b.rest), longestRest)
			b.until = time.Now().Add(b.rest)
			b.rests.Add(1)
			b.trying = false // whoever did was let in before this
			change = event.PluginSuspended
		}
	}
	return change
}

// stats returns whether the plugin is suspended, and how often it was.
func (b *breaker) stats() (suspended bool, rests uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero(), b.rests.Load()
}
