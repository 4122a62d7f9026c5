// Package manifest reads the JSON document by which a plugin describes itself.
// It stands apart from package abi so that a plugin, which only carries its
// manifest, does not carry a JSON decoder with it.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// Bounds of a manifest, so that describing a plugin costs a host little.
const (
	// MaxBytes is the largest manifest, in bytes.
	MaxBytes = 256 << 10
	// MaxTransforms is the largest number of transforms of one plugin.
	MaxTransforms = 256
	// MaxSelfTests is the largest number of self-test cases of one plugin.
	MaxSelfTests = 256
	// MaxStateBytes is the largest state a transform may keep for one stream.
	MaxStateBytes = 1 << 20
	// MaxStateReads is how many formats of state a transform can take over.
	MaxStateReads = 64
	// MaxSchemaBytes is the longest JSON Schema of a transform.
	MaxSchemaBytes = 64 << 10
	// MaxSchemaDepth is how deep objects and arrays of a schema may be nested.
	MaxSchemaDepth = 64
	// MaxTimeout is the largest run timeout a transform may suggest.
	MaxTimeout = time.Hour
)

// Media types that are no plugin's own, of which each has a form in JSON.
const (
	MediaTypeJSON  = "application/json"         // a JSON value
	MediaTypeText  = "text/plain"               // a JSON string
	MediaTypeBytes = "application/octet-stream" // {"base64": "…"}
)

// Manifest is how a plugin describes itself. [Parse] reads and checks
// it; members that are unknown, or there twice, are errors.
type Manifest struct {
	// Name is the plugin's name: lower-case letters, digits, '_' and '-', 64
	// at most, a letter first.
	Name string `json:"name"`
	// Version is the plugin's own version: letters, digits, '.', '+', '-' and
	// '_', 64 at most.
	Version string `json:"version"`
	// Transforms are what the plugin does, at the indices by which [abi.ExportRun]
	// is called.
	Transforms []Transform `json:"transforms"`
	// SelfTests are run before the plugin serves.
	SelfTests []SelfTest `json:"self_tests,omitempty"`
}

// Transform describes one transform.
type Transform struct {
	// Name is the plugin's name, or begins with it and a dot: no two plugins
	// can claim one transform.
	Name string `json:"name"`
	// Input and Output are the media types of the payloads.
	Input  string `json:"input"`
	Output string `json:"output"`
	// InputSchema and OutputSchema are JSON Schemas of 2020-12 for what the payloads are in JSON; nil
	// without. References may lead to other parts of the schema alone. The host refuses tasks whose
	// JSON breaks InputSchema. It holds self-tests to both, and outputs of tasks to none.
	InputSchema  json.RawMessage `json:"input_schema,omitempty"`
	OutputSchema json.RawMessage `json:"output_schema,omitempty"`
	// StateBytes is the most the transform keeps for one stream between tasks;
	// 0 for a transform without state.
	StateBytes int `json:"state_bytes,omitempty"`
	// StateVersion numbers the format of the state, from 0, and StateReads are further
	// formats that the transform can take over: states that another version of the
	// plugin has left. One of any other format is not given to it.
	StateVersion int   `json:"state_version,omitempty"`
	StateReads   []int `json:"state_reads,omitempty"`
	// TimeoutMS is the run timeout in milliseconds that the transform suggests;
	// 0 suggests none.
	TimeoutMS int `json:"timeout_ms,omitempty"`
}

// Timeout is TimeoutMS as a duration.
func (t *Transform) Timeout() time.Duration {
	return time.Duration(t.TimeoutMS) * time.Millisecond
}

// IsJSON reports whether payloads of a media type are JSON themselves.
func IsJSON(mediaType string) bool {
	return mediaType == MediaTypeJSON || strings.HasSuffix(mediaType, "+json")
}

// Reads reports whether the transform takes over a state of that format.
func (t *Transform) Reads(format int) bool {
	return format == t.StateVersion || slices.Contains(t.StateReads, format)
}

// Content is bytes in a manifest: a JSON string stands for its own UTF-8 bytes,
// {"base64": "…"} for any.
type Content []byte

// UnmarshalJSON implements [json.Unmarshaler]. Members other than base64 are errors.
func (c *Content) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*c = Content(s)
		return nil
	}
	var v struct {
		Base64 []byte `json:"base64"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	*c = v.Base64
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (c Content) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Base64 []byte `json:"base64"`
	}{c})
}

var (
	pluginName    = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	transformName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,127}$`)
	version       = regexp.MustCompile(`^[0-9A-Za-z._+-]{1,64}$`)
	mediaType     = regexp.MustCompile(`^[a-z]+/[a-z0-9][a-z0-9.+-]{0,126}$`)
)

// CheckName checks the name of a plugin; the error is an [*abi.FieldError].
func CheckName(name string) error {
	if !pluginName.MatchString(name) {
		return &abi.FieldError{Field: "name", Rule: "must match " + pluginName.String()}
	}
	return nil
}

// Parse decodes a manifest and validates it. It joins all faults into
// one error.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("manifest: %d bytes, the limit is %d", len(b), MaxBytes)
	}
	m := new(Manifest)
	if err := strictjson.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", placed(err))
	}
	var errs []error
	for _, err := range m.faults() { // of which each has a line of its own
		errs = append(errs, fmt.Errorf("manifest: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range m.Transforms { // as null is in other members
		t := &m.Transforms[i]
		t.InputSchema, t.OutputSchema = present(t.InputSchema), present(t.OutputSchema)
	}
	return m, nil
}

// placed says of a member that stands where there is none of its name, if it is one elsewhere, where it belongs.
func placed(err error) error {
	f := strictjson.Unknown(err)
	if f == nil {
		return err
	}
	at := strings.LastIndex(f.Field, ".") + 1
	switch name := f.Field[at:]; {
	case at == 0 && has[Transform](name):
		f.Rule = "is a member of a transform: put it into one of transforms"
	case strings.HasPrefix(f.Field, "transforms[") && has[Manifest](name):
		f.Rule = "is no member of a transform: put it at the top of the manifest"
	}
	return err
}

// has reports whether a document has a member of that name.
func has[T any](name string) bool {
	for f := range reflect.TypeFor[T]().Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return true
		}
	}
	return false
}

func present(doc json.RawMessage) json.RawMessage {
	if string(doc) == "null" {
		return nil
	}
	return doc
}

// checkSchema returns what is wrong with the form of a schema, "" if nothing is. What it says is for
// the host to read.
func checkSchema(doc json.RawMessage) string {
	doc = bytes.TrimSpace(doc)
	if len(doc) == 0 || string(doc) == "null" {
		return ""
	}
	switch {
	case len(doc) > MaxSchemaBytes:
		return fmt.Sprintf("must have at most %d bytes, has %d", MaxSchemaBytes, len(doc))
	case doc[0] != '{' && string(doc) != "true" && string(doc) != "false" || !json.Valid(doc):
		return "must be a JSON Schema, an object"
	}
	depth, text := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > MaxSchemaDepth {
				return fmt.Sprintf("must not be nested deeper than %d", MaxSchemaDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return ""
}

// Validate checks every rule that the fields state and joins all faults; each
// is a [*abi.FieldError].
func (m *Manifest) Validate() error { return errors.Join(m.faults()...) }

func (m *Manifest) faults() (errs []error) {
	fault := func(rule string, field string, args ...any) {
		errs = append(errs, &abi.FieldError{Field: fmt.Sprintf(field, args...), Rule: rule})
	}
	if err := CheckName(m.Name); err != nil {
		errs = append(errs, err)
	}
	if !version.MatchString(m.Version) {
		fault("must match "+version.String(), "version")
	}
	if n := len(m.Transforms); n == 0 || n > MaxTransforms {
		fault(fmt.Sprintf("must have 1 to %d entries, has %d", MaxTransforms, n), "transforms")
	}
	if n := len(m.SelfTests); n > MaxSelfTests {
		fault(fmt.Sprintf("must have at most %d entries, has %d", MaxSelfTests, n), "self_tests")
	}
	seen := make(map[string]bool)
	for i, t := range m.Transforms {
		switch {
		case !transformName.MatchString(t.Name):
			fault("must match "+transformName.String(), "transforms[%d].name", i)
		case t.Name != m.Name && !strings.HasPrefix(t.Name, m.Name+"."):
			fault(fmt.Sprintf("must be %q or begin with %q", m.Name, m.Name+"."), "transforms[%d].name", i)
		case seen[t.Name]:
			fault(fmt.Sprintf("%q is there twice", t.Name), "transforms[%d].name", i)
		}
		seen[t.Name] = true
		if !mediaType.MatchString(t.Input) {
			fault("must be a media type without parameters", "transforms[%d].input", i)
		}
		if !mediaType.MatchString(t.Output) {
			fault("must be a media type without parameters", "transforms[%d].output", i)
		}
		if rule := checkSchema(t.InputSchema); rule != "" {
			fault(rule, "transforms[%d].input_schema", i)
		}
		if rule := checkSchema(t.OutputSchema); rule != "" {
			fault(rule, "transforms[%d].output_schema", i)
		}
		if t.StateBytes < 0 || t.StateBytes > MaxStateBytes {
			fault(fmt.Sprintf("must be between 0 and %d", MaxStateBytes), "transforms[%d].state_bytes", i)
		}
		if t.StateVersion < 0 || t.StateVersion > math.MaxInt32 { // as stores keep it
			fault("must be between 0 and 2147483647", "transforms[%d].state_version", i)
		}
		if len(t.StateReads) > MaxStateReads {
			fault(fmt.Sprintf("must have at most %d entries, has %d", MaxStateReads, len(t.StateReads)), "transforms[%d].state_reads", i)
		}
		if t.TimeoutMS < 0 || int64(t.TimeoutMS) > MaxTimeout.Milliseconds() {
			fault(fmt.Sprintf("must be between 0 and %d", MaxTimeout.Milliseconds()), "transforms[%d].timeout_ms", i)
		}
	}
	for i, c := range m.SelfTests {
		if !seen[c.Transform] {
			fault(fmt.Sprintf("no transform is called %q", c.Transform), "self_tests[%d].transform", i)
		}
		if e := m.SelfTests[i].settle(); e != nil {
			fault(e.Rule, "self_tests[%d].%s", i, e.Field)
		}
	}
	return errs
}
