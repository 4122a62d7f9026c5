package main

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/timeslice"
)

// TestRunTimeSlice asks the kernel what the process has.
func TestRunTimeSlice(t *testing.T) {
	want := 5 * time.Millisecond
	if err := timeslice.Set(want - time.Millisecond); errors.Is(err, errors.ErrUnsupported) {
		want = 0 // of a kernel that knows of none, which is no reason not to serve
	} else if err != nil {
		t.Fatal(err)
	}
	d := startRun(t, "--mode", "inline", "--time-slice", "5ms")
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(attr.Runtime); got != want {
		t.Errorf("threads run for %v, want %v", got, want)
	}
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
}
