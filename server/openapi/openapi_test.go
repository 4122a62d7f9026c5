package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/server/openapi"
)

type colour string

type inner struct {
	N int    `json:"n"`
	S string `json:"s,omitempty" doc:"Some text." example:"some"`
}

type base struct {
	ID string `json:"id" doc:"What it is called."`
}

type outer struct {
	base

	Colour  colour            `json:"colour,omitempty"`
	When    time.Time         `json:"when,omitzero"`
	Raw     json.RawMessage   `json:"raw"`
	Any     any               `json:"any"`
	Inner   inner             `json:"inner" doc:"Within."`
	Maybe   *inner            `json:"maybe"`
	Seldom  *inner            `json:"seldom,omitempty"`
	List    []outer           `json:"list"`
	Of      map[string]uint32 `json:"of"`
	Bytes   []byte            `json:"bytes"`
	F       float64
	Yes     bool      `json:"yes"`
	Level   textLevel `json:"level"`
	Left    int       `json:"-"`
	private int
}

type textLevel int

func (textLevel) MarshalText() ([]byte, error) { return []byte("l"), nil }

// TestTypes has a schema of all that JSON has of Go.
func TestTypes(t *testing.T) {
	types := openapi.NewTypes()
	types.Members["inner.n"], types.Members["inner.s"], types.Members["n"] = "A number.", "Not that.", "Nor that."
	openapi.Enum[colour](types, "red", "blue")
	if got := text(t, types.Of(outer{private: 1})); got != `{"$ref":"#/components/schemas/outer"}` {
		t.Error(got)
	}
	const want = `{` +
		`"inner":{"properties":{"n":{"description":"A number.","type":"integer"},"s":{"description":"Some text.","examples":["some"],"type":"string"}},"required":["n"],"type":"object"},` +
		`"outer":{"properties":{"F":{"type":"number"},"any":{},"bytes":{"contentEncoding":"base64","type":"string"},` +
		`"colour":{"enum":["red","blue"],"type":"string"},` +
		`"id":{"description":"What it is called.","type":"string"},` +
		`"inner":{"$ref":"#/components/schemas/inner","description":"Within."},"level":{"type":"string"},` +
		`"list":{"items":{"$ref":"#/components/schemas/outer"},"type":"array"},` +
		`"maybe":{"anyOf":[{"$ref":"#/components/schemas/inner"},{"type":"null"}]},` +
		`"of":{"additionalProperties":{"minimum":0,"type":"integer"},"type":"object"},"raw":{},` +
		`"seldom":{"$ref":"#/components/schemas/inner"},"when":{"format":"date-time","type":"string"},"yes":{"type":"boolean"}},` +
		`"required":["id","raw","any","inner","maybe","list","of","bytes","F","yes","level"],"type":"object"}}`
	if got := text(t, types.Schemas); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestTypesThatAreNone has types that JSON does not have, which is a defect of the program.
func TestTypesThatAreNone(t *testing.T) {
	for _, v := range []any{make(chan int), map[int]int{}, writes{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T has a schema", v)
				}
			}()
			openapi.NewTypes().Of(v)
		}()
	}
}

type writes struct{}

func (writes) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

func TestEmbed(t *testing.T) {
	for schema, want := range map[string]string{
		`true`: `{"s":true}`,
		`{"$schema": "https://json-schema.org/draft/2020-12/schema", "maximum": 1e3}`:                                        `{"s":{"maximum":1e3}}`,
		`{"$defs": {"a": {"$ref": "#"}}, "items": {"$ref": "#/$defs/a"}}`:                                                    `{"s":{"items":{"$ref":"#/components/schemas/s.DEF.a"}},"s.DEF.a":{"$ref":"#/components/schemas/s"}}`,
		`{"$defs": {"a b": {}, "a": {"items": {}}}, "items": {"$ref": "#/$defs/a%20b"}, "not": {"$ref": "#/$defs/a/items"}}`: `{"s":{"$defs":{"a b":{}},"items":{"$ref":"#/components/schemas/s/$defs/a%20b"},"not":{"$ref":"#/components/schemas/s.DEF.a/items"}},"s.DEF.a":{"items":{}}}`,
		`{"properties": {"$ref": {"anyOf": [{"$ref": "#/x"}]}}}`:                                                             `{"s":{"properties":{"$ref":{"anyOf":[{"$ref":"#/components/schemas/s/x"}]}}}}`,
		`{"const": {"$ref": "#/x"}, "enum": [{"$ref": "#"}]}`:                                                                `{"s":{"const":{"$ref":"#/x"},"enum":[{"$ref":"#"}]}}`,
		`{"$id": "a"}`: "", `{"$defs": {"a": {"$anchor": "a"}}}`: "", `{"not": {"$ref": "#a"}}`: "", `{"prefixItems": [{"$ref": "b#/c"}]}`: "", `{`: "",
	} {
		into := make(map[string]any)
		if ok := openapi.Embed(into, "s", json.RawMessage(schema)); ok != (want != "") || ok && text(t, into) != want {
			t.Errorf("%s: %s, %v; want %s", schema, text(t, into), ok, want)
		}
	}
}

// FuzzEmbed has schemas of anybody's: none panics, and what is taken refers to nothing outside.
func FuzzEmbed(f *testing.F) {
	f.Add([]byte(`{"$defs": {"a": {"$ref": "#"}}, "items": {"$ref": "#/$defs/a"}, "allOf": [true, {"not": {}}]}`))
	f.Add([]byte(`{"properties": {"$ref": 1}, "items": [1], "$ref": []}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		into := make(map[string]any)
		if !openapi.Embed(into, "s", schema) {
			return
		}
		if _, err := json.Marshal(into); err != nil {
			t.Fatal(err)
		}
		for name, v := range into {
			if name != "s" && !strings.HasPrefix(name, "s.DEF.") {
				t.Errorf("added %q", name)
			}
			if root, ok := v.(openapi.Schema); ok {
				if ref, ok := root["$ref"].(string); ok && !strings.HasPrefix(ref, openapi.Prefix+"s") {
					t.Errorf("%s refers to %s", name, ref)
				}
			}
		}
	})
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
