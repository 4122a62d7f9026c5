// Package breaker gives a plugin rests that breaks its instances with every task.
package breaker

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
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

// Outcome is how a task ended, as far as its plugin is to blame.
type Outcome int

// Outcomes.
const (
	Neither Outcome = iota // it says nothing of the plugin
	Worked                 // the plugin did its part
	Broke                  // it broke an instance
)

// Change is what a task's end changed.
type Change int

// Changes.
const (
	Same      Change = iota
	Suspended        // it rests
	Again            // it rests again: the task that tried broke an instance, too
	Recovered        // a task succeeded after a rest
)

// Breaker suspends a plugin after Limit failures in a row; 0 is never. After a rest a single
// task tries. Its methods may be called concurrently.
type Breaker struct {
	Limit int

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

// Admit returns an error if the plugin rests. A task that runs is followed by Done, with
// the number of rests that were before it. If try is false the task will not run at once,
// and is not the one that tries.
func (b *Breaker) Admit(try bool) (rests uint64, err error) {
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

// Done records how a task that was admitted to try ended. It returns what that changed. The
// failure of one that was admitted before the last rest is no reason for another: the rest is
// for it.
func (b *Breaker) Done(how Outcome, rests uint64) (change Change) {
	if b.Limit == 0 || how != Broke && !b.troubled.Load() {
		return Same
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := rests < b.rests.Load()
	if !before {
		b.trying = false
	}
	switch {
	case how == Worked:
		if !b.until.IsZero() {
			change = Recovered
		}
		b.failures, b.until, b.rest = 0, time.Time{}, 0
		b.troubled.Store(false)
	case how == Broke && !before:
		b.troubled.Store(true)
		if b.failures++; b.failures >= b.Limit {
			if change = Suspended; !b.until.IsZero() {
				change = Again
			}
			b.rest = min(max(firstRest, 2*b.rest), longestRest)
			b.until = time.Now().Add(b.rest)
			b.rests.Add(1)
			b.trying = false // whoever did was let in before this
		}
	}
	return change
}

// Stats returns whether the plugin is suspended, and how often it was.
func (b *Breaker) Stats() (suspended bool, rests uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero(), b.rests.Load()
}
