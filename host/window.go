package host

import (
	"sync"
	"sync/atomic"
	"time"
)

// window is how many tasks of a transform one worker does in a row, where it does so: as
// many as take Config's BatchTarget together, by what tasks took lately.
type window struct {
	target time.Duration // 0 is one task
	// warn is called once each time the window has been at one bound for longestPin, with
	// tasks that waited all the time.
	warn func(size int, cost time.Duration)

	size atomic.Int64 // 0 before the first task; written with mu held

	mu     sync.Mutex    // guards all below
	cost   time.Duration // moving average of a task's run
	pinned time.Time     // since when the size is at one bound and tasks wait; zero if not so
	last   time.Time     // of the tasks observed
	warned bool
}

// longestPin is how long a window may be at a bound before that is logged.
const longestPin = 5 * time.Minute

// longestGap is how long a window is taken to be as it was without any task.
const longestGap = time.Minute

// observe takes note of a crossing of so many tasks that has ended, and whether they had
// to wait for their turn.
func (w *window) observe(now time.Time, took time.Duration, tasks int, waited bool) {
	if w.target == 0 {
		return
	}
	if size, cost, warn := w.update(now, took/time.Duration(tasks), waited); warn {
		w.warn(size, cost)
	}
}

func (w *window) update(now time.Time, took time.Duration, waited bool) (size int, cost time.Duration, warn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, gap := int(w.size.Load()), now.Sub(w.last)
	if before == 0 {
		w.cost = took
	}
	w.cost += (took - w.cost) / 8
	size = int(min(max(1, w.target/max(w.cost, 1)), maxBatch))
	if size != before {
		w.size.Store(int64(size))
	}
	w.last = now
	switch {
	case size > 1 && size < maxBatch, !waited:
		w.pinned, w.warned = time.Time{}, false
	case w.pinned.IsZero(), size != before, gap > longestGap:
		w.pinned, w.warned = now, false
	case !w.warned && now.Sub(w.pinned) >= longestPin:
		w.warned, warn = true, true
	}
	return size, w.cost, warn
}

// now returns the size.
func (w *window) now() int { return max(1, int(w.size.Load())) }
