package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/schema"
)

// schemas are those of one transform, compiled; nil without.
type schemas struct{ input, output *schema.Schema }

// compileSchemas compiles the schemas of the transforms of a source's manifest, in its order.
func compileSchemas(s *Source, m *manifest.Manifest) (all []schemas, err error) {
	var errs []error
	file, wrong := companion.Parse(s.Name, s.Companion)
	compile := func(i int, field, mediaType string, doc json.RawMessage) *schema.Schema {
		if len(bytes.TrimSpace(doc)) == 0 {
			return nil
		}
		of, err := schema.Compile(doc)
		if err == nil {
			err = passable(mediaType, doc)
		}
		switch {
		case err == nil:
		case wrong == nil && i < len(file.Transforms):
			errs = append(errs, file.AtLine(file.Transforms[i].Line, "transforms[%d].%s: %v", i, field, err))
		default:
			errs = append(errs, fmt.Errorf("manifest: transforms[%d].%s: %w", i, field, err))
		}
		return of
	}
	all = make([]schemas, len(m.Transforms))
	for i := range m.Transforms {
		t := &m.Transforms[i]
		all[i] = schemas{compile(i, "input_schema", t.Input, t.InputSchema), compile(i, "output_schema", t.Output, t.OutputSchema)}
	}
	return all, errors.Join(errs...)
}

// passable returns an error for a schema that no payload of text or bytes passes, whose author takes it
// for JSON. A schema may be such in other ways, too, which are not looked for.
func passable(mediaType string, doc []byte) error {
	var s struct {
		Type     words    `json:"type"`
		Required []string `json:"required"`
	}
	form := map[string]string{manifest.MediaTypeText: "a string", manifest.MediaTypeBytes: `a string or {"base64": …}`}[mediaType]
	if json.Unmarshal(doc, &s) != nil {
		s.Type = nil // it compiles all the same, as one that is true does
	}
	if form == "" || s.Type == nil || slices.Contains(s.Type, "string") {
		return nil
	}
	others := slices.ContainsFunc(s.Required, func(member string) bool { return member != "base64" })
	if mediaType == manifest.MediaTypeBytes && slices.Contains(s.Type, "object") && !others {
		return nil
	}
	return fmt.Errorf("no payload of %s can pass it, since such a payload is %s in JSON: say that the transform's media type is %s", mediaType, form, manifest.MediaTypeJSON)
}

// words are a word, or a list of some.
type words []string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *words) UnmarshalJSON(doc []byte) error {
	var one string
	if json.Unmarshal(doc, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(doc, (*[]string)(w))
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
