package timeslice_test

import (
	"testing"
	"time"

	"github.com/resonhost/resonhost/timeslice"
)

func TestRange(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                      "time slice of 0s: must be from 100µs to 100ms",
		timeslice.Shortest - 1: "time slice of 99.999µs: must be from 100µs to 100ms",
		timeslice.Longest + 1:  "time slice of 100.000001ms: must be from 100µs to 100ms",
		-timeslice.Default:     "time slice of -200µs: must be from 100µs to 100ms",
	} {
		if err := timeslice.Set(d); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", d, err, want)
		}
	}
}
