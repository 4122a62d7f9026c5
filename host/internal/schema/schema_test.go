package schema_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/schema"
)

// check returns what is wrong with a document, "" if nothing is.
func check(tb testing.TB, of, doc string) string {
	tb.Helper()
	s, err := schema.Compile([]byte(of))
	if err != nil {
		tb.Fatalf("%s: %v", of, err)
	}
	if err := s.Check(tb.Context(), []byte(doc)); err != nil {
		if !errors.As(err, new(*abi.FieldError)) {
			tb.Errorf("%s: %s: a %T", of, doc, err)
		}
		return err.Error()
	}
	return ""
}

// cases are documents with what is wrong with them.
var cases = []struct{ schema, doc, want string }{
	{`true`, `{"a": 1}`, ""},
	{`false`, `1`, "document: must not be there"},
	{`{}`, ``, "document: is cut off"},
	{`{}`, `{"a":`, "document: is cut off"},
	{`{}`, `nought`, "document: is not valid JSON, near byte 0"},
	{`{}`, `1 2`, "document: something follows the JSON value"},
	{`{}`, `{"a": 1, "a": 2}`, `document: the member "a" is there twice, near byte 12`},
	{`{}`, `[1e401]`, "document: the number 1e401… has more than 400 digits"},
	{`{"type": "object"}`, `[1]`, "document: must be object, is an array"},
	{`{"type": ["string", "null"]}`, `7`, "document: must be null or string, is 7"},
	{`{"type": ["string", "null"]}`, `null`, ""},
	{`{"type": "integer"}`, `1.0`, ""},
	{`{"type": "integer"}`, `1e2`, ""},
	{`{"type": "integer"}`, `1.5`, "document: must be integer, is 1.5"},
	{`{"type": "number"}`, `true`, "document: must be number, is true"},
	{`{"const": {"a": [1, "x"]}}`, `{"a": [1.0, "x"]}`, ""},
	{`{"const": "x"}`, `"y"`, `document: must be "x", is the string "y"`},
	{`{"enum": [1, "a", null, true]}`, `null`, ""},
	{`{"enum": [1, "a", null, true]}`, `false`, `document: must be one of 1, "a", null, true, is false`},
	{`{"enum": [1,2,3,4,5,6,7,8,9,10]}`, `11`, "document: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 2 more, is 11"},
	{`{"required": ["a", "b"]}`, `{"a": 1}`, "/b: is missing"},
	{`{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, "/b: is missing beside a"},
	{`{"dependentSchemas": {"a": {"maxProperties": 1}}}`, `{"a": 1, "b": 1}`, "document: must have at most 1 members, has 2"},
	{`{"minProperties": 2}`, `{"a": 1}`, "document: must have at least 2 members, has 1"},
	{`{"properties": {"a/b~c": {"items": {"minimum": 3}}}}`, `{"a/b~c": [3, 2]}`, "/a~1b~0c/1: must be at least 3, is 2"},
	{`{"properties": {"a": true}, "additionalProperties": false}`, `{"b": 1}`, "/b: is not a known member; there is only a"},
	{`{"additionalProperties": {"type": "string"}}`, `{"b": 1}`, "/b: must be string, is 1"},
	{`{"patternProperties": {"^x": {"type": "string"}}}`, `{"y": 1, "xy": 1}`, "/xy: must be string, is 1"},
	{`{"patternProperties": {"x": {"type": "string"}, "y": {"minimum": 2}, "^x": {"maximum": 0}, "y$": {"type": "null"}}}`, `{"xy": 1}`, "/xy: must be at most 0, is 1"},
	{`{"enum": [0, -0.50, 1200]}`, `[]`, "document: must be one of 0, -0.50, 1200, is an array"},
	{`{"items": {"enum": [0, -0.50, 1200]}}`, `[-0, 0.00e9, -5e-1, -50E-2, 1.2e+3, 12e2]`, ""},
	{`{"items": {"enum": [0, -0.50, 1200]}}`, `[0.5]`, "/0: must be one of 0, -0.50, 1200, is 0.5"},
	{`{"uniqueItems": true}`, `[1, 10, 0.1, -1, 1e-400, 1e400]`, ""},
	{`{"uniqueItems": true}`, `[5e-390, 0.05e-388]`, "document: must have no item twice, has 0 and 1 the same"},
	{`{"items": {"type": "integer"}}`, `[0.0, -1.50e1, 100e-2, 1.5e400]`, ""},
	{`{"items": {"type": "integer"}}`, `[100e-3]`, "/0: must be integer, is 100e-3"},
	{`{"propertyNames": {"maxLength": 2}}`, `{"abc": 1}`, `document: has a member "abc", whose name must have at most 2 characters, has 3`},
	{`{"prefixItems": [{"type": "string"}], "items": {"type": "number"}}`, `["a", 1, "b"]`, `/2: must be number, is the string "b"`},
	{`{"minItems": 2, "maxItems": 3}`, `[1]`, "document: must have at least 2 items, has 1"},
	{`{"minItems": 2, "maxItems": 3}`, `[1,2,3,4]`, "document: must have at most 3 items, has 4"},
	{`{"uniqueItems": true}`, `[{"a": 1, "b": 2}, 3, {"b": 2.0, "a": 1}]`, "document: must have no item twice, has 0 and 2 the same"},
	{`{"uniqueItems": true}`, `["1", 1]`, ""},
	{`{"contains": {"type": "string"}}`, `[1, 2]`, "document: must have at least 1 items of a certain form, has 0"},
	{`{"contains": {"type": "string"}, "minContains": 0, "maxContains": 1}`, `["a", "b"]`, "document: must have at most 1 items of a certain form, has 2"},
	{`{"minLength": 2, "maxLength": 3}`, `"ä"`, "document: must have at least 2 characters, has 1"},
	{`{"minLength": 2, "maxLength": 3}`, `"äöüß"`, "document: must have at most 3 characters, has 4"},
	{`{"pattern": "^a+$"}`, `"ab"`, `document: must match ^a+$, is the string "ab"`},
	{`{"maximum": 18446744073709551615}`, `18446744073709551616`, "document: must be at most 18446744073709551615, is 18446744073709551616"},
	{`{"exclusiveMinimum": 0}`, `0`, "document: must be above 0, is 0"},
	{`{"exclusiveMaximum": 1e9}`, `1e9`, "document: must be below 1000000000, is 1e9"},
	{`{"multipleOf": 0.1}`, `0.3`, ""},
	{`{"multipleOf": 0.1}`, `0.35`, "document: must be a multiple of 0.1, is 0.35"},
	{`{"allOf": [{"type": "string"}, {"minLength": 2}]}`, `"a"`, "document: must have at least 2 characters, has 1"},
	{`{"anyOf": [{"type": "string"}, {"minimum": 2}]}`, `1`, "document: must match one of 2 alternatives"},
	{`{"anyOf": [{"type": "string"}, {"properties": {"a": {"type": "string"}}, "type": "object"}]}`, `{"a": 1}`, "/a: must be string, is 1"},
	{`{"oneOf": [{"minimum": 1}, {"minimum": 2}]}`, `3`, "document: must match one of 2 alternatives alone, matches 2"},
	{`{"oneOf": [{"minimum": 1}, {"minimum": 2}]}`, `1`, ""},
	{`{"not": {"type": "string"}}`, `"a"`, "document: must not be of a certain form"},
	{`{"if": {"properties": {"k": {"const": 1}}}, "then": {"required": ["a"]}, "else": {"required": ["b"]}}`, `{"k": 1}`, "/a: is missing"},
	{`{"if": {"properties": {"k": {"const": 1}}}, "then": {"required": ["a"]}, "else": {"required": ["b"]}}`, `{"k": 2}`, "/b: is missing"},
	{`{"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}, "v": {"type": "number"}}}}}`, `{"next": {"next": {"v": "x"}}}`, `/next/next/v: must be number, is the string "x"`},
	{`{"$ref": "#n", "$defs": {"n": {"$anchor": "n", "type": "number"}}}`, `"x"`, `document: must be number, is the string "x"`},
	{`{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}`, `{"a": 1, "b": 2}`, "/b: must not be there"},
	{`{"prefixItems": [true], "contains": {"type": "string"}, "unevaluatedItems": false}`, `[1, "a", 2]`, "/2: must not be there"},
	{`{"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/s", "type": "null"}`, `null`, ""},
	{`{"format": "email", "contentEncoding": "base64"}`, `"no address"`, ""}, // annotations
}

func TestCheck(t *testing.T) {
	for _, c := range cases {
		if got := check(t, c.schema, c.doc); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.doc, c.schema, got, c.want)
		}
	}
	if got := check(t, `{}`, strings.Repeat("[", 257)); got != "document: values nest deeper than 256, at byte 257" {
		t.Errorf("a deep document: %q", got)
	}
	if got := check(t, `{}`, strings.Repeat("[", 256)+strings.Repeat("]", 256)); got != "" {
		t.Errorf("a document of 256 levels: %q", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/a0", "$defs": {`)
	for i := range 70 {
		fmt.Fprintf(&b, `"a%d": {"$ref": "#/$defs/a%d"}, `, i, i+1)
	}
	chain := b.String()
	for doc, want := range map[string]string{
		`{"properties": {"a": {"type": 7}}}`: "is no valid JSON Schema: at '/properties/a/type'",
		``:                                   "is cut off",
		`7`:                                  "is no valid JSON Schema",
		`{"type": "strin"}`:                  "is no valid JSON Schema",
		`{"minLength": -1}`:                  "is no valid JSON Schema",
		`{"pattern": "("}`:                   "is no valid JSON Schema",
		`{"pattern": "(?=a)"}`:               "is no valid JSON Schema",
		`{"pattern": "((a{900}){900})"}`:     "is no valid JSON Schema",
		`{"pattern": "(abcdefghijkl){900}"}`: "instructions, the limit is 4096",
		`{"$ref": "#/$defs/none"}`:           "is no valid JSON Schema",
		`{"$ref": "https://example.com/x"}`:  `refers to "https://example.com/x", and nothing is fetched: put what it refers to under $defs`,
		`{"$ref": "file:///etc/passwd"}`:     `refers to "file:///etc/passwd", and nothing is fetched`,
		`{"$ref": "other.json"}`:             `and nothing is fetched`,
		`{"$schema": "http://json-schema.org/draft-07/schema#"}`: `$schema must be "https://json-schema.org/draft/2020-12/schema", is "http://json-schema.org/draft-07/schema#"`,
		`{"$dynamicRef": "#a"}`:                                  "has $dynamicRef, which is not supported: use $ref",
		`{"$ref": "#"}`:                                          "refers to itself at #, for the same value",
		`{"allOf": [{"anyOf": [{"$ref": "#/allOf/0"}]}]}`:        "refers to itself at #/allOf/0",
		chain + `"a70": true}}`:                                  "has more than 64 schemas, one within or by reference of the other, for one value",
		`{"minimum": 1e999999}`:                                  "has more than 400 digits",
		`{"dependencies": {"a": ["b"]}}`:                         "has dependencies, which 2020-12 has not",
	} {
		began := time.Now()
		if _, err := schema.Compile([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "plugin.invalid") {
			t.Errorf("%.80s: err %v, want %s", doc, err, want)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%.80s took %v", doc, took)
		}
	}
}

// exponential tries 2^30 ways for any value but true, and more for one that nests.
func exponential() string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/a0", "$defs": {`)
	for i := range 30 {
		fmt.Fprintf(&b, `"a%d": {"anyOf": [{"$ref": "#/$defs/a%d"}, {"$ref": "#/$defs/a%d"}]}, `, i, i+1, i+1)
	}
	b.WriteString(`"a30": {"const": true}}}`)
	return b.String()
}

// TestEnds has schemas and documents end that would take for ever.
func TestEnds(t *testing.T) {
	wide := "[" + strings.Repeat(`1,`, 99_999) + "1]"
	for name, c := range map[string]struct{ schema, doc string }{
		"ways":      {exponential(), "1"},
		"recursion": {`{"items": {"$ref": "#"}, "anyOf": [{"items": {"$ref": "#"}}, true], "oneOf": [{"items": {"$ref": "#"}}]}`, strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100)},
		"numbers":   {`{"items": {"allOf": [` + strings.Repeat(`{"minimum": -1},`, 5) + `true]}}`, "[" + strings.Repeat("1e-400,", 9_999) + "1]"},
		"patterns":  {`{"items": {"pattern": "(a?){200}(b|c|d|e|f){200}"}}`, `["` + strings.Repeat("a", 1_000_000) + `"]`},
		"equal":     {`{"allOf": [` + strings.Repeat(`{"uniqueItems": true},`, 1000) + `true]}`, strings.NewReplacer("1,", "[[1]],").Replace(wide)},
	} {
		if got := check(t, c.schema, c.doc); name != "equal" && got != "document: takes too long to check: the plugin's schema tries too many ways for a document of this size" {
			t.Errorf("%s: %q", name, got)
		}
	}
	s, err := schema.Compile([]byte(`{"items": {"type": "number"}}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if err := s.Check(ctx, []byte(wide)); !errors.Is(err, cause) {
		t.Errorf("a context that has ended: %v", err)
	}
	if err := s.Check(t.Context(), []byte(wide)); err != nil {
		t.Errorf("a long document: %v", err)
	}
}

// TestNumbersTakeNoMore has a number with an exponent take no more memory than its length has others take.
func TestNumbersTakeNoMore(t *testing.T) {
	const most = 10_000
	list := func(format string) []byte {
		var b strings.Builder
		b.WriteString("[0")
		for i := range most {
			fmt.Fprintf(&b, format, i)
		}
		return []byte(b.String() + "]")
	}
	for _, of := range []string{`{"uniqueItems": true}`, `{"items": {"type": "integer"}}`, `{"items": {"enum": [0, 1]}}`} {
		s, err := schema.Compile([]byte(of))
		if err != nil {
			t.Fatal(err)
		}
		takes := func(doc []byte) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = s.Check(t.Context(), doc)
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		short, long := takes(list(",1%06d390")), takes(list(",1.%06de390"))
		if long > 2*short {
			t.Errorf("%s: %d bytes are allocated for numbers with exponents, %d for others", of, long, short)
		}
		if short, long = takes(list(",1%06d1390")), takes(list(",1%06de-390")); of != `{"items": {"type": "integer"}}` && long > 2*short {
			t.Errorf("%s: %d bytes are allocated for small numbers, %d for others", of, long, short)
		}
	}
}

// theirs is what the library says of a document.
func theirs(of, doc string) (valid bool, err error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(of))
	if err != nil {
		return false, err
	}
	if err := c.AddResource("https://plugin.invalid/schema", v); err != nil {
		return false, err
	}
	s, err := c.Compile("https://plugin.invalid/schema")
	if err != nil {
		return false, err
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		return false, err
	}
	return s.Validate(instance) == nil, nil
}

// FuzzCheck has this package and the library agree on which documents are valid.
func FuzzCheck(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.schema), []byte(c.doc))
		for _, o := range cases[len(cases)-12:] {
			f.Add([]byte(c.schema), []byte(o.doc))
		}
	}
	f.Fuzz(func(t *testing.T, of, doc []byte) {
		if len(of) > 1<<10 || len(doc) > 1<<10 {
			return
		}
		s, err := schema.Compile(of)
		if err != nil {
			return
		}
		err = s.Check(t.Context(), doc)
		if err != nil && strings.HasPrefix(err.Error(), "document: takes too long") {
			return
		}
		valid, wrong := theirs(string(of), string(doc))
		switch {
		case wrong != nil:
			if err == nil {
				t.Errorf("%s of %s is valid, and for the library: %v", doc, of, wrong)
			}
		case valid && err != nil && !strings.Contains(err.Error(), " twice") && !strings.Contains(err.Error(), "nest deeper") && !strings.Contains(err.Error(), "digits"),
			!valid && err == nil:
			t.Errorf("%s of %s: %v; for the library it is valid: %v", doc, of, err, valid)
		}
	})
}
