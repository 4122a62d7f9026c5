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
	// parameters included.
	Body, Locals uint64
	// Jumps is how many blocks and targets of jumps a function has, those that the
	// pass adds included, and Flow that times how many variables it has. The compiler's time
	// grows with the square of the former and with the latter, and its work on one
	// function cannot be interrupted.
	Jumps, Flow uint64
	// Arity is how many parameters and results a type has.
	Arity uint64
}

// DefaultLimits are some ten times what large programs of common compilers have, but
// for Segments, which is twice what Go's linker makes at most, and for Jumps and Flow, which
// leave little more room: the largest function of esbuild
// 0.28, a program of 14 MB made by Go's compiler, has 17,263 jumps. At these the
// compiler takes some 10 s.
func DefaultLimits() Limits {
	return Limits{
		Types: 20_000, Imports: 1_000, Functions: 100_000, Globals: 1_000, Exports: 1_000,
		Tables: 10, TableSize: 100_000, Segments: 200_000, Elements: 1_000_000,
		Body: 4 << 20, Locals: 10_000, Arity: 1_000,
		Jumps: 30_000, Flow: 5_000_000,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, def *uint64 }{
		{&l.Types, &d.Types}, {&l.Imports, &d.Imports}, {&l.Functions, &d.Functions}, {&l.Globals, &d.Globals},
		{&l.Exports, &d.Exports}, {&l.Tables, &d.Tables}, {&l.TableSize, &d.TableSize}, {&l.Segments, &d.Segments},
		{&l.Elements, &d.Elements}, {&l.Body, &d.Body}, {&l.Locals, &d.Locals},
		{&l.Arity, &d.Arity}, {&l.Jumps, &d.Jumps}, {&l.Flow, &d.Flow},
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
