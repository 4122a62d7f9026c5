package sched

// Decided reports whether the task's fate is settled, for tests that check that
// it is not.
func (t *Ticket) Decided() bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	return t.w == nil || t.w.place == gone
}
