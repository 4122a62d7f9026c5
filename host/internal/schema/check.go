package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/spell"
)

const (
	// minSteps is how many steps the check of a document may take, and stepsPerByte how many more for
	// each of its bytes. A step is some 50 ns.
	minSteps, stepsPerByte = 200_000, 8
	// glance is after how many steps the context is looked at.
	glance = 1 << 14
	// bytesPerStep is how many bytes of comparing are one step.
	bytesPerStep = 16
	// digitsPerStep is how many decimal digits of a fraction's integers are one step.
	digitsPerStep = 4
)

// document is the whole, as the field of a fault.
const document = "document"

// Check holds a JSON document to the schema. Its error is an [*abi.FieldError] whose field is the
// JSON pointer of the first value at fault, or "document" if that is the whole; or the context's cause.
func (s *Schema) Check(ctx context.Context, doc []byte) error {
	v, err := parse(doc)
	if err != nil {
		return &abi.FieldError{Field: document, Rule: err.Error()}
	}
	c := &check{ctx: ctx, left: minSteps + stepsPerByte*len(doc)}
	c.next = c.left - glance
	f := c.apply(s.root, v, nil)
	switch {
	case c.stopped != nil:
		return c.stopped
	case f == nil:
		return nil
	}
	return &abi.FieldError{Field: f.at, Rule: f.rule}
}

// fault is what is wrong with a value.
type fault struct {
	at, rule string
	depth    int
}

// check is a document that is being checked.
type check struct {
	ctx        context.Context //nolint:containedctx // of one call
	path       []string        // of the value
	left, next int             // steps, and at how many the context is looked at again
	stopped    error
}

var errSteps = errors.New("takes too long to check: the plugin's schema tries too many ways for a document of this size")

// spend takes steps, and reports whether the check must end.
func (c *check) spend(steps int) (over bool) {
	if c.stopped != nil {
		return true
	}
	switch c.left -= steps; {
	case c.left < 0:
		c.stopped = &abi.FieldError{Field: document, Rule: errSteps.Error()}
	case c.left < c.next:
		c.next = c.left - glance
		if c.ctx.Err() != nil {
			c.stopped = context.Cause(c.ctx)
		}
	}
	return c.stopped != nil
}

// fault makes an error of the value.
func (c *check) fault(format string, args ...any) *fault {
	var b strings.Builder
	for _, name := range c.path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(shown(name)))
	}
	if b.Len() == 0 {
		b.WriteString(document)
	}
	return &fault{b.String(), fmt.Sprintf(format, args...), len(c.path)}
}

// shown is a name of the document's as a fault has it.
func shown(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// evaluated is which parts of a value a schema that held has looked at.
type evaluated struct {
	names      map[string]bool
	items      int
	particular map[int]bool
	all        bool
}

func (e *evaluated) add(o *evaluated) {
	e.all, e.items = e.all || o.all, max(e.items, o.items)
	for name := range o.names {
		e.name(name)
	}
	for i := range o.particular {
		e.item(i)
	}
}

func (e *evaluated) name(name string) {
	if e.names == nil {
		e.names = make(map[string]bool)
	}
	e.names[name] = true
}

func (e *evaluated) item(i int) {
	if e.particular == nil {
		e.particular = make(map[int]bool)
	}
	e.particular[i] = true
}

// apply holds a value to a schema. seen takes what it looked at, unless that is nil.
func (c *check) apply(n *node, v any, seen *evaluated) *fault {
	if c.spend(1) {
		return nil
	}
	if n.Bool != nil {
		if !*n.Bool {
			return c.fault("must not be there")
		}
		return nil
	}
	if f := c.plain(n, v); f != nil {
		return f
	}
	mine := seen
	if n.UnevaluatedProperties != nil || n.UnevaluatedItems != nil {
		mine = new(evaluated)
	}
	var f *fault
	switch v := v.(type) {
	case *object:
		f = c.object(n, v, mine)
	case []any:
		f = c.array(n, v, mine)
	case string:
		f = c.text(n, v)
	case json.Number:
		f = c.number(n, v)
	}
	if f == nil {
		f = c.combined(n, v, mine)
	}
	if f == nil && mine != nil {
		f = c.unevaluated(n, v, mine)
	}
	if f == nil && seen != nil && mine != seen {
		seen.add(mine)
	}
	return f
}

// at applies a schema to a part of the value.
func (c *check) at(n *node, name string, v any) *fault {
	c.path = append(c.path, name)
	f := c.apply(n, v, nil)
	c.path = c.path[:len(c.path)-1]
	return f
}

// plain checks type, constant and enumeration.
func (c *check) plain(n *node, v any) *fault {
	if len(n.types) > 0 {
		t := typeOf(v)
		num, isNumber := v.(json.Number)
		if !slices.Contains(n.types, t) && (!isNumber || !slices.Contains(n.types, "integer") || !whole(num)) {
			return c.fault("must be %s, is %s", alternatives(n.types), brief(v))
		}
	}
	if n.constant == nil && n.enum == nil {
		return nil
	}
	key := ""
	if sizeOf(v, n.longest, shortest) <= n.longest+2 {
		if c.spend(sizeOf(v, math.MaxInt32, length) / bytesPerStep) {
			return nil
		}
		key = string(canonical(nil, v))
	}
	if n.constant != nil && key != *n.constant {
		return c.fault("must be %s, is %s", written(*n.Const), brief(v))
	}
	if n.enum != nil && !n.enum[key] {
		return c.fault("must be one of %s, is %s", values(n), brief(v))
	}
	return nil
}

// values are some of an enumeration's.
func values(n *node) string {
	const most = 8
	var names []string
	for _, v := range n.Enum.Values[:min(most, len(n.Enum.Values))] {
		names = append(names, written(v))
	}
	if more := len(n.Enum.Values) - len(names); more > 0 {
		names = append(names, fmt.Sprint(more, " more"))
	}
	return strings.Join(names, ", ")
}

// written is a value of a schema's as a fault has it.
func written(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "a certain value"
	}
	return shown(string(b))
}

func alternatives(types []string) string { return strings.Join(types, " or ") }

// brief is a value as a fault has it.
func brief(v any) string {
	switch v := v.(type) {
	case *object:
		return "an object"
	case []any:
		return "an array"
	case string:
		return "the string " + strconv.Quote(shown(v))
	case json.Number:
		return shown(string(v))
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func (c *check) object(n *node, o *object, seen *evaluated) *fault {
	if n.MinProperties != nil && len(o.names) < *n.MinProperties {
		return c.fault("must have at least %d members, has %d", *n.MinProperties, len(o.names))
	}
	if n.MaxProperties != nil && len(o.names) > *n.MaxProperties {
		return c.fault("must have at most %d members, has %d", *n.MaxProperties, len(o.names))
	}
	if f := c.required(o, n.Required, ""); f != nil {
		return f
	}
	for _, name := range sorted(n.DependentRequired) {
		if _, ok := o.values[name]; ok {
			if f := c.required(o, n.DependentRequired[name], name); f != nil {
				return f
			}
		}
	}
	for _, name := range o.names {
		if f := c.member(n, name, o.values[name], seen); f != nil {
			return f
		}
	}
	for _, name := range sorted(n.DependentSchemas) {
		if _, ok := o.values[name]; ok {
			if f := c.inPlace(n, n.DependentSchemas[name], o, seen); f != nil {
				return f
			}
		}
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *check) required(o *object, names []string, beside string) *fault {
	if c.spend(len(names)) {
		return nil
	}
	for _, name := range names {
		if _, ok := o.values[name]; ok {
			continue
		}
		c.path = append(c.path, name)
		f := c.fault("is missing")
		c.path = c.path[:len(c.path)-1]
		if beside != "" {
			f.rule += " beside " + shown(beside)
		}
		return f
	}
	return nil
}

func (c *check) member(n *node, name string, v any, seen *evaluated) *fault {
	if c.spend(1 + len(n.PatternProperties)) {
		return nil
	}
	known := false
	if child := n.Properties[name]; child != nil {
		known = true
		if f := c.at(n.one[child], name, v); f != nil {
			return f
		}
	}
	for _, p := range n.patterns {
		if c.matches(p.re, name) {
			known = true
			if f := c.at(n.one[p.schema], name, v); f != nil {
				return f
			}
		}
	}
	if !known && n.AdditionalProperties != nil {
		known = true
		if child, ok := n.AdditionalProperties.(*jsonschema.Schema); ok {
			if f := c.at(n.one[child], name, v); f != nil {
				return f
			}
		} else if n.AdditionalProperties == false {
			c.path = append(c.path, name)
			f := c.fault("is not a known member%s", members(n))
			c.path = c.path[:len(c.path)-1]
			return f
		}
	}
	if known && seen != nil {
		seen.name(name)
	}
	if n.PropertyNames != nil {
		if f := c.apply(n.one[n.PropertyNames], name, nil); f != nil {
			return c.fault("has a member %q, whose name %s", shown(name), f.rule)
		}
	}
	return nil
}

// members lists the members that a schema has, if they are few.
func members(n *node) string {
	const most = 16
	if len(n.Properties) > most {
		return ""
	}
	return spell.ThereAre(sorted(n.Properties))
}

// matches reports whether a text matches. Its length and the expression's are spent.
func (c *check) matches(re jsonschema.Regexp, s string) bool {
	e := re.(expression) //nolint:forcetypeassert // [pattern] makes all
	if c.spend(1 + len(s)*e.size/bytesPerStep) {
		return false
	}
	return e.MatchString(s)
}

func (c *check) array(n *node, items []any, seen *evaluated) *fault {
	if n.MinItems != nil && len(items) < *n.MinItems {
		return c.fault("must have at least %d items, has %d", *n.MinItems, len(items))
	}
	if n.MaxItems != nil && len(items) > *n.MaxItems {
		return c.fault("must have at most %d items, has %d", *n.MaxItems, len(items))
	}
	for i, item := range items {
		var child *jsonschema.Schema
		switch {
		case i < len(n.PrefixItems):
			child = n.PrefixItems[i]
		case n.Items2020 != nil:
			child = n.Items2020
		default:
			continue
		}
		if f := c.at(n.one[child], strconv.Itoa(i), item); f != nil {
			return f
		}
	}
	if seen != nil {
		seen.items = max(seen.items, min(len(n.PrefixItems), len(items)))
		seen.all = seen.all || n.Items2020 != nil
	}
	if n.UniqueItems {
		if f := c.unique(items); f != nil {
			return f
		}
	}
	if n.Contains != nil {
		return c.contains(n, items, seen)
	}
	return nil
}

func (c *check) unique(items []any) *fault {
	all := make(map[string]int, len(items))
	for i, item := range items {
		if c.spend(1 + sizeOf(item, math.MaxInt32, length)/bytesPerStep) {
			return nil
		}
		key := string(canonical(nil, item))
		if first, twice := all[key]; twice {
			return c.fault("must have no item twice, has %d and %d the same", first, i)
		}
		all[key] = i
	}
	return nil
}

func (c *check) contains(n *node, items []any, seen *evaluated) *fault {
	least, found := 1, 0
	if n.MinContains != nil {
		least = *n.MinContains
	}
	for i, item := range items {
		if c.at(n.one[n.Contains], strconv.Itoa(i), item) != nil {
			continue
		}
		if found++; seen != nil {
			seen.item(i)
		}
	}
	switch {
	case found < least:
		return c.fault("must have at least %d items of a certain form, has %d", least, found)
	case n.MaxContains != nil && found > *n.MaxContains:
		return c.fault("must have at most %d items of a certain form, has %d", *n.MaxContains, found)
	}
	return nil
}

func (c *check) text(n *node, s string) *fault {
	if n.MinLength != nil || n.MaxLength != nil {
		length := utf8.RuneCountInString(s)
		if n.MinLength != nil && length < *n.MinLength {
			return c.fault("must have at least %d characters, has %d", *n.MinLength, length)
		}
		if n.MaxLength != nil && length > *n.MaxLength {
			return c.fault("must have at most %d characters, has %d", *n.MaxLength, length)
		}
	}
	if n.Pattern != nil && !c.matches(n.Pattern, s) {
		return c.fault("must match %s, is %s", shown(n.Pattern.String()), brief(s))
	}
	return nil
}

// inPlace applies a further schema to the value.
func (c *check) inPlace(n *node, child *jsonschema.Schema, v any, seen *evaluated) *fault {
	if seen == nil {
		return c.apply(n.one[child], v, nil)
	}
	var of evaluated
	f := c.apply(n.one[child], v, &of)
	if f == nil {
		if !c.spend(len(of.names) + len(of.particular)) {
			seen.add(&of)
		}
	}
	return f
}

// combined applies references and what combines schemas.
func (c *check) combined(n *node, v any, seen *evaluated) *fault {
	if n.Ref != nil {
		if f := c.inPlace(n, n.Ref, v, seen); f != nil {
			return f
		}
	}
	for _, child := range n.AllOf {
		if f := c.inPlace(n, child, v, seen); f != nil {
			return f
		}
	}
	if len(n.AnyOf) > 0 {
		if held, f := c.held(n, n.AnyOf, v, seen, seen == nil); held == 0 {
			return c.closest(f, "must match one of %d alternatives", len(n.AnyOf))
		}
	}
	if len(n.OneOf) > 0 {
		switch held, f := c.held(n, n.OneOf, v, seen, false); {
		case held == 0:
			return c.closest(f, "must match one of %d alternatives", len(n.OneOf))
		case held > 1:
			return c.fault("must match one of %d alternatives alone, matches %d", len(n.OneOf), held)
		}
	}
	if n.Not != nil && c.apply(n.one[n.Not], v, nil) == nil && c.stopped == nil {
		return c.fault("must not be of a certain form")
	}
	if n.If == nil {
		return nil
	}
	branch := n.Then
	if c.inPlace(n, n.If, v, seen) != nil {
		branch = n.Else
	}
	if branch == nil {
		return nil
	}
	return c.inPlace(n, branch, v, seen)
}

// held counts the schemas that hold for the value, at most one if first is set. It returns the fault
// of the one that came farthest.
func (c *check) held(n *node, children []*jsonschema.Schema, v any, seen *evaluated, first bool) (count int, farthest *fault) {
	for _, child := range children {
		f := c.inPlace(n, child, v, seen)
		if c.stopped != nil {
			return 1, nil
		}
		switch {
		case f == nil:
			if count++; first {
				return count, nil
			}
		case farthest == nil || f.depth > farthest.depth:
			farthest = f
		}
	}
	return count, farthest
}

// closest is the fault of a value for which no alternative holds: that of the one that came farther
// than others, if one did.
func (c *check) closest(f *fault, format string, n int) *fault {
	if f != nil && (f.depth > len(c.path) || n == 1) {
		return f
	}
	return c.fault(format, n)
}

// unevaluated applies what holds for parts that no schema has looked at.
func (c *check) unevaluated(n *node, v any, seen *evaluated) *fault {
	switch v := v.(type) {
	case *object:
		if n.UnevaluatedProperties == nil {
			return nil
		}
		for _, name := range v.names {
			if seen.names[name] {
				continue
			}
			if f := c.at(n.one[n.UnevaluatedProperties], name, v.values[name]); f != nil {
				return f
			}
			seen.name(name)
		}
	case []any:
		if n.UnevaluatedItems == nil {
			return nil
		}
		for i := seen.items; i < len(v) && !seen.all; i++ {
			if seen.particular[i] {
				continue
			}
			if f := c.at(n.one[n.UnevaluatedItems], strconv.Itoa(i), v[i]); f != nil {
				return f
			}
		}
		seen.all = true
	}
	return nil
}
