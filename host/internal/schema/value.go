package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	// maxDepth is how deep values may nest in one another.
	maxDepth = 256
	// maxDigits is the longest number, in bytes, and the largest exponent of ten either way: a few
	// bytes more would be numbers of a million digits.
	maxDigits = 400
)

// object is a JSON object, in the order of the document.
type object struct {
	names  []string
	values map[string]any
}

// parse reads a document. Objects become [*object]s, and arrays []any.
func parse(doc []byte) (any, error) {
	p := parser{json.NewDecoder(bytes.NewReader(doc))}
	p.dec.UseNumber()
	v, err := p.value(0)
	if err == nil {
		if _, more := p.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON value")
		}
	}
	return v, err
}

type parser struct{ dec *json.Decoder }

func (p *parser) value(depth int) (any, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, p.broken(err)
	}
	switch token := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("values nest deeper than %d, at byte %d", maxDepth, p.dec.InputOffset())
		}
		if token == '[' {
			return p.array(depth)
		}
		return p.object(depth)
	case json.Number:
		return token, number(token)
	}
	return token, nil
}

func (p *parser) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("is cut off")
	}
	return fmt.Errorf("is not valid JSON, near byte %d", p.dec.InputOffset())
}

func (p *parser) array(depth int) (any, error) {
	items := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, p.broken(err)
	}
	return items, nil
}

func (p *parser) object(depth int) (any, error) {
	o := &object{values: make(map[string]any)}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return nil, p.broken(err)
		}
		name := token.(string) // the decoder takes nothing else there
		if _, twice := o.values[name]; twice {
			return nil, fmt.Errorf("the member %.64q is there twice, near byte %d", name, p.dec.InputOffset())
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.names, o.values[name] = append(o.names, name), v
	}
	if _, err := p.dec.Token(); err != nil {
		return nil, p.broken(err)
	}
	return o, nil
}

// plain makes of a value what the library takes.
func plain(v any) any {
	switch v := v.(type) {
	case *object:
		m := make(map[string]any, len(v.values))
		for name, child := range v.values {
			m[name] = plain(child)
		}
		return m
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// canonical appends a value so that equal values are written the same.
func canonical(to []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		o := &object{values: v}
		for name := range v {
			o.names = append(o.names, name)
		}
		return canonical(to, o)
	case *object:
		to = append(to, '{')
		names := slices.Clone(v.names)
		slices.Sort(names)
		for _, name := range names {
			to = canonical(append(strconv.AppendQuote(to, name), ':'), v.values[name])
			to = append(to, ',')
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for _, item := range v {
			to = append(canonical(to, item), ',')
		}
		return append(to, ']')
	case string:
		return strconv.AppendQuote(to, v)
	case json.Number:
		digits, exponent := decimalOf(v)
		return strconv.AppendInt(append(append(to, digits...), 'e'), int64(exponent), 10)
	}
	return fmt.Append(to, v) // true, false, and <nil>, as nothing else is written
}

// typeOf returns the name of a value's type. A number's is "number".
func typeOf(v any) string {
	switch v.(type) {
	case *object:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	}
	return "null"
}

// shortest is the least length of a number that equals another.
func shortest(json.Number) int { return 1 }

// length is the length of a number as it is written.
func length(n json.Number) int { return len(n) }

// sizeOf returns about how many bytes a value is, as far as most.
func sizeOf(v any, most int, number func(json.Number) int) (n int) {
	switch v := v.(type) {
	case *object:
		n = 2
		for name, child := range v.values {
			if n += len(name) + 3; n > most {
				return n
			}
			n += sizeOf(child, most-n, number)
		}
	case []any:
		n = 2
		for _, item := range v {
			if n++; n > most {
				return n
			}
			n += sizeOf(item, most-n, number)
		}
	case string:
		n = len(v) + 2
	case json.Number:
		n = number(v)
	default:
		n = 4
	}
	return n
}
