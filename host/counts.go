package host

import (
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/internal/histogram"
)

// counts is what is counted of the tasks of one transform.
type counts struct {
	ok, fuel, joined   atomic.Uint64
	errors             [len(kinds)]atomic.Uint64
	wait, run, latency histogram.Recorder
}

func (c *counts) stats(name string) TransformStats {
	s := TransformStats{
		Name: name, OK: c.ok.Load(), Fuel: c.fuel.Load(), Joined: c.joined.Load(), Errors: make(map[Kind]uint64),
		Wait: Histogram(c.wait.Snapshot()), Run: Histogram(c.run.Snapshot()), Latency: Histogram(c.latency.Snapshot()),
	}
	for i := range c.errors {
		if n := c.errors[i].Load(); n > 0 {
			s.Errors[kinds[i]] = n
		}
	}
	return s
}

// tally is what is to be counted of jobs: those in a row that took as long at once.
type tally struct {
	of       *counts
	latency  time.Duration
	jobs, ok int
}

func (y *tally) add(latency time.Duration, ok bool) {
	if latency != y.latency && y.jobs > 0 {
		y.count()
	}
	y.latency = latency
	y.jobs++
	if ok {
		y.ok++
	}
}

func (y *tally) count() {
	y.of.latency.ObserveN(y.latency, y.jobs)
	y.of.ok.Add(uint64(y.ok))
	y.jobs, y.ok = 0, 0
}
