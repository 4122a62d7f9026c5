package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// realtime has all threads of the process and of its children scheduled as real-time ones
// (SCHED_RR), or no longer: those that they start are as well. No other thread takes a
// processor from one of these, and none waits for one while another is idle. It needs
// CAP_SYS_NICE.
func (p *process) realtime(on bool) error {
	attr := unix.SchedAttr{Policy: unix.SCHED_NORMAL}
	if on {
		attr = unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}
	}
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
			switch err := unix.SchedSetAttr(id, &attr, 0); {
			case errors.Is(err, unix.ESRCH): // it has ended
			case err != nil:
				return fmt.Errorf("%s: real-time scheduling: %w", p.kind, err)
			}
		}
	}
	return nil
}
