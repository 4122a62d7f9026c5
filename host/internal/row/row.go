// Package row finds how many tasks one worker does in a row.
package row

import (
	"sync"
	"sync/atomic"
	"time"
)

// Row is how many tasks of a transform one worker does in a row, where it does so: as
// many as take its target together, by what tasks took lately. Its methods may be called
// concurrently.
type Row struct {
	Max int // tasks at most
	// Warn is called once each time the row has been at one bound for longestPin, with
	// tasks that waited all the time.
	Warn func(size int, cost time.Duration)

	target atomic.Int64 // a time.Duration; written with mu held
	size   atomic.Int64 // 0 before the first task; written with mu held

	mu     sync.Mutex    // guards all below
	cost   time.Duration // moving average of a task's run
	pinned time.Time     // since when the size is at one bound and tasks wait; zero if not so
	last   time.Time     // of the tasks observed
	warned bool
}

// longestPin is how long a row may be at a bound before that is logged.
const longestPin = 5 * time.Minute

// longestGap is how long a row is taken to be as it was without any task.
const longestGap = time.Minute

// Target is how long the tasks of a row take together; 0, as before SetTarget, is one task.
func (r *Row) Target() time.Duration { return time.Duration(r.target.Load()) }

// SetTarget changes it.
func (r *Row) SetTarget(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target.Store(int64(d))
	if d == 0 {
		r.size.Store(0)
	}
}

// Observe takes note of a crossing of so many tasks that has ended, and whether they had
// to wait for their turn.
func (r *Row) Observe(now time.Time, took time.Duration, tasks int, waited bool) {
	if r.Target() == 0 {
		return
	}
	if size, cost, warn := r.update(now, took/time.Duration(tasks), waited); warn {
		r.Warn(size, cost)
	}
}

func (r *Row) update(now time.Time, took time.Duration, waited bool) (size int, cost time.Duration, warn bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	target := r.Target()
	if target == 0 { // since then
		return 1, 0, false
	}
	before, gap := int(r.size.Load()), now.Sub(r.last)
	if before == 0 {
		r.cost = took
	}
	r.cost += (took - r.cost) / 8
	size = int(min(max(1, target/max(r.cost, 1)), time.Duration(r.Max)))
	if size != before {
		r.size.Store(int64(size))
	}
	r.last = now
	switch {
	case size > 1 && size < r.Max, !waited:
		r.pinned, r.warned = time.Time{}, false
	case r.pinned.IsZero(), size != before, gap > longestGap:
		r.pinned, r.warned = now, false
	case !r.warned && now.Sub(r.pinned) >= longestPin:
		r.warned, warn = true, true
	}
	return size, r.cost, warn
}

// Size returns the number of tasks.
func (r *Row) Size() int { return max(1, int(r.size.Load())) }
