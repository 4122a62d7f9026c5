package host

import (
	"sync"
	"time"
)

// window is how many tasks of a transform one worker does in a row: as many as take
// Config's BatchTarget together, by what tasks took lately.
type window struct {
	target time.Duration // 0 is one task
	// warn is called once each time the window has been at a bound for longestPin.
	warn func(size int, cost time.Duration)

	mu     sync.Mutex    // guards all below
	cost   time.Duration // moving average of a task's run
	size   int           // 0 before the first task
	pinned time.Time     // since when the size is at a bound; zero if it is not
	warned bool
}

// longestPin is how long a window may be at a bound before that is logged.
const longestPin = 5 * time.Minute

// observe takes note of a crossing of so many tasks that has ended.
func (w *window) observe(now time.Time, took time.Duration, tasks int) {
	if w.target == 0 {
		return
	}
	if size, cost, warn := w.update(now, took/time.Duration(tasks)); warn {
		w.warn(size, cost)
	}
}

func (w *window) update(now time.Time, took time.Duration) (size int, cost time.Duration, warn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.size == 0 {
		w.cost = took
	}
	w.cost += (took - w.cost) / 8
	w.size = int(min(max(1, w.target/max(w.cost, 1)), maxBatch))
	switch {
	case w.size > 1 && w.size < maxBatch:
		w.pinned, w.warned = time.Time{}, false
	case w.pinned.IsZero():
		w.pinned = now
	case !w.warned && now.Sub(w.pinned) >= longestPin:
		w.warned, warn = true, true
	}
	return w.size, w.cost, warn
}

// now returns the size.
func (w *window) now() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(1, w.size)
}
