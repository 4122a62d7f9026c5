package memory

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// faults counts the page faults of the process since it began, those of threads that
// have ended included.
//
// The system copies a page in a fault and nowhere else. While the count stands still
// no memory of the process has got a copy, and what is known of one's copies still
// holds. A count that moves tells nothing, as other threads have faults too.
//
// A thread's own count (RUSAGE_THREAD) takes half the time or less. But a task can change threads, and on
// another thread it would not be known what the count was before.
func faults() (int64, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return int64(u.Minflt) + int64(u.Majflt), nil //nolint:unconvert // int32 on 32-bit systems
}
