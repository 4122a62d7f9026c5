package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/wapc/wapc-go"
	wapcwazero "github.com/wapc/wapc-go/engines/wazero"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/host"
)

// openWapcHere runs waPC's guest in a host.
func openWapcHere(ctx context.Context, o options, isolation host.Isolation) (*opened, error) {
	wasm, err := o.wasm(o.guests, "wapc")
	if err != nil {
		return nil, err
	}
	var file strings.Builder
	file.WriteString("kind: wapc\ntransforms:\n")
	for _, operation := range transform.Names {
		fmt.Fprintf(&file, "  - {name: wapc.%s, operation: %[1]s}\n", operation)
	}
	return openForeign(ctx, o, host.Source{Name: "wapc", WASM: wasm, Companion: []byte(file.String())}, isolation)
}

// openWapc uses waPC's own pool, as its documentation shows.
func openWapc(ctx context.Context, o options) (*opened, error) {
	wasm, err := o.wasm(o.guests, "wapc")
	if err != nil {
		return nil, err
	}
	module, err := wapcwazero.Engine().New(ctx, wapc.NoOpHostCallHandler, wasm, &wapc.ModuleConfig{})
	if err != nil {
		return nil, err
	}
	// It knows command modules, which Go's exports are none of.
	module.(*wapcwazero.Module).WithConfig(func(c wazero.ModuleConfig) wazero.ModuleConfig {
		return c.WithStartFunctions(abi.ExportInitialize)
	})
	p, err := wapc.NewPool(ctx, module, uint64(o.workers))
	if err != nil {
		return nil, errors.Join(err, module.Close(ctx))
	}
	// Those who wait for an instance of its pool spin, and keep the others from going on;
	// here they wait before it.
	slots := newPool(o.workers, func() struct{} { return struct{}{} })
	return &opened{
		run: func(ctx context.Context, t task, dst []byte) ([]byte, error) {
			slot, err := slots.get(ctx)
			if err != nil {
				return nil, err
			}
			defer slots.put(slot)
			in, err := p.Get(time.Minute)
			if err != nil {
				return nil, err
			}
			out, err := in.Invoke(ctx, t.function, t.input)
			dst = append(dst, out...) // which lies in the instance's memory
			// Its ring calls itself full when two are returned at the same time.
			for p.Return(in) != nil && ctx.Err() == nil {
				runtime.Gosched()
			}
			return dst, err
		},
		close: func(ctx context.Context) error {
			p.Close(ctx)
			return module.Close(ctx)
		},
	}, nil
}
