package yamlfile

import (
	"encoding/json"
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep objects and arrays are nested at most, which an alias of what it lies in exceeds.
const maxDepth = 64

// JSON returns a node as JSON of at most that many bytes, however often its aliases repeat what they
// stand for. what is its name in messages. Members keep their order.
func JSON(n *Node, what string, most int) (json.RawMessage, error) {
	w := jsonWriter{what: what, most: most, top: n}
	if err := w.write(n, 0); err != nil {
		return nil, err
	}
	return w.b, nil
}

type jsonWriter struct {
	b    []byte
	what string
	most int
	top  *Node
}

// add appends text, of which there may be too much.
func (w *jsonWriter) add(text string) error {
	if len(text) > w.most-len(w.b) {
		return At(w.top, "%s must have at most %d bytes as JSON", w.what, w.most)
	}
	w.b = append(w.b, text...)
	return nil
}

func (w *jsonWriter) write(n *Node, depth int) error {
	n = resolve(n)
	if depth > maxDepth {
		return At(n, "%s must not be nested deeper than %d", w.what, maxDepth)
	}
	switch n.Kind {
	case yaml.MappingNode:
		open := "{"
		err := Members(n, w.what, nil, func(key string, value *Node) error {
			name, err := json.Marshal(key)
			if err == nil {
				err = w.add(open + string(name) + ":")
			}
			open = ","
			if err != nil {
				return err
			}
			return w.write(value, depth+1)
		})
		if err == nil && open == "{" {
			err = w.add("{")
		}
		if err != nil {
			return err
		}
		return w.add("}")
	case yaml.SequenceNode:
		open := "["
		for _, v := range n.Content {
			if err := w.add(open); err != nil {
				return err
			}
			open = ","
			if err := w.write(v, depth+1); err != nil {
				return err
			}
		}
		if open == "[" {
			return w.add("[]")
		}
		return w.add("]")
	}
	return w.scalar(n)
}

func (w *jsonWriter) scalar(n *Node) error {
	var v any = n.Value
	var err error
	switch n.ShortTag() {
	case "!!null":
		v = nil
	case "!!bool":
		v, err = decoded[bool](n)
	case "!!int":
		if v, err = decoded[int64](n); err != nil {
			v, err = decoded[uint64](n)
		}
	case "!!float":
		var f float64
		if f, err = decoded[float64](n); math.IsInf(f, 0) || math.IsNaN(f) {
			err = fmt.Errorf("%s is no number of JSON", n.Value)
		}
		v = f
	}
	if err != nil {
		return At(n, "%s: %v", w.what, err)
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return At(n, "%s: %v", w.what, err)
	}
	return w.add(string(doc))
}

func decoded[T any](n *Node) (v T, err error) {
	err = n.Decode(&v)
	return v, err
}
