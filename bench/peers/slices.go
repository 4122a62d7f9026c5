package main

import (
	"fmt"
	"time"

	"github.com/resonhost/resonhost/internal/threads"
	"github.com/resonhost/resonhost/timeslice"
)

// shortTurns does from outside, for all threads of the process and of its children, what
// [timeslice.Set] does from inside, until restore is called.
func (p *process) shortTurns() (restore func() error, err error) {
	restore = func() error { return p.schedule(0) } // the kernel's own
	return restore, p.schedule(timeslice.Default)
}

func (p *process) schedule(slice time.Duration) error {
	for _, pid := range p.family() {
		if err := threads.SetSlice(pid, slice); err != nil {
			return fmt.Errorf("%s: %w", p.kind, err)
		}
	}
	return nil
}
