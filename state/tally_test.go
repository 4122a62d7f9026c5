package state_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/resonhost/resonhost/state"
)

func TestTally(t *testing.T) {
	sealed := &state.RecordError{Reason: "it is sealed", Err: state.ErrKey}
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
			"none of the 2 stored jobs can be read, since their key is another (--state-key, state.Codec): " + sealed.Error()},
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
