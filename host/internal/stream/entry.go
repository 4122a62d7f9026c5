package stream

import (
	"bytes"
	"time"
)

// Key names a stream: a caller's key, separately for each tenant and transform.
type Key struct{ Tenant, Transform, Name string }

// Entry is one stream in use. Serial orders its users: the one whose turn it is may call the
// methods.
type Entry[S any] struct {
	Serial S

	key Key

	// These are written with Store.mu held and by whoever has the turn, who may read them without.
	// What state points to is replaced and never written into.
	state  []byte
	format int // of state, as its users number formats
	fault  error

	// What Set was given, until Store.Done takes it.
	next    []byte
	nextIs  int
	changes change

	// Store.mu guards the rest.

	users   int
	used    time.Time // when the last user left
	changed time.Time // when state became what it is
	saved   time.Time // what changed was of the state that is stored, or is being stored
	since   time.Time // of what is not saved, when it came; while in Store.dirty
	change  uint64    // of what is not saved, which change of Store.changes it was
	size    int       // of the state that is stored, while it is not loaded
	phase   phase
	idled   bool // in Store.idle or Store.unread: it has no users, and a state
	unsaved bool // in Store.dirty
	stored  bool // a store has a record of it, or may have
	gone    bool // no longer in Store.entries

	unreadable bool // its state is stored and cannot be read; counted by Store.unreadable

	idle  link[S]
	dirty link[S]
}

// phase is how far an entry's state has come.
type phase uint8

const (
	loaded  phase = iota // it is in state
	absent               // it is stored, and nobody has asked for it; somebody else has the turn
	loading              // it is being loaded
	dead                 // it has none, and is kept until the record that is stored is deleted
)

// change is what Set was given beside what there was.
type change uint8

const (
	none change = iota
	same
	other
)

// State is what the task before has left, and Format the number of its format.
func (e *Entry[S]) State() []byte { return e.state }

// Format is that of [Entry.State].
func (e *Entry[S]) Format() int { return e.format }

// Fault is why the state could not be loaded: nil if it was. The stream's users fail then, and the
// next user has another entry.
func (e *Entry[S]) Fault() error { return e.fault }

// Set replaces the state once the user calls [Store.Done]. Nobody writes into state from now on.
func (e *Entry[S]) Set(state []byte, format int) {
	e.next, e.nextIs, e.changes = state, format, other
}

// compare finds out whether what Set was given is what there was. Its caller has the turn, and holds no
// lock. Without somebody who saves changes nobody asks, and a state may be long.
func (s *Store[S]) compare(e *Entry[S]) {
	if e.changes == other && s.cfg.Occupy != nil && e.nextIs == e.format && bytes.Equal(e.next, e.state) {
		e.changes = same
	}
}

// entryBytes is what an entry takes besides its key and state, about.
const entryBytes = 320

func (e *Entry[S]) bytes() int {
	n := len(e.state)
	if e.phase == absent {
		n = e.size
	}
	return entryBytes + len(e.key.Tenant) + len(e.key.Transform) + len(e.key.Name) + n
}
