// Package strictjson decodes JSON that people write, and says what is wrong with it in terms of the
// document: by the path of a member, and what was expected there.
package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/spell"
)

// document is the field of faults that concern the whole.
const document = "document"

// maxDepth is how deep values may nest for encoding/json.
const maxDepth = 10_000

// Unmarshal decodes one JSON value that fills b into the struct that v points to. Members that it
// does not have, under exactly that name, or that are there twice are errors, as is a value of
// another kind; null is as if the member were absent. The error is an [*abi.FieldError] if it is of
// a part of the document.
//
// Fields may be structs, slices, strings, ints, uint32s and float64s, [json.RawMessage] for any value, and
// other slices of bytes, which have a method of their own to decode a string or {"base64": "…"}.
func Unmarshal(b []byte, v any) error {
	// What encoding/json says is in terms of Go, and so a walk of its own goes before.
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("is empty")
	}
	w := walker{json.NewDecoder(bytes.NewReader(b)), len(b)}
	w.dec.UseNumber()
	if err := w.value(reflect.TypeOf(v).Elem(), ""); err != nil {
		return err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return json.Unmarshal(b, v)
}

// walker walks a document beside the Go type that it is of. It goes no deeper than that.
type walker struct {
	dec  *json.Decoder
	size int // of the document
}

var anyValue = reflect.TypeFor[json.RawMessage]()

// value reads the value at a path.
func (w walker) value(t reflect.Type, path string) error {
	if t == anyValue {
		var v json.RawMessage
		return w.located(w.dec.Decode(&v))
	}
	token, err := w.token()
	if err != nil || token == nil {
		return err
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return w.content(token, path)
	}
	switch t.Kind() {
	case reflect.Struct:
		if token == json.Delim('{') {
			return w.object(t, path)
		}
	case reflect.Slice:
		if token == json.Delim('[') {
			for i := 0; w.dec.More(); i++ {
				if err := w.value(t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
			_, err := w.token()
			return err
		}
	case reflect.String:
		if _, ok := token.(string); ok {
			return nil
		}
	case reflect.Int:
		if n, ok := token.(json.Number); ok {
			if _, err := strconv.Atoi(n.String()); err == nil {
				return nil
			}
		}
	case reflect.Float64:
		if n, ok := token.(json.Number); ok {
			if _, err := n.Float64(); err == nil {
				return nil
			}
		}
	case reflect.Uint32:
		if n, ok := token.(json.Number); ok {
			if _, err := strconv.ParseUint(n.String(), 10, 32); err == nil {
				return nil
			}
		}
	default:
		return fault(path, "is of a type that is not decoded, %v", t)
	}
	return fault(path, "must be %s, is %s", wanted(t), found(token))
}

// content reads the rest of bytes that begin with the token.
func (w walker) content(token json.Token, path string) error {
	switch token {
	case json.Delim('{'):
		err := w.members([]string{"base64"}, path, func(_ int, path string) error {
			token, err := w.token()
			if err != nil || token == nil {
				return err
			}
			s, ok := token.(string)
			if !ok {
				return fault(path, "must be a string in base64, is %s", found(token))
			}
			if _, err := base64.StdEncoding.DecodeString(s); err != nil {
				return fault(path, "must be a string in base64, is none at byte %d", int64(err.(base64.CorruptInputError))+1) //nolint:errorlint // it is of no other type
			}
			return nil
		})
		if f := Unknown(err); f != nil {
			f.Rule += "; JSON is written as a string"
		}
		return err
	default:
		if _, ok := token.(string); ok {
			return nil
		}
	}
	return fault(path, `must be a string or {"base64": "…"}, is %s; JSON is written as a string`, found(token))
}

// object reads the rest of an object.
func (w walker) object(t reflect.Type, path string) error {
	var known []string
	var types []reflect.Type
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			known, types = append(known, name), append(types, f.Type)
		}
	}
	return w.members(known, path, func(i int, path string) error { return w.value(types[i], path) })
}

// members reads the rest of an object, each member by f, which has its place among the known.
func (w walker) members(known []string, path string, f func(i int, path string) error) error {
	seen := make([]bool, len(known))
	for w.dec.More() {
		token, err := w.token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder takes nothing else there
		at := clip(name)
		if path != "" {
			at = path + "." + at
		}
		i := slices.Index(known, name)
		switch {
		case i < 0:
			return fault(at, unknownMember+"%s%s", spell.DidYouMean(name, known), spell.ThereAre(known))
		case seen[i]:
			return fault(at, "is there twice")
		}
		seen[i] = true
		if err := f(i, at); err != nil {
			return err
		}
	}
	_, err := w.token() // the end
	return err
}

// token returns the decoder's next.
func (w walker) token() (json.Token, error) {
	token, err := w.dec.Token()
	return token, w.located(err)
}

// located says where an error of the decoder is, as far as the decoder knows that.
func (w walker) located(err error) error {
	if err == nil {
		return nil
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		if strings.HasSuffix(err.Error(), "exceeded max depth") { // which has no error of its own
			return fault(document, "must not be nested deeper than %d, near byte %d", maxDepth, max(w.dec.InputOffset()+1, syntax.Offset))
		}
		return fault(document, "is not valid JSON, near byte %d: %v", max(w.dec.InputOffset()+1, syntax.Offset), err)
	}
	return fault(document, "is cut off, behind byte %d", w.size)
}

// unknownMember is how the rule of a member begins that there is not.
const unknownMember = "is not a known member"

// Unknown returns the error of a member that a document has and its type has not; nil of other errors.
func Unknown(err error) *abi.FieldError {
	if f := (*abi.FieldError)(nil); errors.As(err, &f) && strings.HasPrefix(f.Rule, unknownMember) {
		return f
	}
	return nil
}

func fault(field, rule string, args ...any) error {
	if field == "" {
		field = document
	}
	return &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, args...)}
}

// wanted says in words what a Go type holds.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Float64:
		return "a number in range"
	default:
		return "a whole number in range"
	}
}

// found says in words what a value is that begins with the token.
func found(token json.Token) string {
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return "an object"
		}
		return "an array"
	case json.Number:
		return clip(v.String())
	case string:
		return fmt.Sprintf("the string %q", shortened(v))
	default:
		return fmt.Sprint(v) // true or false
	}
}

// clip makes a foreign name short and printable.
func clip(name string) string {
	q := strconv.Quote(shortened(name))
	return q[1 : len(q)-1]
}

func shortened(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
