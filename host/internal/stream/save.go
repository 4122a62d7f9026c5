package stream

import (
	"runtime"
	"slices"
	"time"
)

// markLocked notes that an entry is not stored as it is, as of now.
func (s *Store[S]) markLocked(e *Entry[S], now time.Time) {
	if !e.unsaved {
		e.unsaved, e.since, e.change = true, now, s.changes
		s.changes++
		s.dirty.pushBack(e)
	}
}

// unmarkLocked notes that an entry need not be saved.
func (s *Store[S]) unmarkLocked(e *Entry[S]) {
	if e.unsaved {
		s.dirty.remove(e)
		e.unsaved = false
	}
}

// Taken is a change that is to be saved.
type Taken[S any] struct {
	Key Key
	// State is as it was when it was taken, and nobody writes into it. If it is empty the record is
	// to be deleted.
	State   []byte
	Format  int
	Changed time.Time // when State became what it is

	entry *Entry[S]
	since time.Time // when the first change came that is not saved
	order uint64
}

// Order says of two changes of one stream that the smaller came first, as the clock may not: it may stand
// while tasks come in between.
func (t *Taken[S]) Order() uint64 { return t.order }

// Delete is whether the record is to be deleted.
func (t *Taken[S]) Delete() bool { return len(t.State) == 0 }

// Since is when the first change came that is not saved.
func (t *Taken[S]) Since() time.Time { return t.since }

// Tasks come in between after so many streams of a list, or once a walk has had the lock for so long.
const (
	atOnce = 256
	atMost = 200 * time.Microsecond
)

// Take appends what is to be saved and came no later than until, the oldest first: up to so
// many changes. Each is then to be given to [Store.Saved] or [Store.Return]. One goroutine at a time
// calls these three.
func (s *Store[S]) Take(into []Taken[S], most int, until time.Time) []Taken[S] {
	s.mu.Lock()
	defer s.mu.Unlock()
	walk := newWalk()
	for len(into) < most {
		e := s.dirty.head
		if e == nil || e.since.After(until) {
			break
		}
		s.unmarkLocked(e)
		if len(e.state) > 0 || e.stored { // else it came and went between two saves
			into = append(into, Taken[S]{e.key, e.state, e.format, e.changed, e, e.since, e.change})
			if s.taken++; s.taken == 1 {
				s.oldest = e.since
			}
			if len(e.state) > 0 {
				e.stored, e.saved = true, e.changed
			}
		}
		s.giveWayLocked(&walk)
	}
	return into
}

// walk is how long a walk through the streams has had the lock.
type walk struct {
	since time.Time
	seen  int
}

func newWalk() walk { return walk{since: time.Now()} }

// giveWayLocked is called for each stream of a walk, and lets tasks come in between after a time. The lock
// alone does not: it goes to whoever runs, unless another has waited for a millisecond. It is not called more
// often, because a processor that computes may come back only after 10 ms.
func (s *Store[S]) giveWayLocked(w *walk) {
	if w.seen++; w.seen%64 != 0 || time.Since(w.since) < atMost {
		return
	}
	s.mu.Unlock()
	runtime.Gosched()
	s.mu.Lock()
	w.since = time.Now()
}

// Saved says of changes that they are saved. Tasks come in between.
func (s *Store[S]) Saved(changes []Taken[S]) {
	for some := range slices.Chunk(changes, atOnce) {
		s.savedSome(some)
		runtime.Gosched()
	}
}

func (s *Store[S]) savedSome(changes []Taken[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range changes {
		t := &changes[i]
		e := t.entry
		if t.Delete() && !e.gone && e.change == t.order { // else a state has come since, which may be stored
			e.stored = false
			if e.phase == dead {
				s.dropLocked(e)
			}
		}
	}
	s.settleLocked(len(changes))
}

// Return says of changes that they may not be saved. They wait again, with their age. Tasks come in
// between.
func (s *Store[S]) Return(changes []Taken[S]) {
	for len(changes) > 0 { // what came last first, so that the first comes to stand in front
		rest := max(len(changes)-atOnce, 0)
		s.returnSome(changes[rest:])
		changes = changes[:rest]
		runtime.Gosched()
	}
}

func (s *Store[S]) returnSome(changes []Taken[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range slices.Backward(changes) {
		t := &changes[i]
		e := t.entry
		if e.gone {
			continue
		}
		s.unmarkLocked(e) // of what has come since
		e.unsaved, e.since, e.change = true, t.since, t.order
		s.dirty.pushFront(e)
	}
	s.settleLocked(len(changes))
}

func (s *Store[S]) settleLocked(n int) {
	if s.taken -= n; s.taken == 0 {
		s.oldest = time.Time{}
	}
}
