package memory_test

import (
	"slices"
	"time"
)

// laps are durations, of which the median counts: a shared machine stretches some.
type laps struct {
	began time.Time
	all   []time.Duration
}

func newLaps() *laps { return &laps{all: make([]time.Duration, 0, 1<<16)} }

func (l *laps) start() { l.began = time.Now() }
func (l *laps) stop()  { l.add(time.Since(l.began)) }

func (l *laps) add(d time.Duration) {
	if len(l.all) < cap(l.all) { // it does not grow, which would fault
		l.all = append(l.all, d)
	}
}

// median returns the median in microseconds.
func (l *laps) median() float64 {
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return float64(l.all[len(l.all)/2].Nanoseconds()) / 1e3
}
