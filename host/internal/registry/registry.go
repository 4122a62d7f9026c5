// Package registry holds plugins that are ready to serve: a checked module with
// a pool of its instances.
package registry

import (
	"context"
	"errors"
	"time"

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
	pool   *pool.Pool[*Instance]
}

// Instance is an instance that was lent by [Plugin.Borrow].
type Instance struct {
	*module.Instance

	plugin *Plugin
	lent   *pool.Instance[*Instance]
}

// Open loads a plugin and makes its first instances. ctx bounds the loading.
func Open(ctx context.Context, wasm []byte, opts Options) (*Plugin, error) {
	m, err := module.Load(ctx, wasm, opts.Module)
	if err != nil {
		return nil, err
	}
	p := &Plugin{module: m}
	p.pool, err = pool.New(pool.Config[*Instance]{
		Min: opts.Min, Max: opts.Max, IdleTimeout: opts.IdleTimeout,
		Create: func(ctx context.Context) (*Instance, error) {
			in, err := m.Instantiate(ctx)
			return &Instance{Instance: in, plugin: p}, err
		},
		Destroy: func(in *Instance) {
			// Closing an instance frees memory and has nothing to report.
			_ = in.Close(context.Background())
		},
		Retire: func(in *Instance, calls int, age time.Duration) bool {
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

// Borrow lends an instance, which is to be given back by [Instance.Return] or
// [Instance.Discard]. It waits for one, or for one to be made, until ctx is done.
func (p *Plugin) Borrow(ctx context.Context) (*Instance, error) {
	lent, err := p.pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	lent.Value.lent = lent
	return lent.Value, nil
}

// Return gives the instance back for other tasks.
func (in *Instance) Return() { in.plugin.pool.Put(in.lent) }

// Discard gives the instance back, never to be lent again.
func (in *Instance) Discard() { in.plugin.pool.Discard(in.lent) }

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
