// Package sched decides which task runs next. It hands out a fixed number of
// worker slots; the goroutine that holds a slot does the work itself, so that a
// task which need not wait costs no switch between goroutines.
//
// A task belongs to a [Group], such as a transform, and its tenant's queue in there
// at its [Level]. Each queue is bounded: a tenant with a backlog
// has nobody else's tasks refused. A free slot goes to the highest level in which a
// task can run, in there to the group that has used the least worker time for its
// weight, and in that to the tenant who has: start-time fair queueing (Goyal, Vin
// and Cheng, 1996), with the time used in place of lengths known beforehand. A level
// that has had no slot for Config.Age goes first, every other time.
//
// The groups of a [Class], such as a plugin, have a limit of running tasks in
// common. A task may belong to a [Serial] as well, whose tasks run one at a time in
// the order in which they were submitted.
package sched

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of [Scheduler.Submit] and [Ticket.Wait], besides the context's cause.
var (
	// ErrFull: the queue is full and its policy is Reject.
	ErrFull = errors.New("queue is full")
	// ErrLate: by the backlog, the task would not begin before its deadline.
	ErrLate = errors.New("queue is too long for the deadline")
	// ErrDropped: the task was the oldest in a full queue whose policy is
	// DropOldest.
	ErrDropped = errors.New("dropped from a full queue")
	// ErrTimeout: the task waited for as long as Config.Timeout.
	ErrTimeout = errors.New("waited longer than the queue timeout")
	// ErrTaken: what the task offered was done by the owner of another's slot.
	ErrTaken = errors.New("done by another")
	// ErrRetired: the group takes no more tasks.
	ErrRetired = errors.New("group is retired")
	// ErrClosed: the scheduler takes no more tasks.
	ErrClosed = errors.New("scheduler is closed")
)

// Policy says what becomes of a task that finds its queue full.
type Policy int

// Policies.
const (
	// Block makes the submitter wait for room.
	Block Policy = iota
	// Reject refuses the task.
	Reject
	// DropOldest refuses the task of the queue that has waited longest.
	DropOldest
)

// Config is the shape of a scheduler. All fields must be set, but Reserve.
type Config struct {
	// Slots is how many tasks run at once. Reserve is how many more may if they
	// are Urgent and find no slot, or their class at its limit, so that these need
	// not wait for others to end.
	Slots, Reserve int
	// Capacity is how many tasks of a queue wait at most, whatever they wait for. Of a
	// group and level they are four times as many, and one for each queue.
	Capacity int
	Policy   Policy
	// Age is how long a level goes without a slot before higher ones step back.
	Age time.Duration
	// Timeout is how long a task waits at most, for room or a slot; 0 for ever.
	Timeout time.Duration
	// InOrder has the tasks of a level run in the order in which they came, whosever
	// they are: nobody's share is kept.
	InOrder bool
}

// Scheduler hands out slots. Its methods may be called concurrently.
type Scheduler struct {
	cfg Config
	// now is time.Now, and clock the same for what every task reads: its wall clock goes
	// on from when the scheduler was made, which halves the cost.
	now, clock func() time.Time

	offered atomic.Int64 // waiters with a job
	spare   sync.Pool    // of *waiters that nobody refers to

	mu      sync.Mutex    // taken by lock; guards all below, and every Class, Group, queue, Serial and waiter
	moment  time.Time     // what the clock said since mu was taken; zero if it was not asked
	active  int           // tasks in slots; those in the reserve come on top
	reserve int           // tasks in the reserve
	busy    time.Duration // of slots that were given back
	since   time.Time     // when active last changed
	seq     uint64
	classes []*Class
	groups  []*Group
	levels  [levels]level
	aged    bool // the last slot, of those that all can have, was given for age
	closed  bool
	idle    chan struct{} // closed once closed and nothing runs or waits
	waiters fifo          // all of them, the oldest first, if there is a timeout
	alarm   *time.Timer   // of expire; nil unless it is to come
	dropped uint64
}

// New returns a scheduler.
func New(cfg Config) *Scheduler {
	made := time.Now()
	clock := func() time.Time { return made.Add(time.Since(made)) }
	return &Scheduler{cfg: cfg, now: time.Now, clock: clock, since: made, idle: make(chan struct{})}
}

func (s *Scheduler) lock() {
	s.mu.Lock()
	s.moment = time.Time{}
}

// nowLocked returns the time. It looks at the clock once while mu is held: that costs as
// much as most of what is done under it.
func (s *Scheduler) nowLocked() time.Time {
	if s.moment.IsZero() {
		s.moment = s.clock()
	}
	return s.moment
}

// Clock returns the time as the scheduler's tickets have it: for what took how long, and
// not for the time of day. It costs half of time.Now.
func (s *Scheduler) Clock() time.Time { return s.clock() }

// NewClass adds a class of which at most limit tasks run at once, and as many more as
// are in the reserve.
func (s *Scheduler) NewClass(limit int) *Class {
	s.lock()
	defer s.mu.Unlock()
	c := &Class{limit: limit}
	s.classes = append(s.classes, c)
	return c
}

// NewGroup adds a group to a class. While groups wait, they share the workers'
// time by their weights, which are positive.
func (s *Scheduler) NewGroup(class *Class, weight int) *Group {
	s.lock()
	defer s.mu.Unlock()
	g := &Group{class: class, weight: float64(weight)}
	s.groups = append(s.groups, g)
	return g
}

// SetLimit changes how many tasks of a class run at once. Those that run go on.
func (s *Scheduler) SetLimit(c *Class, limit int) {
	s.lock()
	defer s.mu.Unlock()
	if c.limit == limit {
		return
	}
	c.limit = limit
	s.dispatchLocked() // for those whom the lower one held
}

// SetWeight changes a group's share of the time from now on.
func (s *Scheduler) SetWeight(g *Group, weight int) {
	s.lock()
	defer s.mu.Unlock()
	g.weight = float64(weight)
}

// Retire refuses further tasks of a group with [ErrRetired]. Those it has go on; the
// channel is closed once they have ended, and the group is forgotten. Calling it again
// returns the same channel.
func (s *Scheduler) Retire(g *Group) (ended <-chan struct{}) {
	s.lock()
	defer s.mu.Unlock()
	if g.gone == nil {
		g.gone = make(chan struct{})
		g.tasks++ // so that there is one to end
		s.leaveLocked(g)
	}
	return g.gone
}

// leaveLocked takes note that a task of a group has ended.
func (s *Scheduler) leaveLocked(g *Group) {
	if g.tasks--; g.tasks == 0 && g.gone != nil {
		s.groups = slices.DeleteFunc(s.groups, func(o *Group) bool { return o == g })
		close(g.gone)
	}
}

// RemoveClass forgets a class whose groups have all been retired and have ended.
func (s *Scheduler) RemoveClass(c *Class) {
	s.lock()
	defer s.mu.Unlock()
	s.classes = slices.DeleteFunc(s.classes, func(o *Class) bool { return o == c })
}

// Full reports whether a queue is full, or was and has not half emptied since: whether
// it is better to wait with further tasks until the channel is closed. Weight and
// Deadline do not matter.
func (s *Scheduler) Full(r Request) (drained <-chan struct{}, full bool) {
	s.lock()
	defer s.mu.Unlock()
	sh := &r.Group.shares[r.Level]
	q := sh.queue(&r)
	if q == nil {
		return nil, false
	}
	s.fillLocked(q) // others may have taken the room
	return q.drain, q.drain != nil
}

// freeLocked returns what slot a task of that class and level can have. Urgent tasks go
// into the reserve only where they find nothing else, so that what they leave there is
// for all.
func (s *Scheduler) freeLocked(c *Class, l Level) slot {
	switch {
	case s.active < s.cfg.Slots && c.active < c.limit:
		return ordinary
	case l == Urgent && s.reserve < s.cfg.Reserve:
		return reserved
	}
	return none
}

func (s *Scheduler) startLocked(class *Class, in slot, serial *Serial) (now time.Time) {
	now = s.accountLocked()
	s.occupyLocked(class, in, 1)
	if serial != nil {
		serial.busy = true
	}
	return now
}

// occupyLocked counts a task in a slot, or with -1 discounts it.
func (s *Scheduler) occupyLocked(class *Class, in slot, n int) {
	if in == reserved {
		s.reserve += n
		return
	}
	s.active += n
	class.active += n
}

func (s *Scheduler) accountLocked() (now time.Time) {
	now = s.nowLocked()
	s.busy += time.Duration(s.active) * now.Sub(s.since)
	s.since = now
	return now
}

// dispatchLocked hands free slots to the tasks whose turn it is.
func (s *Scheduler) dispatchLocked() {
	for s.active < s.cfg.Slots || s.reserve < s.cfg.Reserve {
		s.intakeLocked()
		q, aged := s.turnLocked(nil, 0)
		if q == nil {
			break
		}
		w := q.waiting.first()
		w.slot = s.freeLocked(q.group.class, q.level)
		w.began = s.startLocked(q.group.class, w.slot, w.serial)
		if w.slot == ordinary {
			s.hadLocked(q.level, aged)
		}
		s.serveLocked(w)
		w.result <- nil
	}
	s.settleLocked()
}

// Vacate gives the turn of a Serial up that [Serial.Occupy] has taken.
func (s *Scheduler) Vacate(serial *Serial) {
	s.lock()
	defer s.mu.Unlock()
	s.advanceLocked(serial)
	s.dispatchLocked()
}

// Fail is [Scheduler.Vacate], but takes back the tasks that wait for the turn: their waiting ends with
// the error. Tasks that come later have their turns.
func (s *Scheduler) Fail(serial *Serial, err error) {
	s.lock()
	defer s.mu.Unlock()
	for w := serial.waiting.front(); w != nil; w = serial.waiting.front() {
		s.expelLocked(w)
		w.result <- err
	}
	s.advanceLocked(serial)
	s.dispatchLocked()
}

// searched is among how many submitters one is looked for that could run. Those of a
// busy Serial may be many, and the others get in when the queue has room.
const searched = 32

// intakeLocked lets submitters that could run into their queues: one that is full of
// tasks behind one another in their Serials must not keep them out.
func (s *Scheduler) intakeLocked() {
	for _, c := range s.classes {
		if c.waiting > 0 {
			continue
		}
		b := c.blocked.front()
		for range searched {
			if b == nil {
				break
			}
			if s.freeLocked(c, b.queue.level) != none && (b.serial == nil || !b.serial.busy && b.serial.waiting.front() == b) {
				s.admitLocked(b)
				break
			}
			b = b.intake.next
		}
	}
}

// settleLocked tells Drained's callers when a closed scheduler has come to rest.
func (s *Scheduler) settleLocked() {
	if !s.closed || s.active+s.reserve > 0 {
		return
	}
	for _, c := range s.classes {
		if c.depth > 0 || c.blocked.len > 0 {
			return
		}
	}
	if s.alarm != nil { // it would find nothing
		s.alarm.Stop()
		s.alarm = nil
	}
	select {
	case <-s.idle:
	default:
		close(s.idle)
	}
}

// Close refuses further tasks. Those that were taken go on; Drained tells when
// the last is done.
func (s *Scheduler) Close() {
	s.lock()
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
	// Slots is how many tasks can run at once and Active how many do; Reserve is how
	// many urgent ones run on top.
	Slots, Active, Reserve int
	// Depth is how many tasks wait in the queues and Blocked how many
	// submitters wait for room in them.
	Depth, Blocked int
	// Busy is the time that slots were held, without the reserve, added up.
	Busy time.Duration
	// Dropped is how many tasks DropOldest refused.
	Dropped uint64
}

// Stats returns a snapshot.
func (s *Scheduler) Stats() Stats {
	s.lock()
	defer s.mu.Unlock()
	s.accountLocked()
	st := Stats{Slots: s.cfg.Slots, Active: s.active, Reserve: s.reserve, Busy: s.busy, Dropped: s.dropped}
	for _, c := range s.classes {
		st.Depth += c.depth
		st.Blocked += c.blocked.len
	}
	return st
}

// Depth returns how many tasks of a class wait in its queues.
func (s *Scheduler) Depth(c *Class) int {
	s.lock()
	defer s.mu.Unlock()
	return c.depth
}

// Queued is how many tasks wait in a queue.
type Queued struct {
	Level Level
	// Tenant is the queue's. Shared is whether it is the one of tenants that have none of
	// their own; Tenant is "" then.
	Tenant string
	Shared bool
	Tasks  int
}

// Queued returns the queues of a group in which tasks wait, in no order.
func (s *Scheduler) Queued(g *Group) (list []Queued) {
	s.lock()
	defer s.mu.Unlock()
	for lv := range g.shares {
		sh := &g.shares[lv]
		if sh.queued == 0 {
			continue
		}
		for _, q := range sh.queues {
			if q.queued.len > 0 {
				list = append(list, Queued{Level: Level(lv), Tenant: q.tenant, Tasks: q.queued.len})
			}
		}
		if sh.rest != nil && sh.rest.queued.len > 0 {
			list = append(list, Queued{Level: Level(lv), Shared: true, Tasks: sh.rest.queued.len})
		}
	}
	return list
}
