// Package stream keeps what transforms remember between the tasks of a stream:
// a small opaque state a key, bounded in number and age.
package stream

import (
	"container/list"
	"sync"
	"time"
)

// Config is the bounds of a store.
type Config struct {
	// Max is how many streams are kept; beyond it the one unused longest goes.
	// Streams in use never go, so that as many as there are tasks may exist
	// beyond Max.
	Max int
	// MaxBytes is how much the states that are not in use take together; beyond
	// it the one unused longest goes. A key and the bookkeeping count too.
	MaxBytes int
	// MaxAge is how long a stream is kept after its last use; 0 is for ever.
	MaxAge time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Key names a stream: a caller's key, separately for each tenant and transform.
type Key struct{ Tenant, Transform, Name string }

// Entry is one stream in use. S orders its users. State and Format are theirs by turns:
// they replace it and do not write into it.
type Entry[S any] struct {
	Serial S
	State  []byte
	Format int // of State, as its users number formats

	key   Key
	users int           // guarded by Store.mu
	used  time.Time     // guarded by Store.mu
	idle  *list.Element // in Store.idle while users is 0; guarded by Store.mu
}

// entryBytes is what an entry takes besides its key and state, about.
const entryBytes = 256

func (e *Entry[S]) size() int {
	return entryBytes + len(e.key.Tenant) + len(e.key.Transform) + len(e.key.Name) + len(e.State)
}

// Store keeps streams. Its methods may be called concurrently.
type Store[S any] struct {
	cfg Config

	mu      sync.Mutex
	entries map[Key]*Entry[S]
	idle    *list.List // entries without users, the longest unused first
	bytes   int        // of idle
	evicted uint64
	expired uint64
}

// New returns an empty store.
func New[S any](cfg Config) *Store[S] {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store[S]{cfg: cfg, entries: make(map[Key]*Entry[S]), idle: list.New()}
}

// Acquire returns the stream of that key, new if there is none, and keeps it
// until [Store.Release].
func (s *Store[S]) Acquire(key Key) *Entry[S] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	e := s.entries[key]
	if e == nil {
		e = &Entry[S]{key: key}
		s.entries[key] = e
	}
	if e.idle != nil {
		s.bytes -= e.size()
		s.idle.Remove(e.idle)
		e.idle = nil
	}
	e.users++
	return e
}

// Release ends one use of a stream.
func (s *Store[S]) Release(e *Entry[S]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if len(e.State) == 0 { // no different from a stream that never was
		delete(s.entries, e.key)
		return
	}
	if e.size() > s.cfg.MaxBytes { // it would cost all others their places, and not fit
		delete(s.entries, e.key)
		s.evicted++
		return
	}
	e.used = s.cfg.Now()
	e.idle = s.idle.PushBack(e)
	s.bytes += e.size()
	for (len(s.entries) > s.cfg.Max || s.bytes > s.cfg.MaxBytes) && s.idle.Len() > 0 {
		s.removeLocked(s.idle.Front())
		s.evicted++
	}
}

func (s *Store[S]) expireLocked() {
	if s.cfg.MaxAge == 0 {
		return
	}
	limit := s.cfg.Now().Add(-s.cfg.MaxAge)
	for el := s.idle.Front(); el != nil && el.Value.(*Entry[S]).used.Before(limit); el = s.idle.Front() {
		s.removeLocked(el)
		s.expired++
	}
}

func (s *Store[S]) removeLocked(el *list.Element) {
	e := s.idle.Remove(el).(*Entry[S])
	s.bytes -= e.size()
	delete(s.entries, e.key)
}

// Formats returns the length of the longest state of each format that streams of a
// transform have kept, but for those in use.
func (s *Store[S]) Formats(transform string) map[int]int {
	formats := make(map[int]int)
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := 0
	for _, e := range s.entries {
		if e.idle != nil && e.key.Transform == transform {
			formats[e.Format] = max(formats[e.Format], len(e.State))
		}
		// Tasks come in between. What they add while the map is walked may be left out, as
		// what they add afterwards is.
		if seen++; seen%256 == 0 {
			s.mu.Unlock()
			s.mu.Lock()
		}
	}
	return formats
}

// Stats is a snapshot of a store.
type Stats struct {
	// Streams is how many are kept, Bytes what those that are not in use take.
	Streams, Bytes int
	// Evicted and Expired are how many went for want of room, and of age.
	Evicted, Expired uint64
}

// Stats returns a snapshot.
func (s *Store[S]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked()
	return Stats{Streams: len(s.entries), Bytes: s.bytes, Evicted: s.evicted, Expired: s.expired}
}
