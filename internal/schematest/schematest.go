// Package schematest holds JSON to JSON Schemas by a library of its own standing. It is for tests.
package schematest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Compile compiles a schema of 2020-12, or fails the test.
func Compile(tb testing.TB, schema []byte) *jsonschema.Schema {
	tb.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		tb.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", v); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Check returns what is wrong with a document by a schema; nil if that is nothing.
func Check(tb testing.TB, s *jsonschema.Schema, doc string) error {
	tb.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		tb.Fatal(err)
	}
	return s.Validate(v)
}
