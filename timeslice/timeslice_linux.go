package timeslice

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// set looks until there are no threads that it has not seen: one that has not its slice yet
// may start others.
func set(d time.Duration) error {
	seen := make(map[string]bool)
	for before := -1; before < len(seen); {
		before = len(seen)
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("time slice: %w", err)
		}
		for _, thread := range threads {
			name := thread.Name()
			if seen[name] {
				continue
			}
			seen[name] = true
			id, err := strconv.Atoi(name)
			if err != nil {
				return fmt.Errorf("time slice: thread %q", name)
			}
			if err := setThread(id, uint64(d)); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return fmt.Errorf("time slice: thread %d: %w", id, err)
			}
		}
	}
	return nil
}

func setThread(id int, ns uint64) error {
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		return err
	}
	if attr.Policy != unix.SCHED_NORMAL && attr.Policy != unix.SCHED_BATCH {
		return nil
	}
	attr.Runtime = ns
	if err := unix.SchedSetAttr(id, attr, 0); err != nil {
		return err
	}
	// Older kernels take it and do nothing.
	if attr, err = unix.SchedGetAttr(id, 0); err != nil {
		return err
	}
	if attr.Runtime != ns {
		return errors.ErrUnsupported
	}
	return nil
}
