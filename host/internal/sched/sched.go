// Package sched decides which task runs next. It hands out a fixed number of
// worker slots; the goroutine that holds a slot does the work itself, so that a
// task which need not wait costs no switch between goroutines.
//
// A task belongs to a [Group], such as a transform, and its tenant's line in there
// at its [Level]. Each line is a bounded queue of its own: a tenant with a backlog
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
	"container/heap"
	"context"
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

// Policy says what becomes of a task that finds its line full.
type Policy int

// Policies.
const (
	// Block makes the submitter wait for room.
	Block Policy = iota
	// Reject refuses the task.
	Reject
	// DropOldest refuses the task of the line that has waited longest.
	DropOldest
)

// Level is a priority.
type Level int

// Levels, the highest first.
const (
	Urgent Level = iota
	Normal
	Bulk
	levels
)

// MaxLines is how many tenants have lines of their own in a group and level at most,
// beside those that are Known. The further ones have one in common.
const MaxLines = 1024

// fullLines is how many full lines' tasks wait in a group and level at most: a line is full
// once as many tasks wait in it as could still come, or Capacity, if that is less. So many
// a tenant can fill up its line, and however many come, the next finds room.
const fullLines = 4

// Config is the shape of a scheduler. All fields must be set, but Reserve.
type Config struct {
	// Slots is how many tasks run at once. Reserve is how many more may if they
	// are Urgent and find no slot, or their class at its limit, so that these need
	// not wait for others to end.
	Slots, Reserve int
	// Capacity is how many tasks of a line wait at most, whatever they wait for. Of a
	// group and level they are four times as many, and one for each line.
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

	mu      sync.Mutex    // taken by lock; guards all below, and every Class, Group, line, Serial and waiter
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

// level is what the tasks of a Level have in common.
type level struct {
	clock   float64   // used of the share last served, before that
	waiting int       // tasks that lack nothing but a slot and room in their class
	served  time.Time // when it last had a slot that all can have, or nothing waiting
}

// Class is a kind of task with a limit.
type Class struct {
	limit   int
	active  int  // tasks in slots, without the reserve
	depth   int  // tasks in queues
	waiting int  // those of them that lack nothing but a slot
	blocked fifo // submitters that wait for room in a queue, the oldest first
}

// Group is a kind of task with a fair share.
type Group struct {
	class  *Class
	weight float64
	shares [levels]share
	cost   time.Duration // how long a task holds a slot, rather less; see learn
	tasks  int           // that wait or have a slot
	gone   chan struct{} // closed once it is retired and has no tasks; nil before
}

// share is a group's at one level.
type share struct {
	used    float64 // worker time by weight, in seconds; with tasks that wait, the least goes first
	clock   float64 // used of the line last served, before that
	tasks   int     // of all lines
	queued  int     // in all lines
	lines   map[string]*line
	rest    *line    // of tenants that have none of their own; nil before the first
	known   int      // lines that are Known
	waiting lineHeap // those with tasks that lack nothing but a slot
	idle    lineHeap // those without tasks
}

// line is the queue of one tenant. It exists while it has tasks, and then until the
// clock of its share has come to what it has used, else a tenant with one task at a time
// would pay for none; but not while all of the share's are without tasks: what nobody
// else wanted is free.
type line struct {
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

// Serial orders the tasks of one stream. The zero value is ready for use; it
// belongs to the scheduler it is first submitted to.
type Serial struct {
	busy    bool // a task is running, or waits for nothing but a slot
	waiting fifo // all others, also those before the queue
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

// Request says what a task is.
type Request struct {
	Group  *Group
	Serial *Serial // nil if it has none
	Level  Level
	// Tenant is whose it is, and Weight, which is positive, the tenant's share of
	// the group's time beside other tenants.
	Tenant string
	Weight int
	// Known is whether the tenant has a line of its own, however many there are.
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
	line    *line   // nil of a task that did not have to wait
	level   Level
	slot    slot
	tasks   int // that it stands for
	began   time.Time
	charged time.Duration // of its line
	others  time.Duration // that jobs took which it had taken over
}

// slot is a kind of slot.
type slot uint8

const (
	none     slot = iota
	ordinary      // one of Config.Slots
	reserved      // one of Config.Reserve
)

type place uint8

const (
	inBlocked place = iota
	inSerial        // behind another task of its Serial
	inLine          // waits for a slot
	gone            // decided: granted, dropped or withdrawn
)

// waiter is a task without a slot.
type waiter struct {
	line   *line
	serial *Serial
	seq    uint64
	place  place
	cost   time.Duration // that it was charged, and is part of line.load
	tasks  int           // that it stands for
	slot   slot          // set before result is sent, as is when it began
	began  time.Time
	index  int           // while in line.waiting: in its heap, or -1
	turn   link          // in line.waiting's list
	queue  link          // in line.queued or line.blocked
	intake link          // in class.blocked
	order  link          // in serial.waiting
	room   chan struct{} // closed when a blocked waiter is no longer; nil unless blocked
	job    any           // see Ticket.Offer
	until  time.Time     // when it has waited too long
	age    link          // in waiters
	result chan error    // receives the decision once
}

// Submit takes a place for a task. It does not wait; [Ticket.Wait] does. With
// policy Block the place may be before the queue, see [Ticket.Room].
func (s *Scheduler) Submit(r Request) (Ticket, error) {
	class := r.Group.class
	t := Ticket{s: s, group: r.Group, serial: r.Serial, level: r.Level, tasks: max(r.Tasks, 1)}
	s.lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return Ticket{}, ErrClosed
	case r.Group.gone != nil:
		return Ticket{}, ErrRetired
	}
	// The fast path: with nobody before it, the task needs no place.
	if free := s.freeLocked(class, r.Level); free != none && class.waiting == 0 && class.blocked.len == 0 &&
		(r.Serial == nil || !r.Serial.busy && r.Serial.waiting.len == 0) {
		t.slot, t.began = free, s.startLocked(class, free, r.Serial)
		r.Group.tasks++
		return t, nil
	}
	l := r.Group.shares[r.Level].line(r)
	if l == nil {
		l = &line{group: r.Group, level: r.Level, tenant: r.Tenant, known: r.Known, index: -1} // not of the share until it has a task
	}
	full := l.queued.len >= s.roomLocked(l.share())
	switch {
	case full && s.cfg.Policy == Reject:
		return Ticket{}, ErrFull
	case s.lateLocked(l, r.Deadline):
		return Ticket{}, ErrLate
	}
	s.keepLocked(l)
	if l.weight = float64(r.Weight); l == l.share().rest {
		l.weight = 1
	}
	s.seq++
	t.w = s.newWaiter()
	t.w.line, t.w.serial, t.w.seq, t.w.tasks = l, r.Serial, s.seq, t.tasks
	t.line, t.began = l, s.nowLocked()
	s.watchLocked(t.w)
	if full && s.cfg.Policy == Block {
		t.w.room = make(chan struct{})
		l.blocked.push(t.w, queueLink)
		class.blocked.push(t.w, intakeLink)
		if r.Serial != nil {
			r.Serial.waiting.push(t.w, orderLink) // its place there does not wait for room
		}
		s.dispatchLocked() // those before it may all wait for one Serial
		return t, nil
	}
	if full {
		oldest := l.queued.front()
		s.removeLocked(oldest)
		s.dropLocked(l)
		oldest.result <- ErrDropped
		s.dropped++
	}
	s.enqueueLocked(t.w)
	// It may go before all that wait; or the dropped task have stood before others
	// of its Serial.
	s.dispatchLocked()
	return t, nil
}

// line returns the line that a task goes into, nil if that is a new one.
func (sh *share) line(r Request) *line {
	if l := sh.lines[r.Tenant]; l != nil || r.Known || !sh.crowded() {
		return l
	}
	return sh.rest
}

// crowded reports whether there are no further lines for tenants that are not known.
func (sh *share) crowded() bool { return len(sh.lines)-len(sh.idle)-sh.known >= MaxLines }

// roomLocked returns how many tasks may wait in a line of a share.
func (s *Scheduler) roomLocked(sh *share) int {
	return max(1, min(s.cfg.Capacity, fullLines*s.cfg.Capacity-sh.queued))
}

// keepLocked counts a task of a line, dropLocked discounts it.
func (s *Scheduler) keepLocked(l *line) {
	l.group.tasks++
	sh := l.share()
	sh.tasks++
	if l.tasks++; l.tasks > 1 {
		return
	}
	switch {
	case l.index >= 0:
		heap.Remove(&sh.idle, l.index)
	case l == sh.rest || !l.known && sh.crowded():
		sh.rest = l
		return
	}
	if l.known {
		sh.known++
	}
	if sh.lines == nil {
		sh.lines = make(map[string]*line)
	}
	sh.lines[l.tenant] = l
	sh.trim()
}

// trim forgets lines without tasks that are too many, those that owe least.
func (sh *share) trim() {
	for len(sh.idle) > MaxLines {
		delete(sh.lines, heap.Pop(&sh.idle).(*line).tenant)
	}
}

func (s *Scheduler) dropLocked(l *line) {
	sh := l.share()
	sh.tasks--
	if l.tasks--; l.tasks == 0 {
		switch {
		case l == sh.rest: // stays
		case l.known:
			sh.known--
			fallthrough
		default:
			heap.Push(&sh.idle, l)
			sh.trim()
		}
	}
	if sh.tasks == 0 {
		for _, l := range sh.idle {
			sh.clock = max(sh.clock, l.used)
		}
		if sh.rest != nil {
			sh.clock = max(sh.clock, sh.rest.used)
		}
	}
	sh.forget()
	s.leaveLocked(l.group)
}

// forget removes lines without tasks that the clock has come to.
func (sh *share) forget() {
	for len(sh.idle) > 0 && sh.idle[0].used <= sh.clock {
		l := heap.Pop(&sh.idle).(*line)
		delete(sh.lines, l.tenant)
	}
}

func (l *line) share() *share { return &l.group.shares[l.level] }

// lateLocked reports whether a task that comes now to the end of a line could not begin
// by its deadline: when those before it there, of which none waits for its Serial, take
// longer, on as many slots as can do them at once. Whatever else there is may go before it
// or not. Since costs are low, it rather errs on the side of the task.
func (s *Scheduler) lateLocked(l *line, deadline time.Time) bool {
	if deadline.IsZero() || l.waiting.len() == 0 {
		return false
	}
	slots := min(s.cfg.Slots, l.group.class.limit)
	if l.level == Urgent {
		slots += s.cfg.Reserve
	}
	return deadline.Sub(s.now()) < l.load/time.Duration(slots)
}

// Full reports whether a line is full, or was and has not half emptied since: whether
// it is better to wait with further tasks until the channel is closed. Weight and
// Deadline do not matter.
func (s *Scheduler) Full(r Request) (drained <-chan struct{}, full bool) {
	s.lock()
	defer s.mu.Unlock()
	sh := &r.Group.shares[r.Level]
	l := sh.line(r)
	if l == nil {
		return nil, false
	}
	s.fillLocked(l) // others may have taken the room
	return l.drain, l.drain != nil
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
	l, aged := s.turnLocked(&t.group.shares[t.level], most.Seconds()/t.group.weight)
	s.occupyLocked(t.group.class, t.slot, 1)
	if l == nil || l.group != t.group || l.level != t.level {
		return Taken{}, false
	}
	w := l.waiting.first()
	if w.job == nil || accept != nil && !accept(w.job) {
		return Taken{}, false
	}
	if t.slot == ordinary {
		s.hadLocked(l.level, aged)
	}
	s.serveLocked(w)
	return Taken{w.job, s.nowLocked(), w}, true
}

// Done tells a job's owner that it was done, and has its line pay for what it took of
// the slot's time. It is called once for each job that was taken over.
func (t *Ticket) Done(job Taken, took time.Duration) {
	t.s.lock()
	t.others += took
	t.group.learn(took)
	t.s.chargeLocked(job.w.line, took-job.w.cost)
	t.s.dropLocked(job.w.line)
	t.s.mu.Unlock()
	job.w.result <- ErrTaken
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

// newWaiter returns a waiter that is zero but for its channel.
func (s *Scheduler) newWaiter() *waiter {
	if w, ok := s.spare.Get().(*waiter); ok {
		return w
	}
	return &waiter{result: make(chan error, 1)}
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
	s.dropLocked(w.line)
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
	if t.line != nil {
		s.chargeLocked(t.line, took-t.charged)
		s.dropLocked(t.line)
	} else {
		s.leaveLocked(t.group)
	}
	if t.serial != nil {
		s.advanceLocked(t.serial)
	}
	s.dispatchLocked()
}

// least is where a group's cost starts from.
const least = time.Microsecond

// learn takes note of how long a task of a group took: it has the cost come down by half
// the way and go up by a quarter at most, so that it settles where about every fourth task
// takes less, and neither a few that take for ever move it nor the making of instances.
func (g *Group) learn(took time.Duration) {
	if took < g.cost {
		g.cost = (g.cost + took) / 2
	} else {
		g.cost = min(took, max(g.cost, least)*5/4)
	}
}

// chargeLocked has a line and its group pay for worker time.
func (s *Scheduler) chargeLocked(l *line, d time.Duration) {
	if s.cfg.InOrder { // all have used the same, and age decides
		return
	}
	sh := l.share()
	sh.used += d.Seconds() / l.group.weight
	l.used += d.Seconds() / l.weight
	if l.index >= 0 {
		heap.Fix(&sh.waiting, l.index)
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

func (s *Scheduler) accountLocked() (now time.Time) {
	now = s.nowLocked()
	s.busy += time.Duration(s.active) * now.Sub(s.since)
	s.since = now
	return now
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

func (s *Scheduler) enqueueLocked(w *waiter) {
	l := w.line
	l.queued.push(w, queueLink)
	l.share().queued++
	s.fillLocked(l)
	l.group.class.depth++
	w.cost = time.Duration(w.tasks) * l.group.cost
	if w.serial == nil {
		s.lineUpLocked(w)
		return
	}
	if w.room == nil {
		w.serial.waiting.push(w, orderLink)
	}
	w.place = inSerial
	s.resumeLocked(w.serial)
}

// fillLocked takes note of a line that is full.
func (s *Scheduler) fillLocked(l *line) {
	if l.drain == nil && l.queued.len >= s.roomLocked(l.share()) {
		l.drain = make(chan struct{})
	}
}

// lineUpLocked puts a waiter whose Serial is free in line for a slot.
func (s *Scheduler) lineUpLocked(w *waiter) {
	if w.serial != nil {
		w.serial.busy = true
	}
	w.place = inLine
	l := w.line
	lv, sh := &s.levels[l.level], l.share()
	// Whoever had nothing waiting has saved nothing up.
	if lv.waiting == 0 {
		lv.served = s.nowLocked()
	}
	if len(sh.waiting) == 0 {
		sh.used = max(sh.used, lv.clock)
	}
	if l.waiting.len() == 0 {
		l.used = max(l.used, sh.clock)
	}
	l.waiting.push(w)
	l.load += w.cost
	lv.waiting++
	l.group.class.waiting++
	if l.index < 0 {
		heap.Push(&sh.waiting, l)
	} else {
		heap.Fix(&sh.waiting, l.index) // its first may be another
	}
}

// stepOutLocked takes a waiter out of the line for a slot.
func (s *Scheduler) stepOutLocked(w *waiter) {
	l := w.line
	l.waiting.remove(w)
	l.load -= w.cost
	s.levels[l.level].waiting--
	l.group.class.waiting--
	if sh := l.share(); l.waiting.len() == 0 {
		heap.Remove(&sh.waiting, l.index)
	} else {
		heap.Fix(&sh.waiting, l.index)
	}
}

// advanceLocked lets the next task of a Serial into its line.
func (s *Scheduler) advanceLocked(serial *Serial) {
	serial.busy = false
	s.resumeLocked(serial)
}

// resumeLocked lets the first task of a Serial into its line, if it is in the queue
// and the Serial free.
func (s *Scheduler) resumeLocked(serial *Serial) {
	if w := serial.waiting.front(); w != nil && !serial.busy && w.place == inSerial {
		serial.waiting.remove(w, orderLink)
		s.lineUpLocked(w)
	}
}

// removeLocked takes a waiter out of the queue.
func (s *Scheduler) removeLocked(w *waiter) {
	switch w.place {
	case inLine:
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

// unqueueLocked takes a waiter out of its queue for good, and admits the submitter
// that waited for the room.
func (s *Scheduler) unqueueLocked(w *waiter) {
	s.decideLocked(w)
	l := w.line
	l.queued.remove(w, queueLink)
	l.share().queued--
	l.group.class.depth--
	for l.blocked.len > 0 && l.queued.len < s.roomLocked(l.share()) {
		s.admitLocked(l.blocked.front())
	}
	if l.drain != nil && l.queued.len <= s.roomLocked(l.share())/2 {
		close(l.drain)
		l.drain = nil
	}
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

func (s *Scheduler) unblockLocked(w *waiter) {
	w.line.blocked.remove(w, queueLink)
	w.line.group.class.blocked.remove(w, intakeLink)
}

func (s *Scheduler) admitLocked(w *waiter) {
	s.unblockLocked(w)
	s.enqueueLocked(w)
	close(w.room)
}

// dispatchLocked hands free slots to the tasks whose turn it is.
func (s *Scheduler) dispatchLocked() {
	for s.active < s.cfg.Slots || s.reserve < s.cfg.Reserve {
		s.intakeLocked()
		l, aged := s.turnLocked(nil, 0)
		if l == nil {
			break
		}
		w := l.waiting.first()
		w.slot = s.freeLocked(l.group.class, l.level)
		w.began = s.startLocked(l.group.class, w.slot, w.serial)
		if w.slot == ordinary {
			s.hadLocked(l.level, aged)
		}
		s.serveLocked(w)
		w.result <- nil
	}
	s.settleLocked()
}

// hadLocked takes note that a level has had a slot that all can have.
func (s *Scheduler) hadLocked(l Level, aged bool) {
	s.aged = aged
	s.levels[l].served = s.nowLocked()
}

// serveLocked takes a waiter whose turn it is out of its queue.
func (s *Scheduler) serveLocked(w *waiter) {
	s.stepOutLocked(w)
	l := w.line
	lv, sh := &s.levels[l.level], l.share()
	lv.clock, sh.clock = max(lv.clock, sh.used), max(sh.clock, l.used)
	sh.forget()
	s.unqueueLocked(w)
	s.chargeLocked(l, w.cost) // corrected once it is known what the task took
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
			if s.freeLocked(c, b.line.level) != none && (b.serial == nil || !b.serial.busy && b.serial.waiting.front() == b) {
				s.admitLocked(b)
				break
			}
			b = b.intake.next
		}
	}
}

// turnLocked returns the line whose turn it is, nil if none can run, and whether that is
// for its level's age. Of several levels that are so old it is that of the oldest. The
// share keep, if there is one, has a credit.
func (s *Scheduler) turnLocked(keep *share, credit float64) (turn *line, aged bool) {
	var since time.Time // before which a level is too old
	for i := range s.levels {
		l := s.firstLocked(Level(i), keep, credit)
		switch {
		case l == nil:
		case turn == nil:
			turn, since = l, s.nowLocked().Add(-s.cfg.Age)
		case !s.aged && s.levels[i].served.Before(since):
			turn, aged, since = l, true, s.levels[i].served
		}
	}
	return turn, aged
}

// firstLocked returns the line of a level that goes before the others of it, nil if none
// can run.
func (s *Scheduler) firstLocked(lv Level, keep *share, credit float64) *line {
	if s.levels[lv].waiting == 0 {
		return nil
	}
	var first *share
	least := 0.0
	for _, g := range s.groups {
		sh := &g.shares[lv]
		if len(sh.waiting) == 0 || s.freeLocked(g.class, lv) == none {
			continue
		}
		used := sh.used
		if sh == keep {
			used -= credit
		}
		if first == nil || used < least || used == least && sh.oldest() < first.oldest() {
			first, least = sh, used
		}
	}
	if first == nil {
		return nil
	}
	return first.waiting[0]
}

// oldest is the age of the task that is next in a share, by its number.
func (sh *share) oldest() uint64 { return sh.waiting[0].waiting.first().seq }

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
