package meter

import "fmt"

// Limits are those of a binary. A field that is 0 is its default.
type Limits struct {
	// Types, Imports, Functions, Globals and Exports are how many there are at
	// most; imported functions count.
	Types, Imports, Functions, Globals, Exports uint64
	// Tables is how many there are, and TableSize how many entries each can have:
	// a table that could grow beyond it no longer can.
	Tables, TableSize uint64
	// Segments are those of elements and data together, and Elements the entries
	// of all of the former.
	Segments, Elements uint64
	// Body is the size of a function in bytes, Locals how many variables it has,
	// parameters included, Nesting how many blocks lie within one another, and
	// Labels how many targets all its br_tables have.
	Body, Locals, Nesting, Labels uint64
	// Arity is how many parameters and results a type has.
	Arity uint64
}

// DefaultLimits are some ten times what large programs of common compilers have.
func DefaultLimits() Limits {
	return Limits{
		Types: 20_000, Imports: 1_000, Functions: 100_000, Globals: 1_000, Exports: 1_000,
		Tables: 10, TableSize: 100_000, Segments: 100_000, Elements: 1_000_000,
		Body: 4 << 20, Locals: 10_000, Nesting: 50_000, Labels: 200_000, Arity: 1_000,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, def *uint64 }{
		{&l.Types, &d.Types}, {&l.Imports, &d.Imports}, {&l.Functions, &d.Functions}, {&l.Globals, &d.Globals},
		{&l.Exports, &d.Exports}, {&l.Tables, &d.Tables}, {&l.TableSize, &d.TableSize}, {&l.Segments, &d.Segments},
		{&l.Elements, &d.Elements}, {&l.Body, &d.Body}, {&l.Locals, &d.Locals}, {&l.Nesting, &d.Nesting},
		{&l.Labels, &d.Labels}, {&l.Arity, &d.Arity},
	} {
		if *f.v == 0 {
			*f.v = *f.def
		}
	}
	return l
}

// LimitError is a binary that exceeds a limit.
type LimitError struct {
	What       string
	Got, Limit uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("has %d %s, the limit is %d", e.Got, e.What, e.Limit)
}

// limit fails with a [LimitError] if got is more than limit.
func (r *reader) limit(what string, got, limit uint64) {
	if got > limit && r.err == nil {
		r.err = &LimitError{What: what, Got: got, Limit: limit}
		r.pos = len(r.buf)
	}
}
