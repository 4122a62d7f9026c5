package module

import (
	"context"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// provide makes what guests and libraries may import of the host.
func (m *Module) provide(ctx context.Context) error {
	if err := wasi.Instantiate(ctx, m.program.runtime, func(ctx context.Context) *wasi.System { return &caller(ctx).system }); err != nil {
		return err
	}
	_, err := m.program.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).
		Export(meter.ImportYield).
		Instantiate(ctx)
	if err != nil {
		return err
	}
	modules := make(map[string][]contract.HostFunction)
	for _, f := range m.imports.Functions {
		modules[f.Module] = append(modules[f.Module], f)
	}
	for name, functions := range modules {
		b := m.program.runtime.NewHostModuleBuilder(name)
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
