// Package stream keeps what transforms remember between the tasks of a stream: a small opaque state
// a key, bounded in number and age.
//
// A state may outlive the process, if somebody saves what [Store.Take] returns and tells by
// [Store.Add] what was saved earlier. Package keeper does. The store then has entries whose state is
// stored and not loaded. Bounds and age hold for them too.
package stream

import (
	"runtime"
	"sync"
	"time"
)

// Config is the bounds of a store.
type Config[S any] struct {
	// Max is how many streams are kept; beyond it the one unused longest goes. Those whose stored state
	// cannot be read have as much room of their own, also of MaxBytes: the records of others would be
	// deleted for them.
	// Streams in use never go, so that as many as there are tasks may exist
	// beyond Max.
	Max int
	// MaxBytes is how much the states that are not in use take together; beyond
	// it the one unused longest goes. A key and the bookkeeping count too, and so do states that are
	// stored and not loaded.
	MaxBytes int
	// MaxAge is how long a stream is kept after its last use; 0 is for ever.
	MaxAge time.Duration
	// Occupy has somebody have the turn of a new entry, until its state is loaded. With it, what
	// changes waits to be saved; nil if nothing is.
	Occupy func(*S)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Store keeps streams. Its methods may be called concurrently.
type Store[S any] struct {
	cfg Config[S]

	mu      sync.Mutex
	entries map[Key]*Entry[S]
	// idle are entries without users, the longest unused first, and unread those of them whose state
	// cannot be read. bytes and unreadBytes are of these two.
	idle, unread       list[S]
	bytes, unreadBytes int
	unreadable         int // of entries
	evicted            uint64
	expired            uint64

	dirty   list[S]   // what is to be saved, the oldest first
	dead    int       // of entries
	taken   int       // by Take, and neither saved nor given back
	changes uint64    // how many have been noted that were to be saved
	oldest  time.Time // of what is taken, when the first of it came
	strayed int       // records that are to be deleted and have no entry
}

// New returns an empty store.
func New[S any](cfg Config[S]) *Store[S] {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store[S]{
		cfg: cfg, entries: make(map[Key]*Entry[S]),
		idle: list[S]{at: idleLink[S]}, unread: list[S]{at: idleLink[S]}, dirty: list[S]{at: dirtyLink[S]},
	}
}

// Acquire returns the stream of that key, new if there is none, and keeps it until [Store.Release]
// or [Store.Done]. absent says that its state is not loaded: whoever waits for its turn also calls
// [Store.Load].
func (s *Store[S]) Acquire(key Key) (e *Entry[S], absent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.limitLocked()
	s.expireLocked(limit, atOnceByTask)
	e = s.entries[key]
	if e != nil && e.idled && e.used.Before(limit) { // others come before it that are still to be expired
		s.expireOneLocked(e)
		e = s.entries[key]
	}
	if e == nil {
		e = &Entry[S]{key: key}
		s.entries[key] = e
	}
	if e.phase == dead {
		e.phase = loaded
		s.dead--
	}
	s.wakeLocked(e)
	e.users++
	return e, e.phase != loaded
}

// Release ends a use of a stream that has had no turn, or whose task failed.
func (s *Store[S]) Release(e *Entry[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(e)
}

// Done ends a use of a stream that has the turn, which the caller gives up afterwards. What
// [Entry.Set] was given is the state from now on.
func (s *Store[S]) Done(e *Entry[S]) {
	s.compare(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.changes != none {
		s.replaceLocked(e)
	}
	s.leaveLocked(e)
}

func (s *Store[S]) replaceLocked(e *Entry[S]) {
	changes := e.changes
	e.state, e.format = e.next, e.nextIs
	e.next, e.changes = nil, none
	if s.cfg.Occupy == nil {
		return
	}
	now := s.cfg.Now()
	// What stays the same is saved again now and then, or it would be too old after a restart.
	if changes == same && (s.cfg.MaxAge == 0 || now.Sub(e.saved) < s.cfg.MaxAge/4) {
		return
	}
	e.changed = now
	s.markLocked(e, now)
}

// leaveLocked ends one use.
func (s *Store[S]) leaveLocked(e *Entry[S]) {
	if e.users--; e.users > 0 || e.gone {
		return
	}
	switch {
	case len(e.state) == 0 && e.phase == loaded: // no different from a stream that never was
		s.endLocked(e)
	case e.bytes() > s.cfg.MaxBytes: // it would cost all others their places, and not fit
		s.evicted++
		s.endLocked(e)
	default:
		s.restLocked(e, s.cfg.Now())
	}
}

// restLocked has an entry without users lie idle, and makes room for it.
func (s *Store[S]) restLocked(e *Entry[S], used time.Time) {
	e.used, e.idled = used, true
	if e.unreadable {
		s.unread.pushBack(e)
		s.unreadBytes += e.bytes()
	} else {
		s.idle.pushBack(e)
		s.bytes += e.bytes()
	}
	for (len(s.entries)-s.dead-s.unreadable > s.cfg.Max || s.bytes > s.cfg.MaxBytes) && s.idle.n > 0 {
		s.evicted++
		s.endLocked(s.idle.head)
	}
	for (s.unreadable > s.cfg.Max || s.unreadBytes > s.cfg.MaxBytes) && s.unread.n > 0 {
		s.evicted++
		s.endLocked(s.unread.head)
	}
}

// wakeLocked has an entry lie idle no more.
func (s *Store[S]) wakeLocked(e *Entry[S]) {
	switch {
	case !e.idled:
		return
	case e.unreadable:
		s.unreadBytes -= e.bytes()
		s.unread.remove(e)
	default:
		s.bytes -= e.bytes()
		s.idle.remove(e)
	}
	e.idled = false
}

// unreadableLocked notes whether the stored state of an entry cannot be read. The entry is not idle.
func (s *Store[S]) unreadableLocked(e *Entry[S], is bool) {
	if is == e.unreadable {
		return
	}
	if e.unreadable = is; is {
		s.unreadable++
	} else {
		s.unreadable--
	}
}

// endLocked ends a stream without users. If it is stored, its entry is kept until that is deleted.
// What cannot be read is not deleted, as another key or version may read it.
func (s *Store[S]) endLocked(e *Entry[S]) {
	s.wakeLocked(e)
	if !e.stored || e.phase == absent && e.format == Unknown {
		s.dropLocked(e)
		return
	}
	if e.phase != loaded {
		var free S
		e.Serial = free // which nobody waits for
	}
	e.state, e.phase = nil, dead
	if s.dead++; s.dead > max(s.cfg.Max, minDead) {
		s.strayed++
		s.dropLocked(e)
		return
	}
	s.markLocked(e, s.cfg.Now())
}

// minDead is for how many records at least that are to be deleted there are entries. There are no
// more than Max but where a listing has had more.
const minDead = 1024

// dropLocked forgets an entry without users.
func (s *Store[S]) dropLocked(e *Entry[S]) {
	s.unmarkLocked(e)
	s.unreadableLocked(e, false)
	if e.phase == dead {
		s.dead--
	}
	e.gone = true
	delete(s.entries, e.key)
}

// atOnceByTask is how many streams a task expires. The next tasks, and [Store.Expire], go on.
const atOnceByTask = 16

// Expire ends the streams whose age has come. Tasks come in between.
func (s *Store[S]) Expire() {
	for again := true; again; {
		s.mu.Lock()
		again = s.expireLocked(s.limitLocked(), atOnce)
		s.mu.Unlock()
		if again {
			runtime.Gosched()
		}
	}
}

// limitLocked returns the time before which a stream has expired that was not used since. It is zero if
// there is none.
func (s *Store[S]) limitLocked() time.Time {
	if s.cfg.MaxAge == 0 || s.idle.n+s.unread.n == 0 {
		return time.Time{}
	}
	return s.cfg.Now().Add(-s.cfg.MaxAge)
}

// expireLocked ends up to so many streams that have expired, and reports whether there may be more.
func (s *Store[S]) expireLocked(limit time.Time, most int) (more bool) {
	for range most {
		e := s.idle.head
		if e == nil || !e.used.Before(limit) {
			e = s.unread.head
		}
		if e == nil || !e.used.Before(limit) {
			return false
		}
		s.expireOneLocked(e)
	}
	return true
}

func (s *Store[S]) expireOneLocked(e *Entry[S]) {
	s.expired++
	s.endLocked(e)
}

// Formats returns, of each of these transforms, the length of the longest state of each format that
// its streams have kept, in memory or stored.
func (s *Store[S]) Formats(transforms ...string) map[string]map[int]int {
	formats := make(map[string]map[int]int, len(transforms))
	for _, name := range transforms {
		formats[name] = make(map[int]int)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	walk := newWalk()
	for _, e := range s.entries {
		if of := formats[e.key.Transform]; of != nil && e.kept() > 0 && e.format != Unknown {
			of[e.format] = max(of[e.format], e.kept())
		}
		// Tasks come in between. What they add while the map is walked may be left out, as
		// what they add afterwards is.
		s.giveWayLocked(&walk)
	}
	return formats
}

// kept is how long the entry's state is.
func (e *Entry[S]) kept() int {
	if e.phase == absent || e.phase == loading {
		return e.size
	}
	return len(e.state)
}

// Stats is a snapshot of a store.
type Stats struct {
	// Streams is how many are kept, Bytes what those that are not in use take.
	Streams, Bytes int
	// Evicted and Expired are how many went for want of room, and of age.
	Evicted, Expired uint64
	// Unsaved is how many changes are not saved, deletions of what was saved among them, and Oldest
	// is when the first of them came; zero if there is none.
	Unsaved int
	Oldest  time.Time
}

// Stats returns a snapshot.
func (s *Store[S]) Stats() Stats {
	s.Expire()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Streams: len(s.entries) - s.dead, Bytes: s.bytes + s.unreadBytes, Evicted: s.evicted, Expired: s.expired,
		Unsaved: s.dirty.n + s.taken + s.strayed, Oldest: s.oldest,
	}
	if e := s.dirty.head; e != nil && (s.taken == 0 || e.since.Before(s.oldest)) {
		st.Oldest = e.since
	}
	return st
}
