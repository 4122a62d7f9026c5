package module

import (
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

const (
	// firstDepth is how deep calls nest before the host looks at their stack.
	firstDepth = 256
	// shortestStep and longestStep are how many calls it is from one look to the next.
	shortestStep, longestStep = 16, 1024
	// keptStack is the largest stack, in bytes, that a function keeps from one call to the
	// next. One that grew is at most half of that at first.
	keptStack = 256 << 10
	// growing is how many times a stack is taken of the budget: for itself, and for the one
	// twice as large that it is copied to when it is full.
	growing = 3
)

// letGo has a new stack made for the next call, unless the function's is small, and gives back
// what was taken of the budget for it.
func (in *Instance) letGo(f *function) {
	if f.stack.size() > keptStack {
		f.find()
	}
	if w := &in.watch; w.depths > w.shallow { // the host had a look at it
		w.depths = w.shallow
		w.depth.Set(api.EncodeI32(w.shallow))
		in.quota.budget.give(in.stackHeld)
		in.stackHeld = 0
	}
}

// stack looks at what wazero keeps of a function's stack. Wazero has no other way to know it,
// or to bound it: TestStackFields fails if another version has these fields no more. Then
// nothing is measured, and what holds is wazero's own bound.
type stack struct {
	room         reflect.Value // a slice: bytes of the compiler's, uint64s of the interpreter's
	width        uint64        // of its elements, in bytes
	top, pointer reflect.Value // addresses, the compiler's alone
}

func stackOf(fn api.Function) (s stack) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return s
	}
	v = v.Elem()
	room := v.FieldByName("stack")
	if !room.IsValid() || room.Kind() != reflect.Slice {
		return s
	}
	s.room, s.width = room, uint64(room.Type().Elem().Size())
	top, ctx := v.FieldByName("stackTop"), v.FieldByName("execCtx")
	if !top.IsValid() || top.Kind() != reflect.Uintptr || !ctx.IsValid() || ctx.Kind() != reflect.Struct {
		return s
	}
	if pointer := ctx.FieldByName("stackPointerBeforeGoCall"); pointer.IsValid() && pointer.Kind() == reflect.Pointer {
		s.top, s.pointer = top, pointer
	}
	return s
}

// size is how much memory the stack has, in bytes.
func (s *stack) size() uint64 {
	if s.width == 0 {
		return 0
	}
	return uint64(s.room.Cap()) * s.width
}

// used is how much of it is in use, while the guest calls the host.
func (s *stack) used() uint64 {
	switch {
	case s.width == 0:
		return 0
	case !s.pointer.IsValid():
		return uint64(s.room.Len()) * s.width
	}
	return min(s.top.Uint()-uint64(s.pointer.Pointer()), s.size())
}

// deepen lets calls nest deeper, if they nest as deep as they may and the limits and the budget
// have room. It panics with a [*Fault] if not.
func (in *Instance) deepen() {
	w := &in.watch
	left := api.DecodeI32(w.depth.Get())
	if left >= 0 {
		return
	}
	w.forgive()
	opts := &in.module.opts
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

// forgive takes back what the guest owes for calls that nest too deep.
func (w *watch) forgive() {
	if fuel := int64(w.fuel.Get()); fuel < -meter.TooDeep/2 {
		w.fuel.Set(uint64(fuel + (-fuel+meter.TooDeep/2)/meter.TooDeep*meter.TooDeep))
	}
}
