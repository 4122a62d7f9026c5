package module

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
)

// errAgain is why a call that is done a second time ends.
var errAgain = errors.New("the guest calls what must not be called a second time")

// errPanicked is the error of what panicked. What it panicked with is for the log.
var errPanicked = errors.New("it panicked")

// outside calls f with a context that ends when the guest has to stop, see [contract.Instance].
func (in *Instance) outside(f func(context.Context) error) error {
	if in.template.again {
		panic(&Fault{Kind: Stopped, Message: "calls what must not be called a second time", Cause: errAgain})
	}
	// Not the context that the guest was called with, which is the instance's and is used again.
	ctx, cancel := within(in.watch.ctx, in.watch.stop, in.watch.deadline())
	defer cancel()
	err := contained(ctx, in.template.opts.Log, f)
	if ctx.Err() != nil {
		panic(interrupted(ctx))
	}
	return err
}

// contained calls f, of which a panic is an error.
func contained(ctx context.Context, log *slog.Logger, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("what a guest called has panicked", "panic", p, "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return f(ctx)
}
