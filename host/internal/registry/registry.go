// Package registry holds plugins that are ready to serve: a checked module with
// a pool of its instances.
package registry

import (
	"context"
	"errors"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/pool"
)

// Options are how a plugin is run. All fields but the limits that say so must be
// set.
type Options struct {
	Module module.Options
	// Min and Max bound the instances, IdleTimeout those that lie idle beyond
	// Min.
	Min, Max    int
	IdleTimeout time.Duration
	// MaxCalls, MaxAge and MaxMemory (bytes) retire an instance that has
	// reached one of them; 0 is without limit.
	MaxCalls  int
	MaxAge    time.Duration
	MaxMemory uint64
}

// Plugin is a plugin that serves. Its methods may be called concurrently.
type Plugin struct {
	module *module.Module
	pool   *pool.Pool[*module.Instance]
}

// Open loads a plugin and makes its first instances. ctx bounds the loading.
func Open(ctx context.Context, wasm []byte, opts Options) (*Plugin, error) {
	m, err := module.Load(ctx, wasm, opts.Module)
	if err != nil {
		return nil, err
	}
	p := &Plugin{module: m}
	p.pool, err = pool.New(pool.Config[*module.Instance]{
		Min: opts.Min, Max: opts.Max, IdleTimeout: opts.IdleTimeout,
		Create: m.Instantiate,
		Destroy: func(in *module.Instance) {
			// Closing an instance frees memory and has nothing to report.
			_ = in.Close(context.Background())
		},
		Retire: func(in *module.Instance, calls int, age time.Duration) bool {
			return opts.MaxCalls > 0 && calls >= opts.MaxCalls ||
				opts.MaxAge > 0 && age >= opts.MaxAge ||
				opts.MaxMemory > 0 && in.Memory() > opts.MaxMemory
		},
	})
	if err == nil {
		err = p.pool.Start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// Info returns what is known of the module.
func (p *Plugin) Info() module.Info { return p.module.Info() }

// Call runs items on an instance, see [module.Instance.Run].
func (p *Plugin) Call(ctx context.Context, transform int, items []abi.Item, results []abi.Result) error {
	in, err := p.pool.Get(ctx)
	if err != nil {
		return err
	}
	err = in.Value.Run(ctx, transform, items, results)
	if f := (*module.Fault)(nil); errors.As(err, &f) {
		p.pool.Discard(in)
		return err
	}
	p.pool.Put(in)
	return err
}

// Pool returns a snapshot of the plugin's pool.
func (p *Plugin) Pool() pool.Stats { return p.pool.Stats() }

// LogDropped returns how many bytes of the plugin's log were dropped.
func (p *Plugin) LogDropped() uint64 { return p.module.LogDropped() }

// Close waits for running calls, then frees the plugin.
func (p *Plugin) Close(ctx context.Context) error {
	if p.pool != nil {
		p.pool.Close()
	}
	return p.module.Close(ctx)
}
