package histogram_test

import (
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/histogram"
)

func TestRecorder(t *testing.T) {
	var r histogram.Recorder
	for _, d := range []time.Duration{-1, 0, 5 * time.Microsecond, 5*time.Microsecond + 1, time.Second, time.Hour} {
		r.Observe(d)
	}
	r.ObserveN(time.Second, 3)
	s := r.Snapshot()
	at := func(d time.Duration) uint64 { return s.Counts[slices.Index(s.Bounds, d)] }
	if at(5*time.Microsecond) != 3 || at(10*time.Microsecond) != 1 || at(time.Second) != 4 || s.Counts[len(s.Bounds)] != 1 {
		t.Errorf("counts %v below %v", s.Counts, s.Bounds)
	}
	if s.Count != 9 || s.Sum != time.Hour+4*time.Second+10*time.Microsecond {
		t.Errorf("count %d, sum %v", s.Count, s.Sum)
	}
}
