// Package form has how media types that are no plugin's own look in JSON, for self-tests.
//
// Package codec has the same for callers. It refuses more (members that are there twice,
// reserved names, depth) and says where, for which it takes a JSON library that an embedder of
// host is not to link. A test holds the two to one another.
package form

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// form is how a media type looks in JSON.
type form struct {
	payload func(doc []byte) ([]byte, error)
	encode  func(output []byte) ([]byte, error)
}

func of(mediaType string) (f form, ok bool) {
	switch mediaType {
	case manifest.MediaTypeJSON:
		same := func(b []byte) ([]byte, error) { return b, nil }
		return form{same, same}, true
	case manifest.MediaTypeText:
		return form{fromText, toText}, true
	case manifest.MediaTypeBytes:
		return form{fromBytes, toBytes}, true
	}
	return form{}, false
}

// Known reports whether a media type has a form in JSON.
func Known(mediaType string) bool {
	_, ok := of(mediaType)
	return ok
}

// Translate makes the payload of a task from JSON, and returns what makes JSON of its output.
func Translate(input, output string, doc []byte) (payload []byte, encode func(output []byte) ([]byte, error), err error) {
	in, known := of(input)
	out, too := of(output)
	if !known || !too {
		return nil, nil, ErrUnknown
	}
	payload, err = in.payload(doc)
	return payload, out.encode, err
}

// ErrUnknown is the error for a media type that has no form in JSON.
var ErrUnknown = errors.New("the media type has no form in JSON")

var (
	errNoText  = &abi.FieldError{Field: "document", Rule: "must be a string"}
	errNoBytes = &abi.FieldError{Field: "document", Rule: `must be a string or {"base64": "…"}`}
	errNotUTF8 = errors.New("is not UTF-8")
)

func fromText(doc []byte) ([]byte, error) {
	s := (*string)(nil)
	if err := json.Unmarshal(doc, &s); err != nil || s == nil {
		return nil, errNoText
	}
	return []byte(*s), nil
}

func toText(output []byte) ([]byte, error) {
	if !utf8.Valid(output) {
		return nil, errNotUTF8
	}
	return json.Marshal(string(output))
}

// fromBytes takes a string too, for its UTF-8, as manifests do.
func fromBytes(doc []byte) ([]byte, error) {
	if payload, err := fromText(doc); err == nil {
		return payload, nil
	}
	var members map[string]*[]byte
	if err := json.Unmarshal(doc, &members); err != nil || len(members) != 1 || members["base64"] == nil {
		return nil, errNoBytes
	}
	return *members["base64"], nil
}

func toBytes(output []byte) ([]byte, error) {
	return json.Marshal(map[string][]byte{"base64": append([]byte{}, output...)})
}

// maxLooked is the longest input that is looked at whether it is JSON, in bytes.
const maxLooked = 64 << 10

// IsJSON reports whether an input that its transform has refused is an object or array of
// JSON, as of a caller who took the host for something that translates.
func IsJSON(input []byte) bool {
	input = bytes.TrimSpace(input)
	return len(input) > 0 && len(input) <= maxLooked && (input[0] == '{' || input[0] == '[') && json.Valid(input)
}
