// Package schema holds JSON documents to JSON Schemas of 2020-12. A library reads schemas and
// resolves their references; the walk over a document is this package's own, because either may be
// anybody's: it ends with the first fault, and after a bounded number of steps.
package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// dialect is the one that schemas may name.
	dialect = "https://json-schema.org/draft/2020-12/schema"
	// base is the address of a schema that has none.
	base = home + "schema"
	home = "https://plugin.invalid/"
	// maxInPlace is how many schemas, one within or by reference of the other, may apply to one value.
	maxInPlace = 64
	// maxPattern is the longest regular expression, and maxProgram how many instructions it may become.
	maxPattern, maxProgram = 1 << 10, 1 << 12
)

// Schema is a schema that was compiled. It may be used concurrently.
type Schema struct {
	root *node
}

// node is a schema or a part of one, with what its checks need beside it.
type node struct {
	*jsonschema.Schema

	types    []string        // nil for any
	enum     map[string]bool // canonical values; nil without
	longest  int             // of enum's and constant's values, in bytes
	constant *string         // canonical
	patterns []patterned     // by their expressions, so that the same fault is found each time
	one      map[*jsonschema.Schema]*node
}

// patterned is the schema of members whose names match.
type patterned struct {
	re     jsonschema.Regexp
	schema *jsonschema.Schema
}

// Compile compiles a schema. Bounds of its size are the caller's.
func Compile(doc []byte) (*Schema, error) {
	v, err := parse(doc)
	if err != nil {
		return nil, err
	}
	v = plain(v)
	if err := refuse(v); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nothing{})
	c.UseRegexpEngine(pattern)
	if err := c.AddResource(base, v); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(base)
	if err != nil {
		return nil, reason(err)
	}
	l := linker{make(map[*jsonschema.Schema]*node), make(map[*jsonschema.Schema]int)}
	root, err := l.node(compiled)
	if err != nil {
		return nil, err
	}
	return &Schema{root}, nil
}

// nothing is the loader of schemas that lie elsewhere.
type nothing struct{}

// Load implements [jsonschema.URLLoader].
func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("refers to %.100q, and nothing is fetched: put what it refers to under $defs", strings.TrimPrefix(url, home))
}

// reason is the error of the library's as an author wants it: of the part that is at fault, and not of
// all that it lies in.
func reason(err error) error {
	if e := (*jsonschema.LoadURLError)(nil); errors.As(err, &e) {
		return e.Err
	}
	if e := (*jsonschema.SchemaValidationError)(nil); errors.As(err, &e) {
		if of := (*jsonschema.ValidationError)(nil); errors.As(e.Err, &of) {
			err = deepest(of)
		}
	}
	return fmt.Errorf("is no valid JSON Schema: %.500s", strings.ReplaceAll(err.Error(), base, ""))
}

// deepest returns the cause that is of the innermost value.
func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return e
	}
	best := deepest(e.Causes[0])
	for _, cause := range e.Causes[1:] {
		if d := deepest(cause); len(d.InstanceLocation) > len(best.InstanceLocation) {
			best = d
		}
	}
	return best
}

// refuse returns an error for what this package does not do, wherever it is in a schema.
func refuse(v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"$dynamicRef", "$recursiveRef", "$vocabulary"} {
			if _, ok := v[key].(string); ok {
				return fmt.Errorf("has %s, which is not supported: use $ref", key)
			}
		}
		if s, ok := v["$schema"].(string); ok && strings.TrimSuffix(s, "#") != dialect {
			return fmt.Errorf("$schema must be %q, is %.100q", dialect, s)
		}
		for _, child := range v {
			if err := refuse(child); err != nil {
				return err
			}
		}
	case []any:
		for _, child := range v {
			if err := refuse(child); err != nil {
				return err
			}
		}
	}
	return nil
}

// expression is a regular expression, and how many instructions it is.
type expression struct {
	*regexp.Regexp

	size int
}

// pattern compiles a regular expression, whose matching takes time linear in text and program.
func pattern(s string) (jsonschema.Regexp, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes, the limit is %d", len(s), maxPattern)
	}
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if n := len(program.Inst); n > maxProgram {
		return nil, fmt.Errorf("the pattern %.40q becomes %d instructions, the limit is %d", s, n, maxProgram)
	}
	re, err := regexp.Compile(s)
	return expression{re, len(program.Inst)}, err
}

// linker makes nodes of what the library compiled.
type linker struct {
	nodes map[*jsonschema.Schema]*node
	ways  map[*jsonschema.Schema]int // the longest through schemas that apply to one value; 0 while it is looked for
}

func (l *linker) node(s *jsonschema.Schema) (n *node, err error) {
	if n := l.nodes[s]; n != nil {
		return n, nil
	}
	n = &node{Schema: s, one: make(map[*jsonschema.Schema]*node)}
	l.nodes[s] = n
	if s.Types != nil {
		n.types = s.Types.ToStrings()
	}
	if s.Enum != nil {
		n.enum = make(map[string]bool)
		for _, v := range s.Enum.Values {
			key := string(canonical(nil, v))
			n.enum[key] = true
			n.longest = max(n.longest, len(key))
		}
	}
	if s.Const != nil {
		key := string(canonical(nil, *s.Const))
		n.constant, n.longest = &key, max(n.longest, len(key))
	}
	for re, child := range s.PatternProperties {
		n.patterns = append(n.patterns, patterned{re, child})
	}
	slices.SortFunc(n.patterns, func(a, b patterned) int { return strings.Compare(a.re.String(), b.re.String()) })
	if s.Dependencies != nil {
		return nil, errors.New("has dependencies, which 2020-12 has not: use dependentRequired and dependentSchemas")
	}
	for _, child := range append(inPlace(s), within(s)...) {
		if n.one[child], err = l.node(child); err != nil {
			return nil, err
		}
	}
	_, err = l.way(s)
	return n, err
}

// way returns the longest way from a schema through those that apply to the same value.
func (l *linker) way(s *jsonschema.Schema) (longest int, err error) {
	if known, begun := l.ways[s]; begun {
		if known == 0 {
			return 0, fmt.Errorf("refers to itself at #%s, for the same value", place(s))
		}
		return known, nil
	}
	l.ways[s] = 0
	for _, child := range inPlace(s) {
		n, err := l.way(child)
		if err != nil {
			return 0, err
		}
		longest = max(longest, n)
	}
	if longest == maxInPlace {
		return 0, fmt.Errorf("has more than %d schemas, one within or by reference of the other, for one value, at #%s", maxInPlace, place(s))
	}
	l.ways[s] = longest + 1
	return longest + 1, nil
}

// place is where a schema is, as a JSON pointer.
func place(s *jsonschema.Schema) string {
	_, pointer, _ := strings.Cut(s.Location, "#")
	return pointer
}

// inPlace are the schemas that apply to the value that s applies to.
func inPlace(s *jsonschema.Schema) (all []*jsonschema.Schema) {
	for _, child := range append([]*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else}, append(append(append(all, s.AllOf...), s.AnyOf...), s.OneOf...)...) {
		if child != nil {
			all = append(all, child)
		}
	}
	for _, child := range s.DependentSchemas {
		all = append(all, child)
	}
	return all
}

// within are the schemas that apply to parts of the value that s applies to.
func within(s *jsonschema.Schema) (all []*jsonschema.Schema) {
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for _, child := range append([]*jsonschema.Schema{additional, s.PropertyNames, s.UnevaluatedProperties, s.UnevaluatedItems, s.Contains, s.Items2020}, s.PrefixItems...) {
		if child != nil {
			all = append(all, child)
		}
	}
	for _, child := range s.Properties {
		all = append(all, child)
	}
	for _, child := range s.PatternProperties {
		all = append(all, child)
	}
	return all
}
