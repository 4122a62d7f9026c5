package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if errors.Is(t.First, errClear) {
		return fmt.Errorf("none of the %d stored %s can be read, since they are not sealed; leave --state-key out, or export them without it, and import them with it into another store: %w", t.Records, what, t.First)
	}
	return fmt.Errorf("none of the %d stored %s can be read, since their key is another; give the --state-key that they were sealed with: %w", t.Records, what, t.First)
}

// errClear is the [ErrKey] of a record that is not sealed.
var errClear = fmt.Errorf("%w", ErrKey)

// errFound ends a listing that has found what it was for.
var errFound = errors.New("found")

// Whole reports whether the listing has every record of its kind, each with its own key. Only then does
// what belongs to no record of the listing belong to nobody, so that it may be deleted. Else it may be of
// one whose key is damaged: that cannot be read, and may be listed under another key, under another kind,
// or only with all that s has.
func (t *Tally) Whole(ctx context.Context, s Store) (bool, error) {
	if t.Unreadable > 0 {
		return false, nil
	}
	err := s.List(ctx, Filter{}, func(r Record) error {
		if r.Err != nil && !slices.Contains(Kinds(), r.Key.Kind) {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return false, nil
	}
	return err == nil, err
}
