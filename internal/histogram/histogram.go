// Package histogram counts durations in buckets: once, for two kinds of buckets at a time.
package histogram

import (
	"math"
	"math/bits"
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

// The native buckets are those of Prometheus's native histograms of a schema, in seconds: the one of the
// index i has what is above 2^((i-1)/2^Schema) s and at most 2^(i/2^Schema) s. What is at most
// 2^(First-1)/2^Schema) s is in the zero bucket, and what is above the last is counted there.
const (
	Schema = 2
	First  = -71 // 3.8 µs to 4.5 µs
	Last   = 64  // up to 18 h
)

// natives is how many native buckets there are, with the zero bucket.
const natives = Last - First + 2

// edges are the upper bounds of both kinds together, in their order. What lies between two of them is counted
// together: it is in the same bucket of either kind.
var edges = func() (all [natives + len(bounds)]time.Duration) {
	for i := range natives {
		all[i] = time.Duration(math.Exp2(float64(First-1+i)/(1<<Schema)) * float64(time.Second)) // the last at or below
	}
	copy(all[natives:], bounds[:])
	slices.Sort(all[:])
	return all
}()

// from is where the search for a duration of so many bits begins.
var from = func() (at [65]uint8) {
	for length := range at {
		least := time.Duration(0)
		if length > 0 {
			least = time.Duration(1) << (length - 1)
		}
		if length == len(at)-1 {
			least = math.MaxInt64 // no duration has so many
		}
		at[length] = uint8(slices.IndexFunc(append(edges[:], math.MaxInt64), func(e time.Duration) bool { return e >= least }))
	}
	return at
}()

// Snapshot has the fields of host.Histogram, which documents them.
type Snapshot struct {
	Bounds []time.Duration
	Counts []uint64
	Native []uint64
	Count  uint64
	Sum    time.Duration
}

// Recorder counts. Its zero value has counted nothing. Its methods may be called
// concurrently.
type Recorder struct {
	counts [len(edges) + 1]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts one duration.
func (r *Recorder) Observe(d time.Duration) { r.ObserveN(d, 1) }

// ObserveN counts n of one duration.
func (r *Recorder) ObserveN(d time.Duration, n int) {
	i := int(from[bits.Len64(uint64(max(d, 0)))])
	for i < len(edges) && d > edges[i] { // six times at most, of which four are one octave
		i++
	}
	r.counts[i].Add(uint64(n))
	r.sum.Add(int64(d) * int64(n))
}

// Snapshot returns what was counted. What is counted meanwhile is in it, or is not.
func (r *Recorder) Snapshot() Snapshot {
	s := Snapshot{
		Bounds: slices.Clone(bounds[:]), Counts: make([]uint64, len(bounds)+1), Native: make([]uint64, natives),
		Sum: time.Duration(r.sum.Load()),
	}
	classic, native := 0, 0
	for i := range r.counts {
		n := r.counts[i].Load()
		s.Counts[classic] += n
		s.Native[min(native, natives-1)] += n
		s.Count += n
		if i == len(edges) {
			break
		}
		if classic < len(bounds) && edges[i] == bounds[classic] {
			classic++
		} else {
			native++
		}
	}
	return s
}
