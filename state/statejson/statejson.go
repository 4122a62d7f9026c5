// Package statejson has records of state as JSON, a line each, for people and for moving them from
// one store to another.
package statejson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/resonhost/resonhost/internal/strictjson"
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
	text, err := jsonv2.Marshal(&l)
	return append(append(b, text...), '\n'), err
}

func split(s string) (text string, other []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// read is a line as it is read. What may be absent is told by it, and numbers of 64 bits are parsed here.
type read struct {
	Kind            string          `json:"kind"`
	Tenant          string          `json:"tenant"`
	TenantBase64    json.RawMessage `json:"tenant_base64"`
	Transform       string          `json:"transform"`
	TransformBase64 json.RawMessage `json:"transform_base64"`
	Name            string          `json:"name"`
	NameBase64      json.RawMessage `json:"name_base64"`
	Format          int             `json:"format"`
	Changed         json.RawMessage `json:"changed_ms"`
	Size            json.RawMessage `json:"size"`
	Data            json.RawMessage `json:"data"`
}

// Parse reads a line with data. The error says which member is wrong.
func Parse(b []byte) (state.Record, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\ufeff")):
		return state.Record{}, errors.New("begins with a byte order mark, which JSON has not; save the file without one")
	case !utf8.Valid(b):
		return state.Record{}, errors.New("is not valid UTF-8; a part of a key that is none stands in the member with _base64")
	}
	var l read
	if err := strictjson.Unmarshal(b, &l); err != nil {
		return state.Record{}, err
	}
	if absent(l.Data) {
		return state.Record{}, errors.New("data: must be there")
	}
	data, err := decode("data", l.Data)
	if err != nil {
		return state.Record{}, err
	}
	changed, err := number("changed_ms", l.Changed)
	if err != nil {
		return state.Record{}, err
	}
	size, err := number("size", l.Size)
	if err != nil {
		return state.Record{}, err
	}
	r := state.Record{Key: state.Key{Kind: state.Kind(l.Kind)}, Format: l.Format, Changed: time.UnixMilli(changed), Data: data, Size: len(data)}
	for _, p := range []struct {
		name  string
		text  string
		bytes json.RawMessage
		to    *string
	}{
		{"tenant", l.Tenant, l.TenantBase64, &r.Key.Tenant},
		{"transform", l.Transform, l.TransformBase64, &r.Key.Transform},
		{"name", l.Name, l.NameBase64, &r.Key.Name},
	} {
		part, err := decode(p.name+"_base64", p.bytes)
		if err != nil {
			return state.Record{}, err
		}
		if p.text != "" && len(part) > 0 {
			return state.Record{}, fmt.Errorf("%s: stands beside %s_base64", p.name, p.name)
		}
		*p.to = p.text + string(part)
	}
	if !absent(l.Size) && size != int64(r.Size) {
		return state.Record{}, fmt.Errorf("size: is %d, and the data has %d bytes", size, r.Size)
	}
	if err := r.Check(); err != nil {
		return state.Record{}, err
	}
	return r, nil
}

func absent(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

// decode returns the bytes of a member in base64. They are not nil.
func decode(member string, v json.RawMessage) ([]byte, error) {
	if absent(v) {
		return []byte{}, nil
	}
	if v[0] != '"' {
		return nil, fmt.Errorf("%s: must be a string in base64, is %.40s", member, v)
	}
	b := []byte{}
	if err := json.Unmarshal(v, &b); err != nil {
		return nil, fmt.Errorf("%s: must be a string in base64 with its padding, and is none", member)
	}
	return b, nil
}

// number returns a whole number, 0 if it is absent.
func number(member string, v json.RawMessage) (int64, error) {
	if absent(v) {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: must be a whole number in range, is %.40s", member, v)
	}
	return n, nil
}
