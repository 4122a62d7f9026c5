package sched

import (
	"container/heap"
	"time"
)

// queue is where the tasks of one tenant wait. It exists while it has tasks, and then until the
// clock of its share has come to what it has used, else a tenant with one task at a time
// would pay for none; but not while all of the share's are without tasks: what nobody
// else wanted is free.
type queue struct {
	group   *Group
	level   Level
	tenant  string
	known   bool
	weight  float64
	used    float64
	index   int           // in share.waiting or share.idle; -1 outside
	tasks   int           // in the queue, before it, or with a slot from it
	queued  fifo          // all that wait in the queue, the oldest first
	waiting turns         // those of them that lack nothing but a slot
	blocked fifo          // submitters that wait for room in the queue
	load    time.Duration // that waiting takes at least
	drain   chan struct{} // closed when half of a full queue is gone; nil unless it was full
}

func (q *queue) share() *share { return &q.group.shares[q.level] }

// before makes a heap of queues with waiting tasks: the one that has used the least is
// first, of those that used the same the one with the oldest task.
func (q *queue) before(o *queue) bool {
	if q.used != o.used {
		return q.used < o.used
	}
	a, b := &q.waiting, &o.waiting
	return a.len() > 0 && b.len() > 0 && a.first().seq < b.first().seq
}

func (q *queue) moved(to int) { q.index = to }

// turns are waiters by age. Nearly all come in that order, those that waited for others
// of their Serial do not.
type turns struct {
	inOrder fifo
	late    indexed[*waiter]
}

func (t *turns) len() int { return t.inOrder.len + len(t.late) }

func (t *turns) push(w *waiter) {
	if last := t.inOrder.tail; last != nil && last.seq > w.seq {
		heap.Push(&t.late, w)
		return
	}
	w.index = -1
	t.inOrder.push(w, turnLink)
}

func (t *turns) remove(w *waiter) {
	if w.index >= 0 {
		heap.Remove(&t.late, w.index)
		return
	}
	t.inOrder.remove(w, turnLink)
}

// first returns the oldest. There must be one.
func (t *turns) first() *waiter {
	w := t.inOrder.front()
	if len(t.late) > 0 && (w == nil || t.late[0].seq < w.seq) {
		return t.late[0]
	}
	return w
}

// fullQueues is how many full queues' tasks wait in a group and level at most: a queue is full
// once as many tasks wait in it as could still come, or Capacity, if that is less. So many
// a tenant can fill up its queue, and however many come, the next finds room.
const fullQueues = 4

// MaxQueues is how many tenants have queues of their own in a group and level at most,
// beside those that are Known. The further ones have one in common.
const MaxQueues = 1024

// roomLocked returns how many tasks may wait in a queue of a share.
func (s *Scheduler) roomLocked(sh *share) int {
	return max(1, min(s.cfg.Capacity, fullQueues*s.cfg.Capacity-sh.queued))
}

// fillLocked takes note of a queue that is full.
func (s *Scheduler) fillLocked(q *queue) {
	if q.drain == nil && q.queued.len >= s.roomLocked(q.share()) {
		q.drain = make(chan struct{})
	}
}

// lateLocked reports whether a task that comes now to the end of a queue could not begin
// by its deadline: when those before it there, of which none waits for its Serial, take
// longer, on as many slots as can do them at once. Whatever else there is may go before it
// or not. Since costs are low, it rather errs on the side of the task.
func (s *Scheduler) lateLocked(q *queue, deadline time.Time) bool {
	if deadline.IsZero() || q.waiting.len() == 0 {
		return false
	}
	slots := min(s.cfg.Slots, q.group.class.limit)
	if q.level == Urgent {
		slots += s.cfg.Reserve
	}
	return deadline.Sub(s.now()) < q.load/time.Duration(slots)
}

// keepLocked counts a task of a queue, dropLocked discounts it.
func (s *Scheduler) keepLocked(q *queue) {
	q.group.tasks++
	sh := q.share()
	sh.tasks++
	if q.tasks++; q.tasks > 1 {
		return
	}
	switch {
	case q.index >= 0:
		heap.Remove(&sh.idle, q.index)
	case q == sh.rest || !q.known && sh.crowded():
		sh.rest = q
		return
	}
	if q.known {
		sh.known++
	}
	if sh.queues == nil {
		sh.queues = make(map[string]*queue)
	}
	sh.queues[q.tenant] = q
	sh.trim()
}

func (s *Scheduler) dropLocked(q *queue) {
	sh := q.share()
	sh.tasks--
	if q.tasks--; q.tasks == 0 {
		switch {
		case q == sh.rest: // stays
		case q.known:
			sh.known--
			fallthrough
		default:
			heap.Push(&sh.idle, q)
			sh.trim()
		}
	}
	if sh.tasks == 0 {
		for _, q := range sh.idle {
			sh.clock = max(sh.clock, q.used)
		}
		if sh.rest != nil {
			sh.clock = max(sh.clock, sh.rest.used)
		}
	}
	sh.forget()
	s.leaveLocked(q.group)
}

func (s *Scheduler) enqueueLocked(w *waiter) {
	q := w.queue
	q.queued.push(w, queueLink)
	q.share().queued++
	s.fillLocked(q)
	q.group.class.depth++
	w.cost = time.Duration(w.tasks) * q.group.cost
	if w.serial == nil {
		s.awaitTurnLocked(w)
		return
	}
	if w.room == nil {
		w.serial.waiting.push(w, orderLink)
	}
	w.place = inSerial
	s.resumeLocked(w.serial)
}

// unqueueLocked takes a waiter out of its queue for good, and admits the submitter
// that waited for the room.
func (s *Scheduler) unqueueLocked(w *waiter) {
	s.decideLocked(w)
	q := w.queue
	q.queued.remove(w, queueLink)
	q.share().queued--
	q.group.class.depth--
	for q.blocked.len > 0 && q.queued.len < s.roomLocked(q.share()) {
		s.admitLocked(q.blocked.front())
	}
	if q.drain != nil && q.queued.len <= s.roomLocked(q.share())/2 {
		close(q.drain)
		q.drain = nil
	}
}

// removeLocked takes a waiter out of the queue.
func (s *Scheduler) removeLocked(w *waiter) {
	switch w.place {
	case inTurn:
		s.stepOutLocked(w)
		if w.serial != nil {
			s.advanceLocked(w.serial)
		}
	case inSerial:
		w.serial.waiting.remove(w, orderLink)
		s.resumeLocked(w.serial)
	}
	s.unqueueLocked(w)
}

func (s *Scheduler) admitLocked(w *waiter) {
	s.unblockLocked(w)
	s.enqueueLocked(w)
	close(w.room)
}

func (s *Scheduler) unblockLocked(w *waiter) {
	w.queue.blocked.remove(w, queueLink)
	w.queue.group.class.blocked.remove(w, intakeLink)
}

// expelLocked takes back a task that is not decided.
func (s *Scheduler) expelLocked(w *waiter) {
	if w.place == inBlocked {
		s.unblockLocked(w)
		s.decideLocked(w)
		close(w.room) // there is nothing to wait for
		if w.serial != nil {
			w.serial.waiting.remove(w, orderLink)
			s.resumeLocked(w.serial)
		}
	} else {
		s.removeLocked(w)
	}
	s.dropLocked(w.queue)
}

func (s *Scheduler) decideLocked(w *waiter) {
	w.place = gone
	if w.job != nil {
		s.offered.Add(-1)
	}
	if s.cfg.Timeout > 0 {
		s.waiters.remove(w, ageLink)
	}
}

// awaitTurnLocked has a waiter whose Serial is free wait for a slot.
func (s *Scheduler) awaitTurnLocked(w *waiter) {
	if w.serial != nil {
		w.serial.busy = true
	}
	w.place = inTurn
	q := w.queue
	lv, sh := &s.levels[q.level], q.share()
	// Whoever had nothing waiting has saved nothing up.
	if lv.waiting == 0 {
		lv.served = s.nowLocked()
	}
	if len(sh.waiting) == 0 {
		sh.used = max(sh.used, lv.clock)
	}
	if q.waiting.len() == 0 {
		q.used = max(q.used, sh.clock)
	}
	q.waiting.push(w)
	q.load += w.cost
	lv.waiting++
	q.group.class.waiting++
	if q.index < 0 {
		heap.Push(&sh.waiting, q)
	} else {
		heap.Fix(&sh.waiting, q.index) // its first may be another
	}
}

// stepOutLocked ends a waiter's waiting for a slot.
func (s *Scheduler) stepOutLocked(w *waiter) {
	q := w.queue
	q.waiting.remove(w)
	q.load -= w.cost
	s.levels[q.level].waiting--
	q.group.class.waiting--
	if sh := q.share(); q.waiting.len() == 0 {
		heap.Remove(&sh.waiting, q.index)
	} else {
		heap.Fix(&sh.waiting, q.index)
	}
}

// advanceLocked lets the next task of a Serial wait for a slot.
func (s *Scheduler) advanceLocked(serial *Serial) {
	serial.busy = false
	s.resumeLocked(serial)
}

// resumeLocked lets the first task of a Serial wait for a slot, if it is in its queue
// and the Serial free.
func (s *Scheduler) resumeLocked(serial *Serial) {
	if w := serial.waiting.front(); w != nil && !serial.busy && w.place == inSerial {
		serial.waiting.remove(w, orderLink)
		s.awaitTurnLocked(w)
	}
}

// watchLocked has a waiter wait for no longer than Timeout. All have the same, so that
// one timer for the oldest does: one for each would cost more than the queue.
func (s *Scheduler) watchLocked(w *waiter) {
	if s.cfg.Timeout == 0 {
		return
	}
	w.until = s.nowLocked().Add(s.cfg.Timeout)
	s.waiters.push(w, ageLink)
	if s.alarm == nil {
		s.alarm = time.AfterFunc(s.cfg.Timeout, s.expire)
	}
}

// expire takes back the tasks that have waited too long.
func (s *Scheduler) expire() {
	s.lock()
	defer s.mu.Unlock()
	now := s.nowLocked()
	for w := s.waiters.front(); w != nil; w = s.waiters.front() {
		if left := w.until.Sub(now); left > 0 {
			s.alarm.Reset(left)
			break
		}
		s.expelLocked(w)
		w.result <- ErrTimeout
	}
	if s.waiters.len == 0 {
		s.alarm = nil
	}
	s.dispatchLocked()
}
