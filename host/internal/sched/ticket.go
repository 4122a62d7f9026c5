package sched

import (
	"context"
	"errors"
	"time"
)

// Request says what a task is.
type Request struct {
	Group  *Group
	Serial *Serial // nil if it has none
	Level  Level
	// Tenant is whose it is, and Weight, which is positive, the tenant's share of
	// the group's time beside other tenants.
	Tenant string
	Weight int
	// Known is whether the tenant has a queue of its own, however many there are.
	Known bool
	// Tasks is how many it is in truth, to be done in one go; 1 if zero.
	Tasks int
	// Deadline is when the task must have ended; none if zero.
	Deadline time.Time
}

// Ticket is a task's place. Its owner calls [Ticket.Wait] and, if that succeeds,
// [Ticket.Release] once.
type Ticket struct {
	s       *Scheduler
	group   *Group
	serial  *Serial
	w       *waiter // nil once a slot is held
	queue   *queue  // nil of a task that did not have to wait
	level   Level
	slot    slot
	tasks   int // that it stands for
	began   time.Time
	charged time.Duration // of its queue
	others  time.Duration // that jobs took which it had taken over
}

// Submit takes a place for a task. It does not wait; [Ticket.Wait] does. With
// policy Block the place may be before the queue, see [Ticket.Room]. It makes t, a new one, the task's
// ticket, which is of no use after an error. Both are passed by reference since copies of what was written
// a moment ago cost a short task a twentieth.
func (s *Scheduler) Submit(t *Ticket, r *Request) error {
	class := r.Group.class
	t.s, t.group, t.serial, t.level, t.tasks = s, r.Group, r.Serial, r.Level, max(r.Tasks, 1)
	s.lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case r.Group.gone != nil:
		return ErrRetired
	}
	// The fast path: with nobody before it, the task needs no place.
	if free := s.freeLocked(class, r.Level); free != none && class.waiting == 0 && class.blocked.len == 0 &&
		(r.Serial == nil || !r.Serial.busy && r.Serial.waiting.len == 0) {
		t.slot, t.began = free, s.startLocked(class, free, r.Serial)
		r.Group.tasks++
		return nil
	}
	q := r.Group.shares[r.Level].queue(r)
	if q == nil {
		q = &queue{group: r.Group, level: r.Level, tenant: r.Tenant, known: r.Known, index: -1} // not of the share until it has a task
	}
	full := q.queued.len >= s.roomLocked(q.share())
	switch {
	case full && s.cfg.Policy == Reject:
		return ErrFull
	case s.lateLocked(q, r.Deadline):
		return ErrLate
	}
	s.keepLocked(q)
	if q.weight = float64(r.Weight); q == q.share().rest {
		q.weight = 1
	}
	s.seq++
	t.w = s.newWaiter()
	t.w.queue, t.w.serial, t.w.seq, t.w.tasks = q, r.Serial, s.seq, t.tasks
	t.queue, t.began = q, s.nowLocked()
	s.watchLocked(t.w)
	if full && s.cfg.Policy == Block {
		t.w.room = make(chan struct{})
		q.blocked.push(t.w, queueLink)
		class.blocked.push(t.w, intakeLink)
		if r.Serial != nil {
			r.Serial.waiting.push(t.w, orderLink) // its place there does not wait for room
		}
		s.dispatchLocked() // those before it may all wait for one Serial
		return nil
	}
	if full {
		oldest := q.queued.front()
		s.removeLocked(oldest)
		s.dropLocked(q)
		oldest.result <- ErrDropped
		s.dropped++
	}
	s.enqueueLocked(t.w)
	// It may go before all that wait; or the dropped task have stood before others
	// of its Serial.
	s.dispatchLocked()
	return nil
}

// Held reports whether the ticket has a slot, so that [Ticket.Wait] returns at
// once.
func (t *Ticket) Held() bool { return t.w == nil }

// Began returns when a task that holds a slot got it, and until it does, when it came.
func (t *Ticket) Began() time.Time { return t.began }

// Blocked reports whether the ticket waits for room in the queue, or did when it
// was taken.
func (t *Ticket) Blocked() bool { return t.w != nil && t.w.room != nil }

// Room waits until the task is in the queue, or has timed out before it, which Wait
// tells. If ctx is done first, the task is withdrawn and the ticket of no more use.
func (t *Ticket) Room(ctx context.Context) error {
	if !t.Blocked() {
		return nil
	}
	select {
	case <-t.w.room:
		return nil
	case <-ctx.Done():
		return t.withdraw(ctx)
	}
}

// Wait waits for a slot. If ctx is done first, the task is withdrawn and the
// ticket of no more use. If it returns [ErrTaken], the ticket is of no more use either.
func (t *Ticket) Wait(ctx context.Context) error {
	if t.w == nil {
		return nil
	}
	var err error
	if ended := ctx.Done(); ended == nil {
		err = <-t.w.result // a select costs a short task a twentieth
	} else {
		select {
		case err = <-t.w.result:
		case <-ended:
			return t.withdraw(ctx)
		}
	}
	t.settle(err)
	return err
}

// settle takes over what was decided, after which nobody else refers to the waiter.
func (t *Ticket) settle(err error) {
	if err == nil {
		t.slot, t.began, t.charged = t.w.slot, t.w.began, t.w.cost
	}
	t.free()
}

// free gives up the ticket's waiter, for which nothing more is to come.
func (t *Ticket) free() {
	*t.w = waiter{result: t.w.result}
	t.s.spare.Put(t.w)
	t.w = nil
}

// withdraw takes a task back whose ctx is done, and returns the context's cause.
func (t *Ticket) withdraw(ctx context.Context) error {
	s, w := t.s, t.w
	s.lock()
	switch w.place {
	case gone: // decided meanwhile
		s.mu.Unlock()
		err := <-w.result
		if t.settle(err); err == nil {
			t.tasks = 0 // that nothing is learnt of
			t.Release()
		}
		if errors.Is(err, ErrTaken) {
			return err
		}
		return context.Cause(ctx)
	default:
		s.expelLocked(w)
	}
	s.dispatchLocked() // those behind may be able to run
	s.mu.Unlock()
	t.free()
	return context.Cause(ctx)
}

// Release gives the slot back and starts whatever may run now.
func (t *Ticket) Release() { t.ReleaseAt(time.Time{}) }

// ReleaseAt is Release with what the clock just said, unless that is zero: each look at it
// costs some 30 ns.
func (t *Ticket) ReleaseAt(now time.Time) {
	s := t.s
	s.lock()
	defer s.mu.Unlock()
	if s.moment = now; !now.IsZero() && now.Before(s.since) { // another has looked since
		s.moment = s.since
	}
	now = s.accountLocked()
	s.occupyLocked(t.group.class, t.slot, -1)
	took := max(now.Sub(t.began)-t.others, 0)
	if t.tasks > 0 {
		t.group.learn(took / time.Duration(t.tasks))
	}
	if t.queue != nil {
		s.chargeLocked(t.queue, took-t.charged)
		s.dropLocked(t.queue)
	} else {
		s.leaveLocked(t.group)
	}
	if t.serial != nil {
		s.advanceLocked(t.serial)
	}
	s.dispatchLocked()
}

// Offer says what there is to do, for the owner of a slot who takes it by [Ticket.Next]:
// Wait returns [ErrTaken] then, once it was done. A task of a Serial offers nothing.
func (t *Ticket) Offer(job any) {
	if t.w == nil || t.serial != nil {
		return
	}
	t.s.lock()
	defer t.s.mu.Unlock()
	if t.w.place != gone {
		t.w.job = job
		t.s.offered.Add(1)
	}
}

// Taken is a job that the owner of a slot has taken over at a time, until [Ticket.Done].
type Taken struct {
	Job   any
	Began time.Time
	w     *waiter
}

// Next takes over the job of the next task of the ticket's group and level, to be done
// with its slot, which it has for so long at most. ok is false if it has had it for as
// long; if the task whose turn it is, were the slot given back, is another: one of a
// higher level, or of one that is too old, or of a group that is behind by more than so
// long; or if that task offers no job, or one that accept refuses.
func (t *Ticket) Next(most time.Duration, accept func(job any) bool) (next Taken, ok bool) {
	s := t.s
	if s.offered.Load() == 0 {
		return Taken{}, false
	}
	s.lock()
	defer s.mu.Unlock()
	if s.nowLocked().Sub(t.began) >= most {
		return Taken{}, false
	}
	s.occupyLocked(t.group.class, t.slot, -1)
	q, aged := s.turnLocked(&t.group.shares[t.level], most.Seconds()/t.group.weight)
	s.occupyLocked(t.group.class, t.slot, 1)
	if q == nil || q.group != t.group || q.level != t.level {
		return Taken{}, false
	}
	w := q.waiting.first()
	if w.job == nil || accept != nil && !accept(w.job) {
		return Taken{}, false
	}
	if t.slot == ordinary {
		s.hadLocked(q.level, aged)
	}
	s.serveLocked(w)
	return Taken{w.job, s.nowLocked(), w}, true
}

// Done tells a job's owner that it was done, and has its queue pay for what it took of
// the slot's time. It is called once for each job that was taken over.
func (t *Ticket) Done(job Taken, took time.Duration) {
	t.s.lock()
	t.others += took
	t.group.learn(took)
	t.s.chargeLocked(job.w.queue, took-job.w.cost)
	t.s.dropLocked(job.w.queue)
	t.s.mu.Unlock()
	job.w.result <- ErrTaken
}
