package module

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// system returns the system of the instance that called a function of WASI. A guest without a memory has
// broken the contract: any pointer would have the function panic, which is a fault of the host's.
func system(ctx context.Context) *wasi.System {
	in := caller(ctx)
	if !in.parts[0].memory.made {
		panic(contract.Broken("a function of %s is called by a guest that has no memory", abi.ImportWASI))
	}
	return &in.system
}

// provide makes what guests and libraries may import of the host.
func (t *template) provide(ctx context.Context) error {
	if err := wasi.Instantiate(ctx, t.program.runtime, system); err != nil {
		return err
	}
	_, err := t.program.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).
		Export(meter.ImportYield).
		Instantiate(ctx)
	if err != nil {
		return err
	}
	modules := make(map[string][]contract.HostFunction)
	for _, f := range t.imports.Functions {
		modules[f.Module] = append(modules[f.Module], f)
	}
	for name, functions := range modules {
		b := t.program.runtime.NewHostModuleBuilder(name)
		for _, f := range functions {
			do := func(ctx context.Context, mod api.Module, stack []uint64) { f.Do(ctx, inside{caller(ctx)}, mod, stack) }
			b = b.NewFunctionBuilder().
				WithGoModuleFunction(api.GoModuleFunc(do), f.Params, f.Results).
				WithParameterNames(f.ParamNames...).
				WithName(f.Name).
				Export(f.Name)
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// yield is what the guest calls when its slice is used up.
func yield(ctx context.Context, mod api.Module, _ []uint64) {
	in := caller(ctx)
	if in.watch.fuel == nil { // its start function: the instance is being made
		in.watch.watchOver(mod)
	}
	in.deepen()
	if int64(in.watch.fuel.Get()) < 0 {
		in.watch.visit()
	} else { // it came for the depth of its calls, or in the midst of what takes long
		in.watch.glance()
	}
}
