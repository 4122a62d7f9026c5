package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// form is how a media type that is no plugin's own looks in JSON.
type form struct {
	payload func(doc []byte) ([]byte, error)
	encode  func(output []byte) ([]byte, error)
}

// formOf returns the form of a media type, which is the same as in package codec: that
// imports this one, and this one is to need no library for it.
func formOf(mediaType string) (f form, ok bool) {
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

func isForm(mediaType string) bool {
	_, ok := formOf(mediaType)
	return ok
}

// formsOfJSON is Config.JSON's default.
func formsOfJSON(t Transform, input []byte) ([]byte, func([]byte) ([]byte, error), error) {
	in, known := formOf(t.Input)
	out, too := formOf(t.Output)
	if !known || !too {
		return nil, nil, fmt.Errorf("there is no JSON form of %s and %s: set Config.JSON, for the built-in plugins to codec.Builtin().Translate", t.Input, t.Output)
	}
	payload, err := in.payload(input)
	return payload, out.encode, err
}

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

// isJSON reports whether an input that its transform has refused is an object or array of
// JSON, as of a caller who took the host for something that translates.
func isJSON(input []byte) bool {
	input = bytes.TrimSpace(input)
	return len(input) > 0 && len(input) <= maxLooked && (input[0] == '{' || input[0] == '[') && json.Valid(input)
}
