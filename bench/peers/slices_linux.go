package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/timeslice"
)

// shortTurns does from outside, for all threads of the process and of its children, what
// [timeslice.Set] does from inside, until restore is called.
func (p *process) shortTurns() (restore func() error, err error) {
	restore = func() error { return p.schedule(0) } // the kernel's own
	return restore, p.schedule(timeslice.Default)
}

// schedule sets the time slice of all threads. Those that have another yet may start others
// meanwhile, so that it looks until there are none.
func (p *process) schedule(slice time.Duration) error {
	set := make(map[int]bool)
	for before := -1; before < len(set); {
		before = len(set)
		for _, pid := range p.family() {
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
			if err != nil {
				return err
			}
			for _, thread := range threads {
				id, err := strconv.Atoi(filepath.Base(thread))
				if err != nil {
					return err
				}
				if set[id] {
					continue
				}
				set[id] = true
				if err := scheduleThread(id, slice); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
					return fmt.Errorf("%s: time slice: %w", p.kind, err)
				}
			}
		}
	}
	return nil
}

func scheduleThread(id int, slice time.Duration) error {
	attr, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		return err
	}
	attr.Runtime = uint64(slice)
	if err := unix.SchedSetAttr(id, attr, 0); err != nil {
		return err
	}
	// Older kernels take it and do nothing.
	if attr, err = unix.SchedGetAttr(id, 0); err == nil && attr.Runtime == 0 {
		err = errors.ErrUnsupported
	}
	return err
}
