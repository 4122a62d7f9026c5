package stream

import "time"

// Unknown is the format of a state that is stored and cannot be read.
const Unknown = -1

// Stored is what is known of a state that is stored.
type Stored struct {
	Key     Key
	Format  int // [Unknown] if it cannot be read
	Size    int
	Changed time.Time // when it became what it is
}

// Add adds a stream whose state is stored, which is loaded when it is used. Those that were changed
// first come first, as they have been unused for longest. A stream that is there already stays.
func (s *Store[S]) Add(of Stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[of.Key] != nil {
		return
	}
	e := &Entry[S]{key: of.Key, size: of.Size, format: of.Format, changed: of.Changed, saved: of.Changed, stored: true, phase: absent}
	s.cfg.Occupy(&e.Serial)
	s.entries[of.Key] = e
	s.unreadableLocked(e, of.Format == Unknown)
	used := of.Changed
	if now := s.cfg.Now(); used.After(now) { // by another clock; it would keep all behind it from expiring
		used = now
	}
	s.restLocked(e, used)
}

// Evict counts a stream as evicted whose state is stored, and has the record deleted if it can be
// read.
func (s *Store[S]) Evict(of Stored) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evicted++
	if of.Format != Unknown {
		s.strayLocked(of.Key)
	}
}

// Sweep has the record of a key deleted unless there is a stream of that key. It reports whether
// there was room to remember that: if not, [Store.Strayed] counts it again.
func (s *Store[S]) Sweep(key Key) (room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strayLocked(key)
}

func (s *Store[S]) strayLocked(key Key) (room bool) {
	if e := s.entries[key]; e != nil {
		e.stored = true // its record is there, also if it began without one
		return true
	}
	e := &Entry[S]{key: key, stored: true}
	s.entries[key] = e
	s.endLocked(e)
	return !e.gone
}

// Strayed returns how many records were to be deleted for which there was no room to remember it,
// and forgets how many: a listing finds them.
func (s *Store[S]) Strayed() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.strayed = s.strayed, 0
	return n
}

// Load reports whether the caller is the one to load the state of a stream: whether it is stored,
// and nobody loads it. The caller calls [Store.Loaded] or [Store.NotLoaded] then.
func (s *Store[S]) Load(e *Entry[S]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.phase != absent || e.gone {
		return false
	}
	s.wakeLocked(e)
	e.phase = loading
	e.users++ // so that it stays
	return true
}

// Key returns the key of a stream.
func (e *Entry[S]) Key() Key { return e.key }

// Loaded gives a stream the state that was loaded; none, if it turns out that none is stored. The
// caller then gives up the turn.
func (s *Store[S]) Loaded(e *Entry[S], state []byte, format int, changed time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.phase, e.state, e.format, e.changed, e.saved = loaded, state, format, changed, changed
	e.stored = len(state) > 0
	s.unreadableLocked(e, false)
	s.leaveLocked(e)
}

// NotLoaded has the users of a stream fail, as its state could not be loaded. The next user tries
// again. The caller then gives up the turn. A state that is unreadable is of an [Unknown] format from
// now on.
func (s *Store[S]) NotLoaded(e *Entry[S], fault error, unreadable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.fault, e.gone = fault, true
	e.users--
	again := &Entry[S]{key: e.key, size: e.size, format: e.format, changed: e.changed, saved: e.saved, stored: true, phase: absent}
	if unreadable {
		again.format = Unknown
	}
	s.cfg.Occupy(&again.Serial)
	s.entries[e.key] = again
	s.unreadableLocked(e, false)
	s.unreadableLocked(again, again.format == Unknown)
	s.restLocked(again, s.cfg.Now())
}
