package openapi

import (
	"bytes"
	"encoding/json"
	"strings"
)

// definitions is between the name of a schema and that of a part that has one. No transform's name has
// it.
const definitions = ".DEF."

// Embed adds a JSON Schema of 2020-12 to the schemas of a document. What it refers to by #, which is
// the schema itself, is there then; what it has under $defs becomes a schema of the document, too,
// which more generators understand. Numbers stay as they are written. A schema that has names for itself
// or its parts ($id, $anchor) is not taken, and ok is false: another of the document may have them too.
func Embed(into map[string]any, name string, schema json.RawMessage) (ok bool) {
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return false
	}
	if !rebase(v, Prefix+name) {
		return false
	}
	root, _ := v.(Schema)
	defs, _ := root["$defs"].(Schema)
	for key, part := range defs {
		if plain(key) {
			into[name+definitions+key] = part
			delete(defs, key)
		}
	}
	if len(defs) == 0 {
		delete(root, "$defs")
	}
	into[name] = v
	return true
}

// plain reports whether a name can be a part of that of a document's schema.
func plain(name string) bool {
	return name != "" && strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.'
	}) < 0
}

// place is where in a document that is what a schema at root has by a pointer.
func place(pointer, root string) string {
	rest, there := strings.CutPrefix(pointer, "/$defs/")
	key, within, more := strings.Cut(rest, "/")
	if !there || !plain(key) {
		return root + pointer
	}
	if more {
		within = "/" + within
	}
	return root + definitions + key + within
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
		s["$ref"] = place(strings.TrimPrefix(ref, "#"), root)
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
