package meter

import (
	"errors"
	"fmt"
	"strings"
)

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

// limit is one of [Limits] in words.
type limit struct {
	what    string
	setting string // the field of host.PluginConfig
	cure    string // what a plugin's author can do; may be empty
	doubt   string // the same if nothing shows that this would help; "" if it does anyway
}

// What helps of common toolchains.
const (
	stripped  = "link without what nothing calls, by wasm-ld's --gc-sections or wasm-opt -O"
	hidden    = "export only what the plugin contract names, without -Wl,--export-all"
	optimised = "debug builds have such functions, so compile with -O1 or more, or Rust's --release"
	maybe     = "compile with -O1 or more, or Rust's --release, if this is a debug build"
)

var (
	limitTypes     = limit{"types", "MaxTypes", stripped, ""}
	limitImports   = limit{"imports", "MaxImports", "", ""}
	limitFunctions = limit{"functions", "MaxFunctions", stripped, ""}
	limitGlobals   = limit{"globals", "MaxGlobals", "link statically, without -shared, -pie and --export-all", ""}
	limitExports   = limit{"exports", "MaxExports", hidden, ""}
	limitTables    = limit{"tables", "MaxTables", "", ""}
	limitTable     = limit{"entries in a table", "MaxTable", "", ""}
	limitSegments  = limit{"segments", "MaxSegments", "", ""}
	limitElements  = limit{"entries of segments", "MaxElements", stripped, ""}
	limitArity     = limit{"parameters and results of a type", "MaxArity", "pass structures by their address", ""}

	// Those of a function.
	limitBody   = limit{"bytes", "MaxFunctionSize", optimised, maybe}
	limitLocals = limit{"variables", "MaxLocals", optimised, maybe}
	limitJumps  = limit{"jumps", "MaxJumps", optimised, maybe}
	limitFlow   = limit{"jumps times variables", "MaxFlow", optimised, maybe}
)

// LimitError is a binary that exceeds a limit.
type LimitError struct {
	// Function says which function exceeds it most; "" for a limit of the whole binary.
	Function string
	// What is counted, Got how many there are, and Limit how many there may be.
	What       string
	Got, Limit uint64
	// Least is whether there may be more than Got: counting was given up.
	Least bool
	// Others is how many further functions exceed it.
	Others int
	// Setting is the field of host.PluginConfig that raises the limit, and Cure what its author
	// can do about the plugin; both may be empty. Doubt is the cure if it may not help.
	Setting, Cure, Doubt string
}

func (e *LimitError) Error() string {
	var b strings.Builder
	if e.Function != "" {
		b.WriteString(e.Function + " ")
	}
	b.WriteString("has ")
	if e.Least {
		b.WriteString("at least ")
	}
	fmt.Fprintf(&b, "%d %s, the limit is %d", e.Got, e.What, e.Limit)
	switch {
	case e.Others == 1:
		b.WriteString(", and another function exceeds it")
	case e.Others > 1:
		fmt.Fprintf(&b, ", and %d other functions exceed it", e.Others)
	}
	var cures []string
	if e.Cure != "" {
		cures = append(cures, e.Cure)
	}
	if e.Setting != "" {
		cures = append(cures, "raise "+flag(e.Setting)+" (PluginConfig."+e.Setting+")")
	}
	if e.Doubt != "" {
		cures = append(cures, e.Doubt)
	}
	if len(cures) > 0 {
		b.WriteString(": " + strings.Join(cures, "; or "))
	}
	return b.String()
}

// flag is the option of the command by which a field of host.PluginConfig is set.
func flag(field string) string {
	var b strings.Builder
	for i, r := range field {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return "--" + b.String()
}

// limit fails with a [LimitError] if got is more than most.
func (r *reader) limit(l limit, got, most uint64) {
	if got > most && r.err == nil {
		r.err = &LimitError{What: l.what, Got: got, Limit: most, Setting: l.setting, Cure: l.cure}
		r.pos = len(r.buf)
	}
}

// Counting goes on beyond a limit, so that the error says what is needed. It is given up at
// maxOver times the limit of jumps, or with maxNested blocks open, since both take memory.
const (
	maxOver   = 100
	maxNested = 100_000
)

// The code of a binary becomes at most maxGrowth times as long, and smallGrowth bytes more. That of
// Go's compiler becomes 2.4 times as long, of which guards are a thousandth, and that of others
// less. But there are instructions of which one byte becomes 33, and nothing else bounds how many
// of them a binary has.
const (
	maxGrowth   = 5
	smallGrowth = 1 << 20
)

// grown is the error of a binary whose code becomes longer than most. That is no setting: a
// compiler's code is far from it.
func grown(most int) error {
	return &LimitError{What: "bytes of code when it is metered and guarded", Got: uint64(most) + 1, Limit: uint64(most), Least: true,
		Cure: "no compiler is known to make such code, so report the plugin if one did"}
}

// errLarge is a function that exceeds a limit, which [rewriter.large] has taken note of.
var errLarge = errors.New("a function exceeds a limit")

// excess is what functions have of something beyond a limit.
type excess struct {
	most      uint64 // the limit
	got       uint64 // the function that has most of it, which is worst
	least     bool   // it has more than was counted
	worst     uint32
	functions map[uint32]bool // that exceed the limit
}

// large takes note that a function exceeds a limit.
func (w *rewriter) large(f uint32, l limit, got, most uint64, least bool) {
	e := w.over[l]
	if e == nil {
		e = &excess{most: most, functions: make(map[uint32]bool)}
		if w.over == nil {
			w.over = make(map[limit]*excess)
		}
		w.over[l] = e
	}
	e.functions[f] = true
	if got > e.got {
		e.got, e.least, e.worst = got, least, f
	}
}

// tooLarge returns the errors of all limits that functions exceed.
func (w *rewriter) tooLarge() error {
	var errs []error
	for _, l := range []limit{limitBody, limitLocals, limitJumps, limitFlow} {
		if e := w.over[l]; e != nil {
			at := &LimitError{
				Function: w.called(e.worst), What: l.what, Got: e.got, Limit: e.most, Least: e.least,
				Others: len(e.functions) - 1, Setting: l.setting, Cure: l.cure,
			}
			// Names say nothing: wasm-ld --strip-debug takes DWARF away and leaves them.
			if l.doubt != "" && !w.debug {
				at.Cure, at.Doubt = "", l.doubt
			}
			errs = append(errs, at)
		}
	}
	return errors.Join(errs...)
}

// excess ends the function with errLarge if it exceeds a limit. least is whether there is more
// of it than was counted.
func (b *body) excess(least bool) {
	if b.r.err != nil {
		return
	}
	live := uint64(b.locals)
	if b.form == noTable {
		live += keptLows
	}
	l := &b.w.limits
	for _, c := range []struct {
		limit     limit
		got, most uint64
	}{{limitJumps, b.jumps, l.Jumps}, {limitFlow, b.jumps * live, l.Flow}} {
		if c.got > c.most {
			b.large(c.limit, c.got, c.most, least)
		}
	}
}

// outgrown ends the function with errLarge: the binary's code becomes too long, unless the function
// exceeds another limit, too.
func (b *body) outgrown() {
	if b.excess(true); b.r.err == nil {
		b.w.grown = true
		b.r.err, b.r.pos = errLarge, len(b.r.buf)
	}
}

// large ends the function with errLarge. Of one without its table nothing is taken note of: the
// function as it was is tried instead.
func (b *body) large(l limit, got, most uint64, least bool) {
	if b.form != noTable {
		b.w.large(b.index, l, got, most, least)
	}
	b.r.err, b.r.pos = errLarge, len(b.r.buf)
}
