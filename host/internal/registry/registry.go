// Package registry holds plugins that are ready to serve: a checked module with
// a pool of its instances.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/pool"
)

// Options are how a plugin is run. All fields but the limits that say so must be
// set.
type Options struct {
	Module module.Options
	// Isolation is what an instance keeps of a task.
	Isolation Isolation
	// Min and Max bound the instances, IdleTimeout those that lie idle beyond
	// Min.
	Min, Max int
	// Warm is how many instances are made at first, if more than Min.
	Warm        int
	IdleTimeout time.Duration
	// MaxCalls, MaxAge and MaxMemory (bytes) retire an instance that has
	// reached one of them; 0 is without limit.
	MaxCalls  int
	MaxAge    time.Duration
	MaxMemory uint64
}

// Isolation is what an instance keeps of what it was lent for.
type Isolation int

// Isolations.
const (
	Reset  Isolation = iota + 1 // nothing: it is put back into its first state
	Fresh                       // nothing: there is a new one every time
	Shared                      // everything
)

// Plugin is a plugin that serves. Its methods may be called concurrently.
type Plugin struct {
	module    *module.Module
	isolation Isolation
	pool      *pool.Pool[*Instance]
	growth    growth
	log       *slog.Logger
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
	p := &Plugin{module: m, isolation: opts.Isolation, log: opts.Module.Log}
	if m.Info().Single && p.isolation == Shared {
		p.isolation = Reset
	}
	if p.isolation == Reset && m.Info().NoReset != nil {
		p.isolation = Fresh
	}
	p.pool, err = pool.New(pool.Config[*Instance]{
		Min: opts.Min, Max: opts.Max, IdleTimeout: opts.IdleTimeout,
		Look: func() { opts.Module.Budget.Tidy() },
		Create: func(ctx context.Context) (*Instance, error) {
			in, err := m.Instantiate(ctx)
			return &Instance{Instance: in, plugin: p}, err
		},
		Destroy: func(in *Instance) {
			// Closing an instance frees memory and has nothing to report.
			_ = in.Close()
		},
		Retire: func(in *Instance, calls int, made time.Time) bool {
			return opts.MaxCalls > 0 && calls >= opts.MaxCalls ||
				opts.MaxAge > 0 && time.Since(made) >= opts.MaxAge ||
				opts.MaxMemory > 0 && in.Memory() > opts.MaxMemory
		},
	})
	if err == nil {
		err = p.pool.Start(ctx, opts.Warm)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// ErrClosed is returned by [Plugin.Borrow] once the plugin is closed.
var ErrClosed = pool.ErrClosed

// Module returns the plugin's module.
func (p *Plugin) Module() *module.Module { return p.module }

// Info returns what is known of the module.
func (p *Plugin) Info() module.Info { return p.module.Info() }

// TryBorrow lends an instance that is idle, or returns nil.
func (p *Plugin) TryBorrow() *Instance {
	lent := p.pool.TryGet()
	if lent == nil {
		return nil
	}
	lent.Value.lent = lent
	return lent.Value
}

// Borrow lends an instance, which is to be given back by [Instance.Return]. It
// waits for one, or for one to be made, until ctx is done.
func (p *Plugin) Borrow(ctx context.Context) (*Instance, error) {
	lent, err := p.pool.Get(ctx)
	if err != nil {
		return nil, err
	}
	lent.Value.lent = lent
	return lent.Value, nil
}

// Return gives the instance back. It is lent again if all its calls have ended
// well and its isolation allows.
func (in *Instance) Return() {
	p := in.plugin
	switch {
	case !in.Usable():
		p.pool.Remove(in.lent, pool.Broken)
	case p.isolation == Fresh:
		p.pool.Remove(in.lent, pool.Replaced)
	case p.isolation == Reset && !in.Reset():
		if in.Grown() && p.growth.add(time.Now()) {
			p.log.Warn(Growing,
				"instances", manyGrown, "within", grownWithin)
		}
		p.pool.Remove(in.lent, pool.Replaced)
	default:
		p.pool.Put(in.lent)
	}
}

// Discard frees the instance, whatever it could still do.
func (in *Instance) Discard() { in.plugin.pool.Remove(in.lent, pool.Replaced) }

// Isolation returns the isolation in force: a module whose instances do one task each shares none,
// and one whose instances cannot be put back has fresh ones instead.
func (p *Plugin) Isolation() Isolation { return p.isolation }

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
