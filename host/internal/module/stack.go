package module

import (
	"reflect"

	"github.com/tetratelabs/wazero/api"
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
