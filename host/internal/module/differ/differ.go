// Package differ compares what random modules do in wazero's interpreter with what they do in
// its compiler, as they are and as the host rewrites them before it compiles them.
//
// Everything follows from a seed. A program is valid, and it ends; it has as much alive at once as
// makes a register allocator work. It is called several times, with numbers and a memory
// full of what makes trouble. Results, traps, globals and memory have to be those of the
// interpreter, to the bit, but that a NaN made by arithmetic may be any: see [kind].
//
// What differs is made smaller, and counted by the instructions that are to blame.
package differ

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// Checker checks programs, one at a time.
type Checker struct {
	machine *machine
	ops     *opTable
	opts    Options
}

// Options are those of a [Checker].
type Options struct {
	// Guards are what the host's rewriting does against faults of the compiler.
	Guards meter.Guards
	// Favor is the type of value that most functions have to do with, as [ParseFavor] reads it; 0 is any.
	Favor kind
	// Shrink is how long a program that differs is made smaller, at most.
	Shrink time.Duration
}

// Finding is a program that differs in some way.
type Finding struct {
	Seed uint64 `json:"seed"`
	// Kind is the instructions to blame, and how they have to be run.
	Kind string `json:"kind"`
	// Where is what differed in the program as it was generated.
	Where string `json:"where"`
	// Shrunk is whether the time sufficed to look for blame.
	Shrunk bool `json:"shrunk"`
	// Case is the program, with how to call it.
	Case []byte `json:"case,omitempty"`
}

// Result is what came of a seed.
type Result struct {
	Seed uint64 `json:"seed"`
	// Functions are those of the program, and Runs how often it was called: once for each call
	// and way to run it. Traps are the calls that end in one.
	Functions int `json:"functions"`
	Runs      int `json:"runs"`
	Traps     int `json:"traps"`
	// Bare is whether the compiler differs when the host rewrites nothing.
	Bare    bool     `json:"bare,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
	// Invalid is why an engine, or the host, does not take the program.
	Invalid string `json:"invalid,omitempty"`
}

// ParseGuards reads on, which is what this architecture needs, off, or names of guards with commas.
func ParseGuards(s string) (meter.Guards, error) {
	switch s {
	case "on":
		return meter.GuardsFor(runtime.GOARCH), nil
	case "off":
		return 0, nil
	}
	var guards meter.Guards
next:
	for name := range strings.SplitSeq(s, ",") {
		for g := meter.Guards(1); g&meter.AllGuards != 0; g <<= 1 {
			if g.String() == name {
				guards |= g
				continue next
			}
		}
		return 0, fmt.Errorf("there is no guard %q, want on, off, or some of %s", name, meter.AllGuards)
	}
	return guards, nil
}

// ParseFavor reads i32, i64, f32, f64, v128, f32x4 or f64x2, or any.
func ParseFavor(s string) (kind, error) { //nolint:revive // it is for Options alone
	switch s {
	case "any":
		return none, nil
	case "i32":
		return i32, nil
	case "i64":
		return i64, nil
	case "f32":
		return looseF32, nil
	case "f64":
		return looseF64, nil
	case "v128":
		return v128, nil
	case "f32x4":
		return f32x4, nil
	case "f64x2":
		return f64x2, nil
	}
	return none, fmt.Errorf("there is no type %q to favor, want any, i32, i64, f32, f64, v128, f32x4 or f64x2", s)
}

// NewChecker returns one, which is to be closed.
func NewChecker(ctx context.Context, opts Options) (*Checker, error) {
	m, err := newMachine(ctx)
	if err != nil {
		return nil, err
	}
	return &Checker{machine: m, ops: newOpTable(), opts: opts}, nil
}

// Close frees what it has.
func (c *Checker) Close(ctx context.Context) error { return c.machine.close(ctx) }

// Program is the module of a seed, for whom a valid one is of use.
func Program(seed uint64) ([]byte, error) { return generate(newOpTable(), seed, none).encode() }

// callsOf is how often each program is called.
const callsOf = 6

// trialOf is the program of a seed, with its calls.
func (c *Checker) trialOf(seed uint64) *trial {
	p := generate(c.ops, seed, c.opts.Favor)
	g := &generator{Rand: newRand(seed, 1), ops: c.ops, p: p}
	t := &trial{p: p}
	for range callsOf {
		args, data := g.inputs()
		t.calls = append(t.calls, call{args, data})
	}
	return t
}

// Check runs the program of a seed in all ways. found is called with what differs before it is
// made smaller, which may be what takes an engine down.
func (c *Checker) Check(ctx context.Context, seed uint64, found func(*Result)) *Result {
	r := &Result{Seed: seed}
	t := c.trialOf(seed)
	mod, err := t.module(nil)
	if err != nil {
		r.Invalid = err.Error()
		return r
	}
	r.Functions = len(t.p.funcs)
	all := setups(seed, c.opts.Guards)
	different, where, err := c.compare(ctx, all, mod, r)
	switch {
	case err != nil:
		r.Invalid = err.Error()
		return r
	case len(different) == 0:
		return r
	}
	if different[0].name == bare {
		if r.Bare = true; len(different) == 1 {
			return r // the host's rewriting helps
		}
	}
	r.Finding = &Finding{Seed: seed, Kind: "not shrunk", Where: where}
	if r.Finding.Case, err = encodeCase(mod, where, runtime.GOARCH); err != nil {
		r.Finding.Where += ": " + err.Error()
	}
	found(r)
	if c.opts.Shrink > 0 {
		c.shrink(ctx, t, all, different[len(different)-1], r.Finding)
	}
	return r
}

// compare runs a module in all ways, and returns those that differ from the first one, and in
// what the last of them does.
func (c *Checker) compare(ctx context.Context, all []setup, mod *module, r *Result) (different []setup, where string, err error) {
	want, err := c.machine.run(ctx, all[0], mod)
	if err != nil {
		return nil, "", err
	}
	r.Runs += len(mod.calls)
	for _, e := range want.calls {
		if e.trap != "" {
			r.Traps++
		}
	}
	for _, s := range all[1:] {
		got, err := c.machine.run(ctx, s, mod)
		if err != nil {
			return nil, "", err
		}
		r.Runs += len(mod.calls)
		if what, detail := got.differs(want); what != "" {
			different, where = append(different, s), s.name+": "+detail
		}
	}
	return different, where, nil
}

// shrink makes a trial smaller that differs with a setup, and classifies it.
func (c *Checker) shrink(ctx context.Context, t *trial, all []setup, s setup, f *Finding) {
	sh := &shrinker{trial: t, m: c.machine, s: s}
	if !sh.differs(ctx, nil) {
		f.Kind = "not reproduced"
		return
	}
	sh.shrink(ctx, c.opts.Shrink)
	blamed := sh.blame(ctx)
	mod, err := t.module(nil)
	if err != nil {
		f.Kind = err.Error()
		return
	}
	different, where, err := c.compare(ctx, all, mod, new(Result))
	if err != nil || len(different) == 0 {
		f.Kind = fmt.Sprint("not reproduced: ", err)
		return
	}
	names := make([]string, len(different))
	for i, d := range different {
		names[i] = d.name
	}
	f.Shrunk = true
	f.Kind = strings.Join(blamed, " or ") + "; " + strings.Join(names, ", ")
	f.Case, err = encodeCase(mod, fmt.Sprintf("%s; %s (seed %d)", f.Kind, where, f.Seed), runtime.GOARCH)
	if err != nil {
		f.Where += ": " + err.Error()
	}
}

// errNoCase is a binary without the section that says how to call it.
var errNoCase = errors.New("has no section " + caseSection)
