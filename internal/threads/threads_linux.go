package threads

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// passes is how often a process is looked at for threads that have been started meanwhile.
const passes = 100

// SetSlice sets the time slice of all threads of a process, and of those that these start, or
// has the kernel choose it again if it is 0. It returns [errors.ErrUnsupported] if the kernel
// knows of none, and an error if ever more threads come; some threads may have the slice then.
// Those of another policy than SCHED_NORMAL and SCHED_BATCH are left alone.
func SetSlice(pid int, slice time.Duration) error {
	seen := make(map[string]bool)
	for range passes {
		before := len(seen)
		list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			return fmt.Errorf("time slice: %w", err)
		}
		for _, entry := range list {
			if seen[entry.Name()] {
				continue
			}
			seen[entry.Name()] = true
			id, err := strconv.Atoi(entry.Name())
			if err != nil {
				return fmt.Errorf("time slice: thread %q", entry.Name())
			}
			if err := setThread(id, slice); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return fmt.Errorf("time slice: thread %d: %w", id, err)
			}
		}
		// A thread that has not its slice yet may have started others.
		if len(seen) == before {
			return nil
		}
	}
	return errors.New("time slice: threads are started all the time")
}

func setThread(id int, slice time.Duration) error {
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		return err
	}
	if attr.Policy != unix.SCHED_NORMAL && attr.Policy != unix.SCHED_BATCH {
		return nil
	}
	attr.Runtime = uint64(slice)
	if err := unix.SchedSetAttr(id, attr, 0); err != nil {
		return err
	}
	// Kernels before 6.12 take it and do nothing; others always have one.
	if attr, err = unix.SchedGetAttr(id, 0); err != nil {
		return err
	}
	if attr.Runtime == 0 || slice != 0 && attr.Runtime != uint64(slice) {
		return errors.ErrUnsupported
	}
	return nil
}
