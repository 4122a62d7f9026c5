package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/state"
)

// FuzzParseDecision reads any record as what was decided about a plugin. What is refused has an error of its record, and
// what is taken is about the plugin of its key.
func FuzzParseDecision(f *testing.F) {
	id := strings.Repeat("a", 64)
	f.Add("", "p", 1, []byte(`{"plugin":"p","dir":"/plugins","serving":"`+id+`","since":"2026-11-30T12:00:00Z","by":"operator","paused":true}`))
	f.Add("", "p", 1, []byte(`{"plugin":"q","serving":"`+id+`"}`))
	f.Add("blue", "p", 1, []byte(`{"plugin":"p","serving":"`+id+`"}`))
	f.Add("", "p", 2, []byte(`{"plugin":"p"}`))
	f.Add("", "", 0, []byte(`null`))
	f.Fuzz(func(t *testing.T, tenant, name string, format int, data []byte) {
		r := state.Record{Key: state.Key{Kind: state.KindPlugin, Tenant: tenant, Name: name}, Format: format, Data: data, Size: len(data)}
		of, err := parseDecision(&r)
		var fault *state.RecordError
		switch {
		case err != nil && (!errors.As(err, &fault) || fault.Key != r.Key || !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrNewer)):
			t.Errorf("%v: the error is not of the record: %v", r.Key, err)
		case err == nil && (of.Plugin != name || tenant != "" || format > decisionFormat):
			t.Errorf("%v: taken as %+v", r.Key, of)
		}
	})
}
