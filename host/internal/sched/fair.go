package sched

import (
	"container/heap"
	"time"
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

// level is what the tasks of a Level have in common.
type level struct {
	clock   float64   // used of the share last served, before that
	waiting int       // tasks that lack nothing but a slot and room in their class
	served  time.Time // when it last had a slot that all can have, or nothing waiting
}

// Class is what has a limit of tasks at once: the tasks of a plugin.
type Class struct {
	limit   int
	active  int  // tasks in slots, without the reserve
	depth   int  // tasks in queues
	waiting int  // those of them that lack nothing but a slot
	blocked fifo // submitters that wait for room in a queue, the oldest first
}

// Group is what has a fair share of the workers: the tasks of a transform.
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
	clock   float64 // used of the queue last served, before that
	tasks   int     // of all queues
	queued  int     // in all queues
	queues  map[string]*queue
	rest    *queue          // of tenants that have none of their own; nil before the first
	known   int             // queues that are Known
	waiting indexed[*queue] // those with tasks that lack nothing but a slot
	idle    indexed[*queue] // those without tasks
}

// queue returns the queue that a task goes into, nil if that is a new one.
func (sh *share) queue(r *Request) *queue {
	if q := sh.queues[r.Tenant]; q != nil || r.Known || !sh.crowded() {
		return q
	}
	return sh.rest
}

// crowded reports whether there are no further queues for tenants that are not known.
func (sh *share) crowded() bool { return len(sh.queues)-len(sh.idle)-sh.known >= MaxQueues }

// trim forgets queues without tasks that are too many, those that owe least.
func (sh *share) trim() {
	for len(sh.idle) > MaxQueues {
		delete(sh.queues, heap.Pop(&sh.idle).(*queue).tenant)
	}
}

// forget removes queues without tasks that the clock has come to.
func (sh *share) forget() {
	for len(sh.idle) > 0 && sh.idle[0].used <= sh.clock {
		q := heap.Pop(&sh.idle).(*queue)
		delete(sh.queues, q.tenant)
	}
}

// oldest is the age of the task that is next in a share, by its number.
func (sh *share) oldest() uint64 { return sh.waiting[0].waiting.first().seq }

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

// chargeLocked has a queue and its group pay for worker time.
func (s *Scheduler) chargeLocked(q *queue, d time.Duration) {
	if s.cfg.InOrder { // all have used the same, and age decides
		return
	}
	sh := q.share()
	sh.used += d.Seconds() / q.group.weight
	q.used += d.Seconds() / q.weight
	if q.index >= 0 {
		heap.Fix(&sh.waiting, q.index)
	}
}

// turnLocked returns the queue whose turn it is, nil if none can run. It is of the highest level
// with a task that can run, unless a lower level has been served last longer than Config.Age ago: aged
// says that this decided. Of several such levels the one that waits longest goes first, and no two turns in a
// row are decided so. A worker may stay with a transform for a row of tasks: keep is its share, nil
// without a row, and goes before others of its level until it has used credit seconds more than they.
func (s *Scheduler) turnLocked(keep *share, credit float64) (turn *queue, aged bool) {
	var since time.Time // before which a level is too old
	for i := range s.levels {
		if s.levels[i].waiting == 0 {
			continue
		}
		q := s.firstLocked(Level(i), keep, credit)
		switch {
		case q == nil:
		case turn == nil:
			turn, since = q, s.nowLocked().Add(-s.cfg.Age)
		case !s.aged && s.levels[i].served.Before(since):
			turn, aged, since = q, true, s.levels[i].served
		}
	}
	return turn, aged
}

// firstLocked returns the queue of a level that goes before the others of it, nil if none
// can run.
func (s *Scheduler) firstLocked(lv Level, keep *share, credit float64) *queue {
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

// hadLocked takes note that a level has had a slot that all can have.
func (s *Scheduler) hadLocked(l Level, aged bool) {
	s.aged = aged
	s.levels[l].served = s.nowLocked()
}

// serveLocked takes a waiter whose turn it is out of its queue.
func (s *Scheduler) serveLocked(w *waiter) {
	s.stepOutLocked(w)
	q := w.queue
	lv, sh := &s.levels[q.level], q.share()
	lv.clock, sh.clock = max(lv.clock, sh.used), max(sh.clock, q.used)
	sh.forget()
	s.unqueueLocked(w)
	s.chargeLocked(q, w.cost) // corrected once it is known what the task took
}
