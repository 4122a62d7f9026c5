package sched

import "time"

// Decided reports whether the task's fate is settled, for tests that check that
// it is not.
func (t *Ticket) Decided() bool {
	t.s.lock()
	defer t.s.mu.Unlock()
	return t.w == nil || t.w.place == gone
}

// SetClock has a scheduler without tasks take its time from now.
func (s *Scheduler) SetClock(now func() time.Time) {
	s.lock()
	defer s.mu.Unlock()
	s.now, s.clock, s.since = now, now, now()
}

// Queues returns how many queues there are in all groups.
func (s *Scheduler) Queues() (n int) {
	s.lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		for i := range g.shares {
			n += len(g.shares[i].queues)
		}
	}
	return n
}

// Place is [Scheduler.Submit] of a ticket of its own.
func (s *Scheduler) Place(r Request) (t Ticket, err error) {
	err = s.Submit(&t, &r)
	return t, err
}
