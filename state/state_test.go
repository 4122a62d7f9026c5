package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
)

func TestCheck(t *testing.T) {
	good := state.Key{Kind: state.KindStream, Tenant: "\x00", Transform: "t", Name: "\xff"}
	if err := state.CheckChanges([]state.Change{{Record: state.Record{Key: good}}, {Record: state.Record{Key: good, Format: -1}, Delete: true}}); err != nil {
		t.Errorf("changes that are right: %v", err)
	}
	for _, c := range []struct {
		name   string
		change state.Record
		want   string
	}{
		{"no kind", state.Record{}, `cannot be stored: kind "" must have 1 to 16 letters from a to z`},
		{"kind", state.Record{Key: state.Key{Kind: "Stream"}}, `cannot be stored: kind "Stream" must have 1 to 16 letters from a to z`},
		{"long kind", state.Record{Key: state.Key{Kind: "abcdefghijklmnopq"}}, `cannot be stored: kind "abcdefghijklmnopq" must have 1 to 16 letters from a to z`},
		{"transform of a job", state.Record{Key: state.Key{Kind: "job", Transform: "t"}}, "cannot be stored: only a stream has a transform, and this is of kind job"},
		{"tenant", state.Record{Key: state.Key{Kind: "job", Tenant: strings.Repeat("x", 257)}}, "cannot be stored: tenant must have at most 256 bytes, has 257"},
		{"transform", state.Record{Key: state.Key{Kind: "stream", Transform: strings.Repeat("x", 257)}}, "cannot be stored: transform must have at most 256 bytes, has 257"},
		{"name", state.Record{Key: state.Key{Kind: "job", Name: strings.Repeat("x", 1025)}}, "cannot be stored: name must have at most 1024 bytes, has 1025"},
		{"format", state.Record{Key: good, Format: -1}, `record stream/"\x00"/t/"\xff": cannot be stored: format must be between 0 and 2147483647, is -1`},
		{"data", state.Record{Key: good, Data: make([]byte, state.MaxData+1)}, `record stream/"\x00"/t/"\xff": cannot be stored: data must have at most 16777216 bytes, has 16777217`},
	} {
		err := state.CheckChanges([]state.Change{{Record: state.Record{Key: good}}, {Record: c.change}})
		if !errors.Is(err, state.ErrInvalid) || err.Error() != c.want {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}

func TestKeyString(t *testing.T) {
	for want, k := range map[string]state.Key{
		"stream//t/a":              {Kind: "stream", Transform: "t", Name: "a"},
		`job/"a b"//"c/d"`:         {Kind: "job", Tenant: "a b", Name: "c/d"},
		`job/"\x1b[2J"//"\u00fc"`:  {Kind: "job", Tenant: "\x1b[2J", Name: "ü"},
		`job/"\"x\""//plain-ASCII`: {Kind: "job", Tenant: `"x"`, Name: "plain-ASCII"},
	} {
		if got := k.String(); got != want {
			t.Errorf("%#v is %s, want %s", k, got, want)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, c := range []struct{ name, stored, want string }{
		{"nothing", "", `its key "" has no kind`},
		{"cut off in the kind", "\x06str", `its key "\x06str" has no kind`},
		{"no kind", "\x00", `its key "\x00" has no kind`},
		{"cut off in the tenant", "\x03job\x00", `its key "\x03job\x00" has no tenant`},
		{"long tenant", "\x03job\x01\x01" + strings.Repeat("x", 257), `has no tenant`},
		{"cut off in the transform", "\x03job\x00\x00\x00", `has no transform, or one that its kind has not`},
		{"transform of a job", "\x03job\x00\x00\x00\x01t", `has no transform, or one that its kind has not`},
		{"long name", "\x03job\x00\x00\x00\x00" + strings.Repeat("n", 1025), `has a name that is too long`},
	} {
		k, err := state.ParseKey([]byte(c.stored))
		if k != (state.Key{}) || !errors.Is(err, state.ErrCorrupt) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, error %v, want %s", c.name, k, err, c.want)
		}
	}
}

func TestStoredPrefix(t *testing.T) {
	tenant, none := "blue", ""
	keys := []state.Key{
		{Kind: "stream", Tenant: "blue", Transform: "t", Name: "ab"},
		{Kind: "stream", Tenant: "blue", Transform: "t", Name: "b"},
		{Kind: "stream", Tenant: "blue", Transform: "tt", Name: "ab"},
		{Kind: "stream", Tenant: "red", Transform: "t", Name: "ab"},
		{Kind: "output", Tenant: "blue", Name: "ab"},
		{Kind: "output", Name: "ab"},
	}
	for _, c := range []struct {
		f    state.Filter
		want int // keys that match
		more int // keys that have the prefix and do not match
	}{
		{state.Filter{}, 6, 0},
		{state.Filter{Kind: "stream"}, 4, 0},
		{state.Filter{Kind: "stream", Tenant: &tenant}, 3, 0},
		{state.Filter{Kind: "stream", Tenant: &tenant, Transform: "t"}, 2, 0},
		{state.Filter{Kind: "stream", Tenant: &tenant, Transform: "t", Prefix: "a"}, 1, 0},
		{state.Filter{Kind: "stream", Tenant: &tenant, Prefix: "a"}, 2, 1},
		{state.Filter{Kind: "output", Tenant: &none, Prefix: "a"}, 1, 0},
		{state.Filter{Transform: "t"}, 3, 3},
	} {
		prefix := string(c.f.StoredPrefix())
		matching, more := 0, 0
		for _, k := range keys {
			has := strings.HasPrefix(string(state.AppendKey(nil, k)), prefix)
			switch match := c.f.Match(k); {
			case match && !has:
				t.Errorf("%+v: %v matches without the prefix %q", c.f, k, prefix)
			case match:
				matching++
			case has:
				more++
			}
		}
		if matching != c.want || more != c.more {
			t.Errorf("%+v: %d match and %d more have the prefix, want %d and %d", c.f, matching, more, c.want, c.more)
		}
	}
}

func TestFaultOf(t *testing.T) {
	expired, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	for want, err := range map[state.Fault]error{
		"":                     nil,
		state.FaultCorrupt:     &state.RecordError{Err: state.ErrCorrupt},
		state.FaultLost:        fmt.Errorf("save: %w", &state.OwnerError{Err: state.ErrLost}),
		state.FaultTimeout:     expired.Err(),
		state.FaultCancelled:   context.Canceled,
		state.FaultIO:          os.ErrInvalid,
		state.FaultUnavailable: fmt.Errorf("%w: %w", state.ErrUnavailable, context.DeadlineExceeded),
	} {
		if got := state.FaultOf(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	if all := state.Faults(); len(all) != 14 || !slices.Contains(all, state.FaultIO) {
		t.Errorf("faults %q", all)
	}
}

func TestOwner(t *testing.T) {
	err := &state.OwnerError{Where: "/var/lib/state", Owner: state.Owner{PID: 7, Host: "a", Since: time.Unix(0, 0)}, Err: state.ErrInUse}
	if want := `/var/lib/state: store is in use by process 7 on "a" since 1970-01-01T00:00:00Z`; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if (&state.OwnerError{Where: "x", Err: state.ErrLost}).Error() != "x: store has been taken over by another process" {
		t.Error("an owner who is not known")
	}
}
