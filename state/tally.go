package state

import (
	"errors"
	"fmt"
)

// Tally counts what a listing has, and what of it cannot be read. The zero Tally is ready to use.
type Tally struct {
	// Records is how many there are, and Unreadable how many of them cannot be read.
	Records, Unreadable int
	// First is why the first that cannot be read cannot.
	First error

	sealed int // of the unreadable, those whose key is another
}

// Note counts a record. Err is why it cannot be read, nil if it can.
func (t *Tally) Note(err error) {
	t.Records++
	if err == nil {
		return
	}
	if t.Unreadable++; t.First == nil {
		t.First = err
	}
	if errors.Is(err, ErrKey) {
		t.sealed++
	}
}

// KeyFault returns an error that wraps [ErrKey] if the listing has records and all of them have
// another key: then somebody has given the wrong one, and whoever goes on would lose all of them one
// by one. What names the records, as in "states of streams".
func (t *Tally) KeyFault(what string) error {
	if t.sealed == 0 || t.sealed < t.Records {
		return nil
	}
	return fmt.Errorf("none of the %d stored %s can be read, since their key is another (--state-key, state.Codec): %w", t.Records, what, t.First)
}
