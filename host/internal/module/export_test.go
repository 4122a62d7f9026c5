package module

import (
	"time"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

func MemStats(in *Instance) memory.Stats { return in.memory.Stats() }

// StackFields returns the size of the stack of resonhost_run, in bytes, and whether its
// addresses are known.
func StackFields(in *Instance) (size uint64, addresses bool) {
	s := &in.exports.run.stack
	return s.size(), s.pointer.IsValid()
}

var SameButNaNs = sameButNaNs

// Bound bounds what a checker does by time.
func Bound(c *Checker, left time.Duration) { c.bounded, c.fuel, c.left = true, verifyFuel, left }
