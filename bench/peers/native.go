package main

import (
	"context"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
)

// openNative computes in the caller, as many tasks at once as there are workers.
func openNative(o options) *opened {
	p := newPool(o.workers, func() *transform.Functions { return new(transform.Functions) })
	run := func(ctx context.Context, t task, dst []byte) ([]byte, error) {
		f, err := p.get(ctx)
		if err != nil {
			return nil, err
		}
		defer p.put(f)
		out, err := f.Run(t.function, t.input)
		return append(dst, out...), err
	}
	return &opened{run: run, close: func(context.Context) error { return nil }}
}

// pool lends out what can do one task at a time.
type pool[T any] chan T

func newPool[T any](n int, make1 func() T) pool[T] {
	p := make(pool[T], n)
	for range n {
		p <- make1()
	}
	return p
}

func (p pool[T]) get(ctx context.Context) (T, error) {
	select {
	case v := <-p:
		return v, nil
	default:
	}
	select {
	case v := <-p:
		return v, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (p pool[T]) put(v T) { p <- v }
