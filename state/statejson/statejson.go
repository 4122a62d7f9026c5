// Package statejson has records of state as JSON, a line each, for people and for moving them from
// one store to another.
package statejson

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/resonhost/resonhost/state"
)

// MaxLine is how long a line is at most, in bytes.
const MaxLine = state.MaxData*4/3 + 16<<10

// line is a record. Parts of the key that are no UTF-8 stand in the members with _base64 alone.
type line struct {
	Kind           string  `json:"kind"`
	Tenant         string  `json:"tenant,omitempty"`
	TenantBytes    []byte  `json:"tenant_base64,omitempty"`
	Transform      string  `json:"transform,omitempty"`
	TransformBytes []byte  `json:"transform_base64,omitempty"`
	Name           string  `json:"name,omitempty"`
	NameBytes      []byte  `json:"name_base64,omitempty"`
	Format         int     `json:"format"`
	Changed        int64   `json:"changed_ms"`
	Size           *int    `json:"size,omitzero"`
	Data           *[]byte `json:"data,omitzero"`
}

// Append appends a record as a line, with its line break. A record without data has none in the line
// either.
func Append(b []byte, r *state.Record) ([]byte, error) {
	l := line{Kind: string(r.Key.Kind), Format: r.Format, Changed: r.Changed.UnixMilli(), Size: &r.Size}
	l.Tenant, l.TenantBytes = split(r.Key.Tenant)
	l.Transform, l.TransformBytes = split(r.Key.Transform)
	l.Name, l.NameBytes = split(r.Key.Name)
	if r.Data != nil {
		l.Data = &r.Data
	}
	text, err := json.Marshal(&l)
	return append(append(b, text...), '\n'), err
}

func split(s string) (text string, bytes []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// Parse reads a line with data. The error says which member is wrong.
func Parse(b []byte) (state.Record, error) {
	var l line
	if err := json.Unmarshal(b, &l, json.RejectUnknownMembers(true)); err != nil {
		return state.Record{}, err
	}
	if l.Data == nil {
		return state.Record{}, errors.New("data: must be there")
	}
	r := state.Record{Key: state.Key{Kind: state.Kind(l.Kind)}, Format: l.Format, Changed: time.UnixMilli(l.Changed), Data: *l.Data, Size: len(*l.Data)}
	if r.Data == nil {
		r.Data = []byte{}
	}
	for _, p := range []struct {
		name  string
		text  string
		bytes []byte
		to    *string
	}{
		{"tenant", l.Tenant, l.TenantBytes, &r.Key.Tenant},
		{"transform", l.Transform, l.TransformBytes, &r.Key.Transform},
		{"name", l.Name, l.NameBytes, &r.Key.Name},
	} {
		if p.text != "" && len(p.bytes) > 0 {
			return state.Record{}, fmt.Errorf("%s: stands beside %s_base64", p.name, p.name)
		}
		*p.to = p.text + string(p.bytes)
	}
	if l.Size != nil && *l.Size != r.Size {
		return state.Record{}, fmt.Errorf("size: is %d, and the data has %d bytes", *l.Size, r.Size)
	}
	if err := r.Check(); err != nil {
		return state.Record{}, err
	}
	return r, nil
}
