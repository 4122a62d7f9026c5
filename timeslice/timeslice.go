// Package timeslice asks the operating system to let the threads of a process run in short
// turns.
//
// A task takes microseconds, while a Linux kernel lets a thread run for a millisecond or more
// before it looks at those that wait for the processor; and it may have two threads of a process
// wait for each other while a processor is idle, as kernels of virtual machines do that keep
// load together. So a thread that is late is late by all of a turn, which then is what the 99th
// percentile of latencies shows.
package timeslice

import (
	"fmt"
	"os"
	"time"

	"github.com/resonhost/resonhost/internal/threads"
)

// What can be asked for, and what suits a host: it costs no throughput to speak of.
const (
	Shortest = 100 * time.Microsecond
	Longest  = 100 * time.Millisecond
	Default  = 200 * time.Microsecond
)

// Set asks for turns of d for all threads that the process has, and those that these start,
// also in other processes. It is a matter of the whole process, for its main package to
// decide, at its beginning. The threads' shares of the processors remain the same, and threads
// of another scheduling policy than SCHED_OTHER and SCHED_BATCH are left alone.
//
// Linux does so from version 6.12 on, by sched_setattr(2), without privileges; elsewhere Set
// returns [errors.ErrUnsupported]. Should it return another error, some threads may have the
// slice.
func Set(d time.Duration) error {
	if d < Shortest || d > Longest {
		return fmt.Errorf("time slice of %v: must be from %v to %v", d, Shortest, Longest)
	}
	return threads.SetSlice(os.Getpid(), d)
}
