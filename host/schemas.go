package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/schema"
)

// schemas are those of one transform, compiled; nil without.
type schemas struct{ input, output *schema.Schema }

// ofPayload returns the schema of inputs that are JSON themselves; nil if they are not.
func (s *spec) ofPayload() *schema.Schema {
	if !manifest.IsJSON(s.Input) {
		return nil
	}
	return s.schemas.input
}

// compileSchemas compiles the schemas of a manifest's transforms, in its order.
func compileSchemas(m *manifest.Manifest) (all []schemas, err error) {
	var errs []error
	compile := func(i int, field string, doc json.RawMessage) *schema.Schema {
		if len(bytes.TrimSpace(doc)) == 0 {
			return nil
		}
		s, err := schema.Compile(doc)
		if err != nil {
			errs = append(errs, fmt.Errorf("manifest: transforms[%d].%s: %w", i, field, err))
		}
		return s
	}
	all = make([]schemas, len(m.Transforms))
	for i := range m.Transforms {
		t := &m.Transforms[i]
		all[i] = schemas{compile(i, "input_schema", t.InputSchema), compile(i, "output_schema", t.OutputSchema)}
	}
	return all, errors.Join(errs...)
}

// holdTests holds the manifest's self-tests to the schemas, where their contents are JSON: what is
// invalid for the host must not be what the plugin is tested by.
func holdTests(ctx context.Context, m *manifest.Manifest, of []schemas) error {
	for i, test := range m.SelfTests {
		if test.Status != abi.StatusOK {
			continue
		}
		for at := range m.Transforms {
			t := &m.Transforms[at]
			if t.Name != test.Transform {
				continue
			}
			for _, c := range []struct {
				what, mediaType string
				schema          *schema.Schema
				doc             []byte
			}{{"input", t.Input, of[at].input, test.Input}, {"output", t.Output, of[at].output, test.Output}} {
				if c.schema == nil || !manifest.IsJSON(c.mediaType) {
					continue
				}
				if err := c.schema.Check(ctx, c.doc); err != nil {
					return fmt.Errorf("self-test %d %q of %s: its %s breaks %[4]s_schema: %[5]w", i, test.Name, t.Name, c.what, err)
				}
			}
		}
	}
	return nil
}
