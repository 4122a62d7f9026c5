package wasi

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// sizesOfNothing says that there are neither arguments nor environment variables,
// and that they take no room.
func sizesOfNothing(_ context.Context, _ *System, mod api.Module, stack []uint64) errno {
	mem := mod.Memory()
	if !mem.WriteUint32Le(api.DecodeU32(stack[0]), 0) || !mem.WriteUint32Le(api.DecodeU32(stack[1]), 0) {
		return efault
	}
	return success
}

// nothing writes none of them.
func nothing(_ context.Context, _ *System, mod api.Module, stack []uint64) errno {
	size := mod.Memory().Size()
	if api.DecodeU32(stack[0]) > size || api.DecodeU32(stack[1]) > size {
		return efault
	}
	return success
}

// schedYield does nothing: a guest has one thread, and the host lets others have it in any
// case. To do so as often as a guest asks would keep it from its deadline.
func schedYield(context.Context, *System, api.Module, []uint64) errno { return success }

func procExit(ctx context.Context, mod api.Module, stack []uint64) {
	end(ctx, mod, api.DecodeU32(stack[0]))
}

// end ends the guest's call with a [sys.ExitError], and does not return. The
// instance is closed, so that no call of it succeeds any more.
func end(ctx context.Context, mod api.Module, code uint32) {
	_ = mod.CloseWithExitCode(ctx, code) // what fails is closing files, of which there are none
	panic(sys.NewExitError(code))
}

// interrupt ends the guest's call because ctx is done, with the exit code that
// wazero has for that, and does not return.
func interrupt(ctx context.Context, mod api.Module) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		end(ctx, mod, sys.ExitCodeDeadlineExceeded)
	}
	end(ctx, mod, sys.ExitCodeContextCanceled)
}
