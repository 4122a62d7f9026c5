package openapi

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Embed returns a JSON Schema of 2020-12 as it is under the name in a document's schemas: what it
// refers to by #, which is the schema itself, is there then. Numbers stay as they are written. A
// schema that has names for itself or its parts ($id, $anchor) is not taken, and ok is false: another
// of the document may have them too.
func Embed(schema json.RawMessage, name string) (v any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, false
	}
	return v, rebase(v, Prefix+name)
}

// Keywords of JSON Schema whose values are schemas: one, several in an array, or several by name.
var (
	single = []string{
		"not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems",
		"unevaluatedProperties", "contentSchema",
	}
	several = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	named   = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)

// rebase has the references of a schema that begin at its root begin at a place in a document. It
// reports whether there are only such, and no names.
func rebase(v any, root string) bool {
	s, ok := v.(Schema)
	if !ok { // true or false
		return true
	}
	if ref, there := s["$ref"].(string); there {
		if ref != "" && ref != "#" && !strings.HasPrefix(ref, "#/") {
			return false
		}
		s["$ref"] = root + strings.TrimPrefix(ref, "#")
	}
	ok = s["$id"] == nil && s["$anchor"] == nil
	delete(s, "$schema") // the document says it for all
	for _, key := range single {
		ok = rebase(s[key], root) && ok
	}
	for _, key := range several {
		list, _ := s[key].([]any)
		for _, child := range list {
			ok = rebase(child, root) && ok
		}
	}
	for _, key := range named {
		children, _ := s[key].(Schema)
		for _, child := range children {
			ok = rebase(child, root) && ok
		}
	}
	return ok
}
