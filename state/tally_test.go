package state_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/resonhost/resonhost/state"
)

// ofClear is the error of a record that is not sealed, where all should be.
func ofClear(t *testing.T) error {
	t.Helper()
	r := records()["v1-stream"]
	_, err := state.Codec{Cipher: parseKeys(t, state.NewKey())}.Decode(r.Key, encode(t, plain, r))
	if err == nil {
		t.Fatal("a record that is not sealed is read with a key")
	}
	return err
}

func TestTally(t *testing.T) {
	sealed := &state.RecordError{Reason: "it is sealed", Err: state.ErrKey}
	plainly := ofClear(t)
	corrupt := &state.RecordError{Reason: "it is short", Err: state.ErrCorrupt}
	for _, c := range []struct {
		name  string
		notes []error
		want  string
	}{
		{"nothing", nil, ""},
		{"all can be read", []error{nil, nil}, ""},
		{"some have another key", []error{nil, sealed}, ""},
		{"others are damaged", []error{corrupt, sealed}, ""},
		{"all have another key", []error{sealed, fmt.Errorf("again: %w", sealed)},
			"none of the 2 stored jobs can be read, since their key is another; give the --state-key that they were sealed with: " + sealed.Error()},
		{"none is sealed", []error{plainly, plainly},
			"none of the 2 stored jobs can be read, since they are not sealed; leave --state-key out, or export them without it, and import them with it into another store: " + plainly.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tally state.Tally
			unreadable := 0
			for _, err := range c.notes {
				tally.Note(err)
				if err != nil {
					unreadable++
				}
			}
			if tally.Records != len(c.notes) || tally.Unreadable != unreadable {
				t.Errorf("%+v", tally)
			}
			err := tally.KeyFault("jobs")
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want || !errors.Is(err, state.ErrKey)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestTallyWhole has a record whose key is damaged in any way that a listing shows: it may be of any kind.
func TestTallyWhole(t *testing.T) {
	corrupt := &state.RecordError{Err: state.ErrCorrupt}
	for _, c := range []struct {
		name    string
		tallied error
		record  state.Record
		want    bool
	}{
		{"all can be read", nil, state.Record{Key: state.Key{Kind: state.KindJob}}, true},
		{"one of the kind cannot", corrupt, state.Record{Key: state.Key{Kind: state.KindJob}}, false},
		{"one of another kind cannot", nil, state.Record{Key: state.Key{Kind: state.KindStream}, Err: corrupt}, true},
		{"one of no kind that there is cannot", nil, state.Record{Key: state.Key{Kind: "jnb"}, Err: corrupt}, false},
		{"one of a later kind can", nil, state.Record{Key: state.Key{Kind: "later"}}, true},
		{"one has no key", nil, state.Record{Err: corrupt}, false},
	} {
		var tally state.Tally
		tally.Note(c.tallied)
		if whole, err := tally.Whole(t.Context(), listing{records: []state.Record{c.record}}); whole != c.want || err != nil {
			t.Errorf("%s: %t, %v", c.name, whole, err)
		}
	}
	var tally state.Tally
	if whole, err := tally.Whole(t.Context(), listing{err: state.ErrUnavailable}); whole || !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("%t, %v of a store that fails", whole, err)
	}
}

// listing is a store that lists records, and has nothing else.
type listing struct {
	state.Store

	records []state.Record
	err     error
}

func (l listing) List(_ context.Context, _ state.Filter, visit func(state.Record) error) error {
	for _, r := range l.records {
		if err := visit(r); err != nil {
			return err
		}
	}
	return l.err
}
