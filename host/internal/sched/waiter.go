package sched

import "time"

// waiter is a task without a slot.
type waiter struct {
	queue   *queue
	serial  *Serial
	seq     uint64
	place   place
	cost    time.Duration // that it was charged, and is part of queue.load
	tasks   int           // that it stands for
	slot    slot          // set before result is sent, as is when it began
	began   time.Time
	index   int           // while in queue.waiting: in its heap, or -1
	turn    link          // in queue.waiting's list
	inQueue link          // in queue.queued or queue.blocked
	intake  link          // in class.blocked
	order   link          // in serial.waiting
	room    chan struct{} // closed when a blocked waiter is no longer; nil unless blocked
	job     any           // see Ticket.Offer
	until   time.Time     // when it has waited too long
	age     link          // in waiters
	result  chan error    // receives the decision once
}

type place uint8

// slot is a kind of slot.
type slot uint8

const (
	none     slot = iota
	ordinary      // one of Config.Slots
	reserved      // one of Config.Reserve
)

const (
	inBlocked place = iota
	inSerial        // behind another task of its Serial
	inTurn          // waits for a slot
	gone            // decided: granted, dropped or withdrawn
)

// before makes a heap of waiters with the oldest first.
func (w *waiter) before(o *waiter) bool { return w.seq < o.seq }

func (w *waiter) moved(to int) { w.index = to }

// Serial orders the tasks of one stream. The zero value is ready for use; it
// belongs to the scheduler it is first submitted to.
type Serial struct {
	busy    bool // a task is running, or waits for nothing but a slot
	waiting fifo // all others, also those before the queue
}

// Occupy has the turn taken until [Scheduler.Vacate] or [Scheduler.Fail], by something that takes no
// slot. No task of the Serial has been submitted yet.
func (s *Serial) Occupy() { s.busy = true }

// newWaiter returns a waiter that is zero but for its channel.
func (s *Scheduler) newWaiter() *waiter {
	if w, ok := s.spare.Get().(*waiter); ok {
		return w
	}
	return &waiter{result: make(chan error, 1)}
}

// link is a waiter's place in a fifo. A waiter can be in several at once: those that
// wait for room in its queue and in its class, for their turn in its queue, its Serial, and
// all waiters.
type link struct{ prev, next *waiter }

func queueLink(w *waiter) *link { return &w.inQueue }

func intakeLink(w *waiter) *link { return &w.intake }

func orderLink(w *waiter) *link { return &w.order }

func turnLink(w *waiter) *link { return &w.turn }

func ageLink(w *waiter) *link { return &w.age }

// fifo is a doubly linked list through one of its waiters' links, so that a
// waiter can leave from the middle.
type fifo struct {
	head, tail *waiter
	len        int
}

func (f *fifo) front() *waiter { return f.head }

func (f *fifo) push(w *waiter, at func(*waiter) *link) {
	l := at(w)
	l.prev, l.next = f.tail, nil
	if f.tail != nil {
		at(f.tail).next = w
	} else {
		f.head = w
	}
	f.tail = w
	f.len++
}

func (f *fifo) remove(w *waiter, at func(*waiter) *link) {
	l := at(w)
	if l.prev != nil {
		at(l.prev).next = l.next
	} else {
		f.head = l.next
	}
	if l.next != nil {
		at(l.next).prev = l.prev
	} else {
		f.tail = l.prev
	}
	*l = link{}
	f.len--
}
