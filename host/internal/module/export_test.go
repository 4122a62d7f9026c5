package module

import (
	"slices"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

func MemStats(in *Instance) memory.Stats { return in.parts[0].memory.Stats() }

// Held reports whether an instance has a context of a call that has ended.
func Held(in *Instance) bool {
	return in.watch.ctx != nil || in.watch.stop != nil || in.call.Context != nil
}

// StackFields returns the size of the stack of resonhost_run, in bytes, and whether its
// addresses are known.
func StackFields(in *Instance) (size uint64, addresses bool) {
	i := slices.IndexFunc(in.functions, func(f *function) bool { return f.name == "resonhost_run" })
	s := &in.functions[i].stack
	return s.size(), s.pointer.IsValid()
}

var SameButNaNs = sameButNaNs

// Bound bounds what a checker does by time.
func Bound(c *Checker, left time.Duration) { c.bounded, c.fuel, c.left = true, verifyFuel, left }

// Build returns what tells apart programs that may rewrite the same binary otherwise.
func Build() string { return buildOf("github.com/resonhost/resonhost") }
