package main

import (
	"context"
	"errors"

	extism "github.com/extism/go-sdk"

	"github.com/resonhost/resonhost/host"
)

// openExtism compiles a plugin once and lends out instances of it, which the SDK has no
// pool for. An instance keeps its memory from call to call. A timeout has wazero check
// at every turn of a loop; an instance that was stopped cannot be used again.
func openExtism(ctx context.Context, o options, timeout bool) (*opened, error) {
	wasm, err := o.wasm(o.guests, "extism")
	if err != nil {
		return nil, err
	}
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: wasm}}}
	if timeout {
		manifest.Timeout = 5000 // ms, as resonhost's
	}
	plugin, err := extism.NewCompiledPlugin(ctx, manifest, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		return nil, err
	}
	instances := newPool(o.workers, func() *extism.Plugin {
		p, err2 := plugin.Instance(ctx, extism.PluginInstanceConfig{})
		err = errors.Join(err, err2)
		return p
	})
	if err != nil {
		return nil, errors.Join(err, plugin.Close(ctx))
	}
	return &opened{
		run: func(ctx context.Context, t task, _ []byte) ([]byte, error) {
			p, err := instances.get(ctx)
			if err != nil {
				return nil, err
			}
			defer instances.put(p)
			_, out, err := p.CallWithContext(ctx, t.function, t.input)
			return out, err
		},
		close: plugin.Close,
	}, nil
}

// openExtismHere has a host of resonhost's run the same plugin, which has resonhost's contract too, by the
// packages that it computes with.
func openExtismHere(ctx context.Context, o options) (*opened, error) {
	wasm, err := o.wasm(o.guests, "extism")
	if err != nil {
		return nil, err
	}
	return openForeign(ctx, o, host.Source{Name: "extism", WASM: wasm, Companion: []byte("kind: extism")}, host.IsolationPristine)
}
