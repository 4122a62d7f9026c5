package codec

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
)

func fault(field, rule string, args ...any) error {
	return &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, args...)}
}

// document is the field of faults that concern the whole.
const document = "document"

// Unmarshal decodes one JSON value, strictly, and has it validate itself. It refuses null,
// unknown and duplicate members, another case, invalid UTF-8 and text behind the value. Its
// errors are [*abi.FieldError]s with the path of the member, such as nodes[3].frequency, or of
// the field "document" for the whole; those of Validate are returned as they are.
func Unmarshal[T any, P interface {
	*T
	Validate() error
}](doc []byte, v P) error {
	if err := checkEmpty(doc); err != nil {
		return err
	}
	if string(bytes.TrimSpace(doc)) == "null" { // of which Unmarshal would make a zero value
		return fault(document, "must not be null")
	}
	if err := json.Unmarshal(doc, v, json.RejectUnknownMembers(true)); err != nil {
		return explain(doc, err)
	}
	return v.Validate()
}

func checkEmpty(doc []byte) error {
	if len(bytes.TrimSpace(doc)) == 0 {
		return fault(document, "is empty")
	}
	return nil
}

// explain says of an error of the JSON package what is wrong, and where, in terms
// of the document.
func explain(doc []byte, err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(syntax, jsontext.ErrDuplicateName) {
			return fault(path(doc, syntax.JSONPointer), "is there twice")
		}
		if syntax.Err != nil && syntax.Err.Error() == "exceeded max depth" { // of jsontext, which has no error to compare with
			return fault(document, "is nested deeper than %d", MaxDepth)
		}
		reason := "is cut off"
		if !errors.Is(err, io.ErrUnexpectedEOF) && syntax.Err != nil {
			reason = "is not valid JSON: " + syntax.Err.Error()
		}
		return fault(document, "%s, at byte %d", reason, syntax.ByteOffset+1)
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return fault(document, "%v", err)
	}
	where := path(doc, semantic.JSONPointer)
	switch {
	case errors.Is(semantic.Err, json.ErrUnknownName):
		return fault(where, "is not a known field%s", suggestion(semantic.GoType, semantic.JSONPointer.LastToken()))
	case errors.Is(semantic.Err, strconv.ErrRange):
		return fault(where, "is out of range")
	case semantic.GoType != nil:
		return fault(where, "must be %s", wanted(semantic.GoType, semantic.JSONKind))
	}
	return fault(where, "%v", semantic.Err)
}

// path writes /nodes/3/frequency as nodes[3].frequency. Of a long one it writes the end.
func path(doc []byte, p jsontext.Pointer) string {
	const most = 256
	text, inArray := "", arraysAbove(doc, p)
	for p != "" {
		token := p.LastToken()
		p = p.Parent()
		step := "." + clip(token)
		if inArray(p) {
			step = "[" + token + "]"
		}
		if text != "" && len(step)+len(text) > most {
			return "…" + text
		}
		text = step + text
	}
	if text = strings.TrimPrefix(text, "."); text == "" {
		return document
	}
	return text
}

// arraysAbove returns what tells of the values that a value lies in, by their pointers, whether
// they are arrays.
func arraysAbove(doc []byte, p jsontext.Pointer) func(jsontext.Pointer) bool {
	numbers := 0 // which stand for an element or for a member of such a name
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 64); err == nil {
			numbers++
		}
	}
	if numbers == 0 {
		return func(jsontext.Pointer) bool { return false }
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(doc))
	for dec.StackPointer() != p {
		if _, err := dec.ReadToken(); err != nil { // which p may be of
			break
		}
	}
	arrays := make(map[jsontext.Pointer]bool)
	at := jsontext.Pointer("")
	depth := 0
	for token := range p.Tokens() {
		if depth++; depth <= dec.StackDepth() {
			kind, _ := dec.StackIndex(depth)
			arrays[at] = kind == '['
		}
		at = at.AppendToken(token)
	}
	return func(p jsontext.Pointer) bool { return arrays[p] }
}

// clip makes a foreign name short and printable.
func clip(name string) string {
	const most = 64
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	q := strconv.Quote(name)
	return q[1 : len(q)-1]
}

// wanted says in words what a Go type holds.
func wanted(t reflect.Type, got jsontext.Kind) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		if got == '0' {
			return "a whole number in range"
		}
		return "a whole number"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string in base64"
		}
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "of another type"
}

// suggestion names the member that an unknown one may have been meant to be.
func suggestion(t reflect.Type, name string) string {
	if t == nil || t.Kind() != reflect.Struct {
		return ""
	}
	var known []string
	for _, f := range reflect.VisibleFields(t) {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
			known = append(known, tag)
		}
	}
	return spell.DidYouMean(name, known)
}

// reserved are names that mean something to a JavaScript object, which a consumer
// of the document may be.
var reserved = map[string]bool{"__proto__": true, "constructor": true, "prototype": true}

// check walks a JSON document whose form is the plugin's business, and refuses
// what no document may have.
func check(doc []byte) error {
	if err := checkEmpty(doc); err != nil {
		return err
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(doc))
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain(doc, err)
		}
		if dec.StackDepth() > MaxDepth {
			return fault(document, "is nested deeper than %d", MaxDepth)
		}
		if dec.StackDepth() == 0 && len(bytes.TrimSpace(doc[dec.InputOffset():])) > 0 {
			return fault(document, "has something behind the value, at byte %d", dec.InputOffset()+1)
		}
		// A name is every other string of an object.
		kind, n := dec.StackIndex(dec.StackDepth())
		if token.Kind() == '"' && kind == '{' && n%2 == 1 && reserved[token.String()] {
			return fault(path(doc, dec.StackPointer()), "is a reserved name")
		}
		if token.Kind() == '0' {
			if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
				return fault(path(doc, dec.StackPointer()), "is out of range")
			}
		}
	}
}

// CheckStream checks the key of a stream, which a document has in the member called field. Its
// error is an [*abi.FieldError].
func CheckStream(field, key string) error {
	if len(key) == 0 || len(key) > host.MaxStreamKey {
		return fault(field, "must have 1 to %d bytes, has %d", host.MaxStreamKey, len(key))
	}
	return nil
}

// TakeStream takes the member called field out of a JSON object: the key of the
// task's stream, a string, or "" if it is null or not there. It returns the
// document without it. What is no object is returned as it is, for a Codec to
// refuse.
func TakeStream(doc []byte, field string) (rest []byte, key string, err error) {
	if err := checkEmpty(doc); err != nil {
		return nil, "", err
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(doc))
	if open, err := dec.ReadToken(); err != nil || open.Kind() != '{' {
		return doc, "", nil //nolint:nilerr // it is no object, or no JSON: a Codec says so
	}
	rest = doc
	for dec.PeekKind() == '"' { // to the end: the decoder refuses a name that comes twice
		before := dec.InputOffset()
		name, err := dec.ReadToken()
		if err != nil {
			return nil, "", explain(doc, err)
		}
		found := name.String() == field
		value, err := dec.ReadValue()
		if err != nil {
			return nil, "", explain(doc, err)
		}
		if !found {
			continue
		}
		rest = without(doc, before, dec.InputOffset())
		if value.Kind() == 'n' {
			continue
		}
		if value.Kind() != '"' {
			return nil, "", fault(clip(field), "must be a string, the key of a stream")
		}
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return nil, "", explain(doc, err)
		}
		key = string(unquoted)
		if err := CheckStream(clip(field), key); err != nil {
			return nil, "", err
		}
	}
	return rest, key, nil
}

// without returns an object's text with spaces in place of the member between two
// offsets, of which the first is where the text before it ended: what follows
// keeps its offset, which errors tell.
func without(doc []byte, from, to int64) []byte {
	end := to
	if doc[from-1] == '{' {
		// The first member takes the comma behind it along, others that before.
		if rest := bytes.TrimLeft(doc[to:], " \t\r\n"); bytes.HasPrefix(rest, []byte(",")) {
			end = int64(len(doc)-len(rest)) + 1
		}
	}
	blank := bytes.Repeat([]byte(" "), int(end-from))
	return slices.Concat(doc[:from], blank, doc[end:])
}

// EncodeRecord decodes an output that is the record of a T, and returns the T as JSON: what
// [Call] wants of its Encode.
func EncodeRecord[T any, P interface {
	*T
	encoding.BinaryUnmarshaler
}](output []byte) ([]byte, error) {
	v := P(new(T))
	if err := v.UnmarshalBinary(output); err != nil {
		return nil, err
	}
	return Marshal(v)
}

// Marshal encodes a value as JSON on one line, members of maps in order.
func Marshal(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }
