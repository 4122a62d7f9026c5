package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/bench/peers/guests/transform"
)

// compiled are resonhost's plugins, compiled by wazero as it is.
type compiled struct {
	runtime wazero.Runtime
	guests  map[string]wazero.CompiledModule // by function
}

func compile(ctx context.Context, o options) (*compiled, error) {
	c := &compiled{runtime: wazero.NewRuntime(ctx), guests: make(map[string]wazero.CompiledModule)}
	if err := c.load(ctx, o); err != nil {
		return nil, errors.Join(err, c.runtime.Close(ctx))
	}
	return c, nil
}

func (c *compiled) load(ctx context.Context, o options) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, c.runtime); err != nil {
		return err
	}
	log := func(context.Context, uint32, uint32, uint32) {}
	if _, err := c.runtime.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().WithFunc(log).Export(abi.ImportLog).Instantiate(ctx); err != nil {
		return err
	}
	for _, g := range []struct{ dir, file, function string }{
		{o.plugins, "cascade", transform.Cascade}, {o.plugins, "tick", transform.Tick}, {o.guests, "echo", transform.Echo}, {o.guests, "noop", transform.Noop},
	} {
		wasm, err := o.wasm(g.dir, g.file)
		if err != nil {
			return err
		}
		if c.guests[g.function], err = c.runtime.CompileModule(ctx, wasm); err != nil {
			return err
		}
		if o.cold {
			break
		}
	}
	return nil
}

// instance is an instance of one plugin.
type instance struct {
	module     api.Module
	alloc, run api.Function
	frame      []byte
	stack      [3]uint64
}

func (c *compiled) instantiate(ctx context.Context, function string) (*instance, error) {
	m, err := c.runtime.InstantiateModule(ctx, c.guests[function],
		wazero.NewModuleConfig().WithName("").WithStartFunctions(abi.ExportInitialize))
	if err != nil {
		return nil, err
	}
	return &instance{module: m, alloc: m.ExportedFunction(abi.ExportAlloc), run: m.ExportedFunction(abi.ExportRun)}, nil
}

// call runs a frame of one task.
func (in *instance) call(ctx context.Context, input, dst []byte) ([]byte, error) {
	in.frame = abi.AppendInput(in.frame[:0], []abi.Item{{Payload: input}})
	in.stack[0] = uint64(len(in.frame))
	if err := in.alloc.CallWithStack(ctx, in.stack[:]); err != nil {
		return nil, err
	}
	at := uint32(in.stack[0])
	if at == 0 || !in.module.Memory().Write(at, in.frame) {
		return nil, errors.New("the guest has no room for the frame")
	}
	in.stack = [3]uint64{0, uint64(at), uint64(len(in.frame))} // transform 0
	if err := in.run.CallWithStack(ctx, in.stack[:]); err != nil {
		return nil, err
	}
	output, ok := in.module.Memory().Read(abi.Unpack(in.stack[0]))
	if !ok {
		return nil, errors.New("the output is not in the guest's memory")
	}
	results, err := abi.ReadOutput(output)
	if err != nil {
		return nil, err
	}
	r, err := results.Next()
	if err != nil {
		return nil, err
	}
	if r.Status != abi.StatusOK {
		return nil, fmt.Errorf("status %v: %s", r.Status, r.Payload)
	}
	return append(dst, r.Payload...), nil
}

// openBare reuses instances.
func openBare(ctx context.Context, o options) (*opened, error) {
	c, err := compile(ctx, o)
	if err != nil {
		return nil, err
	}
	pools := make(map[string]pool[*instance])
	for function := range c.guests {
		pools[function] = newPool(o.workers, func() *instance {
			in, err2 := c.instantiate(ctx, function)
			err = errors.Join(err, err2)
			return in
		})
	}
	if err != nil {
		return nil, errors.Join(err, c.runtime.Close(ctx))
	}
	return &opened{
		run: func(ctx context.Context, t task, dst []byte) ([]byte, error) {
			p := pools[t.function]
			in, err := p.get(ctx)
			if err != nil {
				return nil, err
			}
			defer p.put(in)
			return in.call(ctx, t.input, dst)
		},
		close: c.runtime.Close,
	}, nil
}

// openPerCall makes an instance for every task, as many at once as there are workers.
func openPerCall(ctx context.Context, o options) (*opened, error) {
	c, err := compile(ctx, o)
	if err != nil {
		return nil, err
	}
	slots := newPool(o.workers, func() struct{} { return struct{}{} })
	return &opened{
		run: func(ctx context.Context, t task, dst []byte) (out []byte, err error) {
			slot, err := slots.get(ctx)
			if err != nil {
				return nil, err
			}
			defer slots.put(slot)
			in, err := c.instantiate(ctx, t.function)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, in.module.Close(ctx)) }()
			return in.call(ctx, t.input, dst)
		},
		close: c.runtime.Close,
	}, nil
}
