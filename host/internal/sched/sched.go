// Package sched decides which task runs next. It hands out a fixed number of
// worker slots; the goroutine that holds a slot does the work itself, so that a
// task which need not wait costs no switch between goroutines.
//
// A task belongs to a [Class], which bounds how many of its tasks run at once
// and how many wait: a class with a backlog neither holds up the others nor has
// them refused. A task may belong to a [Serial] as well, whose tasks run one at
// a time in the order in which they were submitted. Among the tasks that may
// run, the oldest is next.
package sched

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Errors of [Scheduler.Submit] and [Ticket.Wait], besides the context's cause.
var (
	// ErrFull: the queue is full and its policy is Reject.
	ErrFull = errors.New("queue is full")
	// ErrDropped: the task was the oldest in a full queue whose policy is
	// DropOldest.
	ErrDropped = errors.New("dropped from a full queue")
	// ErrClosed: the scheduler takes no more tasks.
	ErrClosed = errors.New("scheduler is closed")
)

// Policy says what becomes of a task that finds the queue full.
type Policy int

// Policies.
const (
	// Block makes the submitter wait for room.
	Block Policy = iota
	// Reject refuses the task.
	Reject
	// DropOldest refuses the task that has waited longest.
	DropOldest
)

// Config is the shape of a scheduler. All fields must be set.
type Config struct {
	// Slots is how many tasks run at once.
	Slots int
	// Capacity is how many tasks of a class wait at most, whatever they wait
	// for.
	Capacity int
	Policy   Policy
}

// Scheduler hands out slots. Its methods may be called concurrently.
type Scheduler struct {
	cfg Config

	mu      sync.Mutex // guards all below, and every Class, Serial and waiter
	active  int
	busy    time.Duration // of slots that were given back
	since   time.Time     // when active last changed
	seq     uint64
	classes []*Class
	closed  bool
	idle    chan struct{} // closed once closed and nothing runs or waits
	dropped uint64
}

// Class is a kind of task with a bound of its own.
type Class struct {
	limit   int
	active  int
	queued  fifo     // all that wait in the queue, the oldest first
	waiting waitHeap // those of them that lack nothing but a slot
	blocked fifo     // submitters that wait for room in the queue
}

// Serial orders the tasks of one stream. The zero value is ready for use; it
// belongs to the scheduler it is first submitted to.
type Serial struct {
	busy    bool // a task is running, or is first in line in its class
	waiting fifo
}

// New returns a scheduler.
func New(cfg Config) *Scheduler {
	return &Scheduler{cfg: cfg, since: time.Now(), idle: make(chan struct{})}
}

// NewClass adds a class of which at most limit tasks run at once.
func (s *Scheduler) NewClass(limit int) *Class {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Class{limit: limit}
	s.classes = append(s.classes, c)
	return c
}

// Ticket is a task's place. Its owner calls [Ticket.Wait] and, if that succeeds,
// [Ticket.Release] once.
type Ticket struct {
	s      *Scheduler
	class  *Class
	serial *Serial
	w      *waiter // nil once a slot is held
}

type place uint8

const (
	inBlocked place = iota
	inSerial        // behind another task of its Serial
	inClass         // waits for a slot
	gone            // decided: granted, dropped or withdrawn
)

// waiter is a task without a slot.
type waiter struct {
	class  *Class
	serial *Serial
	seq    uint64
	place  place
	index  int           // in class.waiting
	queue  link          // in class.queued or class.blocked
	line   link          // in serial.waiting
	room   chan struct{} // closed when a blocked waiter is admitted; nil unless blocked
	result chan error    // receives the decision once
}

// Submit takes a place for a task of class and, unless it is nil, serial. It does
// not wait; [Ticket.Wait] does. With policy Block the place may be before the
// queue, see [Ticket.Room].
func (s *Scheduler) Submit(class *Class, serial *Serial) (Ticket, error) {
	t := Ticket{s: s, class: class, serial: serial}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Ticket{}, ErrClosed
	}
	// The fast path: with nobody before it, the task needs no place.
	if s.active < s.cfg.Slots && class.ready() && class.blocked.len == 0 && (serial == nil || !serial.busy) {
		s.startLocked(class, serial)
		return t, nil
	}
	full := class.queued.len >= s.cfg.Capacity
	if full && s.cfg.Policy == Reject {
		return Ticket{}, ErrFull
	}
	s.seq++
	t.w = &waiter{class: class, serial: serial, seq: s.seq, result: make(chan error, 1)}
	if full && s.cfg.Policy == Block {
		t.w.room = make(chan struct{})
		class.blocked.push(t.w, queueLink)
		s.dispatchLocked() // those before it may all wait for one Serial
		return t, nil
	}
	if full {
		oldest := class.queued.front()
		s.removeLocked(oldest)
		oldest.result <- ErrDropped
		s.dropped++
	}
	s.enqueueLocked(t.w)
	if full {
		s.dispatchLocked() // the dropped task may have stood before others of its Serial
	}
	return t, nil
}

// Held reports whether the ticket has a slot, so that [Ticket.Wait] returns at
// once.
func (t *Ticket) Held() bool { return t.w == nil }

// Blocked reports whether the ticket waits for room in the queue, or did when it
// was taken.
func (t *Ticket) Blocked() bool { return t.w != nil && t.w.room != nil }

// Room waits until the task is in the queue. If ctx is done first, the task is
// withdrawn and the ticket of no more use.
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
// ticket of no more use.
func (t *Ticket) Wait(ctx context.Context) error {
	if t.w == nil {
		return nil
	}
	select {
	case err := <-t.w.result:
		t.w = nil
		return err
	case <-ctx.Done():
		return t.withdraw(ctx)
	}
}

// withdraw takes a task back whose ctx is done, and returns the context's cause.
func (t *Ticket) withdraw(ctx context.Context) error {
	s, w := t.s, t.w
	t.w = nil
	s.mu.Lock()
	switch w.place {
	case gone: // decided meanwhile
		s.mu.Unlock()
		if err := <-w.result; err == nil {
			t.Release()
		}
		return context.Cause(ctx)
	case inBlocked:
		w.class.blocked.remove(w, queueLink)
		w.place = gone
	default:
		s.removeLocked(w)
	}
	s.dispatchLocked() // those behind may be able to run
	s.mu.Unlock()
	return context.Cause(ctx)
}

// Release gives the slot back and starts whatever may run now.
func (t *Ticket) Release() {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accountLocked()
	s.active--
	t.class.active--
	if t.serial != nil {
		s.advanceLocked(t.serial)
	}
	s.dispatchLocked()
}

// Close refuses further tasks. Those that were taken go on; Drained tells when
// the last is done.
func (s *Scheduler) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.settleLocked()
	}
}

// Drained returns a channel that is closed once the scheduler is closed and no
// task runs or waits.
func (s *Scheduler) Drained() <-chan struct{} { return s.idle }

// Stats is a snapshot of a scheduler.
type Stats struct {
	// Slots is how many tasks can run at once and Active how many do.
	Slots, Active int
	// Depth is how many tasks wait in the queues and Blocked how many
	// submitters wait for room in them.
	Depth, Blocked int
	// Busy is the time that slots were held, added up.
	Busy time.Duration
	// Dropped is how many tasks DropOldest refused.
	Dropped uint64
}

// Stats returns a snapshot.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accountLocked()
	st := Stats{Slots: s.cfg.Slots, Active: s.active, Busy: s.busy, Dropped: s.dropped}
	for _, c := range s.classes {
		st.Depth += c.queued.len
		st.Blocked += c.blocked.len
	}
	return st
}

// Depth returns how many tasks of a class wait in its queue.
func (s *Scheduler) Depth(c *Class) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.queued.len
}

func (s *Scheduler) accountLocked() {
	now := time.Now()
	s.busy += time.Duration(s.active) * now.Sub(s.since)
	s.since = now
}

func (s *Scheduler) startLocked(class *Class, serial *Serial) {
	s.accountLocked()
	s.active++
	class.active++
	if serial != nil {
		serial.busy = true
	}
}

func (s *Scheduler) enqueueLocked(w *waiter) {
	w.class.queued.push(w, queueLink)
	if w.serial != nil && w.serial.busy {
		w.place = inSerial
		w.serial.waiting.push(w, lineLink)
		return
	}
	s.lineUpLocked(w)
}

// lineUpLocked puts a waiter whose Serial is free in line for a slot.
func (s *Scheduler) lineUpLocked(w *waiter) {
	if w.serial != nil {
		w.serial.busy = true
	}
	w.place = inClass
	heap.Push(&w.class.waiting, w)
}

// advanceLocked lets the next task of a Serial into its class's line.
func (s *Scheduler) advanceLocked(serial *Serial) {
	serial.busy = false
	if w := serial.waiting.front(); w != nil {
		serial.waiting.remove(w, lineLink)
		s.lineUpLocked(w)
	}
}

// removeLocked takes a waiter out of the queue.
func (s *Scheduler) removeLocked(w *waiter) {
	switch w.place {
	case inClass:
		heap.Remove(&w.class.waiting, w.index)
		if w.serial != nil {
			s.advanceLocked(w.serial)
		}
	case inSerial:
		w.serial.waiting.remove(w, lineLink)
	}
	s.unqueueLocked(w)
}

// unqueueLocked takes a waiter out of its class's queue for good, and admits the
// submitter that waited for the room.
func (s *Scheduler) unqueueLocked(w *waiter) {
	w.place = gone
	c := w.class
	c.queued.remove(w, queueLink)
	if c.blocked.len > 0 && c.queued.len < s.cfg.Capacity {
		s.admitLocked(c.blocked.front())
	}
}

func (s *Scheduler) admitLocked(w *waiter) {
	w.class.blocked.remove(w, queueLink)
	s.enqueueLocked(w)
	close(w.room)
}

// dispatchLocked hands free slots to the oldest tasks that may run.
func (s *Scheduler) dispatchLocked() {
	for s.active < s.cfg.Slots {
		w := s.nextLocked()
		if w == nil {
			break
		}
		heap.Pop(&w.class.waiting)
		s.startLocked(w.class, w.serial)
		s.unqueueLocked(w)
		w.result <- nil
	}
	s.settleLocked()
}

// searched is among how many submitters one is looked for that could run. Those of a
// busy Serial may be many, and the others get in when the queue has room.
const searched = 32

// nextLocked returns the oldest task that lacks nothing but a slot.
func (s *Scheduler) nextLocked() (next *waiter) {
	for _, c := range s.classes {
		// A queue that is full of tasks behind one another in their Serials
		// must not keep out a submitter that could run.
		if c.ready() {
			b := c.blocked.front()
			for range searched {
				if b == nil {
					break
				}
				if b.serial == nil || !b.serial.busy {
					s.admitLocked(b)
					break
				}
				b = b.queue.next
			}
		}
		if c.active < c.limit && len(c.waiting) > 0 && (next == nil || c.waiting[0].seq < next.seq) {
			next = c.waiting[0]
		}
	}
	return next
}

// ready reports whether a task that came now could run, were there a slot.
func (c *Class) ready() bool { return c.active < c.limit && len(c.waiting) == 0 }

// settleLocked tells Drained's callers when a closed scheduler has come to rest.
func (s *Scheduler) settleLocked() {
	if !s.closed || s.active > 0 {
		return
	}
	for _, c := range s.classes {
		if c.queued.len > 0 || c.blocked.len > 0 {
			return
		}
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}
