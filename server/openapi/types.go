// Package openapi makes JSON Schemas for documents of OpenAPI 3.1: of Go types, and of schemas that
// come from elsewhere. It knows no server.
package openapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"
)

// Prefix is where the schemas of a document are.
const Prefix = "#/components/schemas/"

// Schema is a JSON Schema of 2020-12 as encoding/json takes it.
type Schema = map[string]any

// Types has the schemas of Go types, as encoding/json writes their values. A member's tag doc describes
// it, and its tag example is an example of its text. It must not be used concurrently.
type Types struct {
	// Schemas are those of named structs, by the names under which others refer to them. Who uses a
	// Types may add more.
	Schemas map[string]any

	// Members describe members of structs that have no tag doc, by what they are called in JSON, as in
	// Job.id. They must be there before their type is met.
	Members map[string]string

	names map[reflect.Type]string
	enums map[reflect.Type][]string
}

// NewTypes returns an empty set.
func NewTypes() *Types {
	return &Types{Schemas: make(map[string]any), Members: make(map[string]string), names: make(map[reflect.Type]string), enums: make(map[reflect.Type][]string)}
}

// Enum says which values a type of strings has. It must be called before the type is met.
func Enum[T ~string](t *Types, values ...T) {
	of := reflect.TypeFor[T]()
	for _, v := range values {
		t.enums[of] = append(t.enums[of], string(v))
	}
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType = reflect.TypeFor[json.Marshaler]()
)

// Of returns the schema of a value's type: a reference if that is a named struct. A type that JSON
// does not have, or that writes its JSON itself, is a defect of the program, for which it panics.
func (t *Types) Of(v any) Schema { return t.of(reflect.TypeOf(v)) }

func (t *Types) of(of reflect.Type) Schema {
	switch {
	case of == timeType:
		return Schema{"type": "string", "format": "date-time"}
	case of == rawType || of.Kind() == reflect.Interface && of.NumMethod() == 0:
		return Schema{}
	case of.Implements(textType):
		return Schema{"type": "string"}
	case of.Implements(jsonType):
		panic(fmt.Sprintf("openapi: %v writes its JSON itself", of))
	}
	switch of.Kind() {
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.String:
		if values := t.enums[of]; values != nil {
			return Schema{"type": "string", "enum": values}
		}
		return Schema{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Schema{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return Schema{"type": "number"}
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return Schema{"type": "string", "contentEncoding": "base64"}
		}
		return Schema{"type": "array", "items": t.of(of.Elem())}
	case reflect.Map:
		if of.Key().Kind() == reflect.String {
			return Schema{"type": "object", "additionalProperties": t.of(of.Elem())}
		}
	case reflect.Pointer:
		return t.of(of.Elem())
	case reflect.Struct:
		if of.Name() == "" {
			return t.object(of)
		}
		return Schema{"$ref": Prefix + t.named(of)}
	default:
	}
	panic(fmt.Sprintf("openapi: JSON does not have %v", of))
}

// named returns the name of a struct, of which it makes the schema if that is not there yet.
func (t *Types) named(of reflect.Type) string {
	if name, ok := t.names[of]; ok {
		return name
	}
	name := of.Name()
	if _, taken := t.Schemas[name]; taken {
		base := path.Base(of.PkgPath())
		name = strings.ToUpper(base[:1]) + base[1:] + name
	}
	if _, taken := t.Schemas[name]; taken {
		panic("openapi: two types are " + name)
	}
	t.names[of] = name
	t.Schemas[name] = nil // taken, before the types of its members look for names
	t.Schemas[name] = t.object(of)
	return name
}

func (t *Types) object(of reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	t.members(of, properties, &required)
	s := Schema{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// members adds a struct's members, and those of structs within it that have no name in JSON.
func (t *Types) members(of reflect.Type, properties Schema, required *[]string) {
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" && options == "", !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			t.members(f.Type, properties, required)
			continue
		case name == "":
			name = f.Name
		}
		s := t.of(f.Type)
		doc := f.Tag.Get("doc")
		if doc == "" {
			doc = t.Members[of.Name()+"."+name]
		}
		if doc != "" {
			s["description"] = doc // which 3.1 has beside a reference, too
		}
		if example, ok := f.Tag.Lookup("example"); ok {
			s["examples"] = []string{example}
		}
		optional := strings.Contains(options, "omit")
		if f.Type.Kind() == reflect.Pointer && !optional {
			s = Schema{"anyOf": []any{s, Schema{"type": "null"}}}
		}
		properties[name] = s
		if !optional {
			*required = append(*required, name)
		}
	}
}
