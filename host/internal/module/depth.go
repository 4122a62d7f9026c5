package module

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// deepen lets calls nest deeper, if they nest as deep as they may and the limits and the budget
// have room. It panics with a [*Fault] if not.
func (in *Instance) deepen() {
	w := &in.watch
	left := api.DecodeI32(w.depth.Get())
	if left >= 0 {
		return
	}
	w.forgive()
	opts := &in.template.opts
	nested := w.depths - left
	if nested > opts.CallDepth {
		panic(in.tooDeep(Trap, "calls nest deeper than %d, the limit (MaxCallDepth, --max-call-depth)", opts.CallDepth))
	}
	if in.running == nil { // wazero calls it, on a stack that cannot be looked at
		panic(in.tooDeep(Trap, "calls nest deeper than %d, the limit of a start function", w.depths))
	}
	used, size := in.running.stack.used(), in.running.stack.size()
	if used > opts.StackLimit {
		f := in.tooDeep(Trap, "calls nest %d deep and take more native stack than %d bytes, the limit (MaxStack, --max-stack)", nested, opts.StackLimit)
		f.Engine = true // a frame takes as much as the engine makes it
		panic(f)
	}
	if more := growing*size - min(growing*size, in.stackHeld); more > 0 {
		if !in.quota.budget.take(more) {
			panic(in.tooDeep(OutOfMemory, "calls nest %d deep and have %d bytes of native stack, for which the memory budget of %d bytes has no room (MemoryBudget, --memory-budget)",
				nested, size, in.quota.budget.Limit()))
		}
		in.stackHeld += more
	}
	// No more than take half of what is left if they are as large as those before, and not
	// more of them, so that the stack grows once at most.
	step := int64(opts.StackLimit-used) / 2 / max(int64(used)/int64(nested), 16)
	step = min(max(min(step, int64(nested)), shortestStep), longestStep, int64(opts.CallDepth-w.depths))
	w.depths += int32(step)
	w.depth.Set(api.EncodeI32(left + int32(step)))
}

func (in *Instance) tooDeep(kind FaultKind, format string, args ...any) *Fault {
	name := theStart
	if in.running != nil {
		name = in.running.name
	}
	f := &Fault{Kind: kind, Message: name + ": " + fmt.Sprintf(format, args...)}
	if kind == OutOfMemory {
		f.Cause = ErrBudget
	}
	return f
}

// letGo has a new stack made for the next call, unless the function's is small, and gives back
// what was taken of the budget for it. After a call that ended early, calls nest in none again.
func (in *Instance) letGo(f *function, early bool) {
	if size := f.stack.size(); size > keptStack {
		in.quota.budget.loosen(size)
		f.find()
	}
	if w := &in.watch; w.depths > w.shallow || early && w.depth != nil { // the host had a look at it
		w.depths = w.shallow
		w.depth.Set(api.EncodeI32(w.shallow))
		in.quota.budget.give(in.stackHeld)
		in.stackHeld = 0
	}
}
