package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// Strings are arguments, or environment variables of the form NAME=value, as a guest finds them in
// its memory. Nil are none. They do not change.
type Strings struct {
	text []byte // each with a NUL behind it
	at   []uint32
}

// NewStrings returns strings. The error is of one with a NUL in it, or of all that are too large
// for a guest.
func NewStrings(all []string) (*Strings, error) {
	s := new(Strings)
	for i, one := range all {
		if strings.IndexByte(one, 0) >= 0 {
			return nil, fmt.Errorf("%.100q has a NUL in it", one)
		}
		if len(s.text)+len(one) >= maxStrings {
			return nil, fmt.Errorf("the first %d have more than %d bytes together", i+1, maxStrings)
		}
		s.at = append(s.at, uint32(len(s.text)))
		s.text = append(append(s.text, one...), 0)
	}
	return s, nil
}

// maxStrings is how many bytes all strings have at most together, with a byte for the end of each.
const maxStrings = 1 << 20

// sizes says how many strings there are, and how much room they take.
func (s *Strings) sizes(mem api.Memory, stack []uint64) errno {
	count, size := uint32(0), uint32(0)
	if s != nil {
		count, size = uint32(len(s.at)), uint32(len(s.text))
	}
	a, okA := mem.Read(api.DecodeU32(stack[0]), 4)
	b, okB := mem.Read(api.DecodeU32(stack[1]), 4)
	if !okA || !okB {
		return efault
	}
	binary.LittleEndian.PutUint32(a, count)
	binary.LittleEndian.PutUint32(b, size)
	return success
}

// get writes pointers to them, and themselves.
func (s *Strings) get(of *System, mem api.Memory, stack []uint64) errno {
	if s == nil {
		s = new(Strings)
	}
	text := api.DecodeU32(stack[1])
	pointers, okPointers := mem.Read(api.DecodeU32(stack[0]), uint32(4*len(s.at)))
	room, okRoom := mem.Read(text, uint32(len(s.text)))
	if !okPointers || !okRoom {
		return efault
	}
	of.charge(len(pointers) + len(room))
	for i, at := range s.at {
		binary.LittleEndian.PutUint32(pointers[4*i:], text+at)
	}
	copy(room, s.text)
	return success
}

func argsSizesGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	return s.Arguments.sizes(mod.Memory(), stack)
}

func argsGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	return s.Arguments.get(s, mod.Memory(), stack)
}

func environSizesGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	return s.Environment.sizes(mod.Memory(), stack)
}

func environGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	return s.Environment.get(s, mod.Memory(), stack)
}

// schedYield does nothing: a guest has one thread, and the host lets others have it in any
// case. To do so as often as a guest asks would keep it from its deadline.
func schedYield(context.Context, *System, api.Module, []uint64) errno { return success }

// procRaise sends no signal. WASI has withdrawn the function.
func procRaise(context.Context, *System, api.Module, []uint64) errno { return enosys }

func procExit(_ context.Context, _ api.Module, stack []uint64) { end(api.DecodeU32(stack[0])) }

// end ends the guest's call with a [sys.ExitError], and does not return. The instance stays open:
// whether it is used again is the caller's to say, who can put it back.
func end(code uint32) { panic(sys.NewExitError(code)) }

// interrupt ends the guest's call because ctx is done, with the exit code that
// wazero has for that, and does not return.
func interrupt(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		end(sys.ExitCodeDeadlineExceeded)
	}
	end(sys.ExitCodeContextCanceled)
}
