// Package histogram counts durations in buckets.
package histogram

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the buckets: from what a task costs at least to what
// a timeout allows, in steps of 2 to 2.5.
var bounds = [...]time.Duration{
	5 * time.Microsecond, 10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Snapshot has the fields of host.Histogram, which documents them.
type Snapshot struct {
	Bounds []time.Duration
	Counts []uint64
	Count  uint64
	Sum    time.Duration
}

// Recorder counts. Its zero value has counted nothing. Its methods may be called
// concurrently.
type Recorder struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts one duration.
func (r *Recorder) Observe(d time.Duration) { r.ObserveN(d, 1) }

// ObserveN counts n of one duration.
func (r *Recorder) ObserveN(d time.Duration, n int) {
	i := 0
	for i < len(bounds) && d > bounds[i] { // most are short
		i++
	}
	r.counts[i].Add(uint64(n))
	r.sum.Add(int64(d) * int64(n))
}

// Snapshot returns what was counted. What is counted meanwhile is in it, or is not.
func (r *Recorder) Snapshot() Snapshot {
	s := Snapshot{Bounds: slices.Clone(bounds[:]), Counts: make([]uint64, len(r.counts)), Sum: time.Duration(r.sum.Load())}
	for i := range r.counts {
		s.Counts[i] = r.counts[i].Load()
		s.Count += s.Counts[i]
	}
	return s
}
