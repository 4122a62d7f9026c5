package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// realtime has all threads of the process and of its children scheduled as real-time ones
// (SCHED_RR), and those that they start, until restore is called. No other thread takes a
// processor from one of these, and none waits for one while another is idle. It needs
// CAP_SYS_NICE.
func (p *process) realtime() (restore func() error, err error) {
	usual, err := unix.SchedGetAttr(p.cmd.Process.Pid, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: scheduling: %w", p.kind, err)
	}
	restore = func() error { return p.schedule(*usual) }
	return restore, p.schedule(unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1})
}

// schedule sets how all threads are scheduled. Those that are not yet may start others
// meanwhile, so that it looks until there are none.
func (p *process) schedule(attr unix.SchedAttr) error {
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
				switch err := unix.SchedSetAttr(id, &attr, 0); {
				case errors.Is(err, unix.ESRCH): // it has ended
				case err != nil:
					return fmt.Errorf("%s: real-time scheduling: %w", p.kind, err)
				}
			}
		}
	}
	return nil
}
