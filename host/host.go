// Package host runs CPU-heavy transforms as sandboxed WebAssembly plugins, and is
// the package to embed.
//
// A [Host] loads plugins, keeps a pool of instances of each, and gives out tasks
// to a bounded number of workers. Tasks are bytes in and bytes out, in the media
// types that the plugin's manifest states; [Call] does it for Go types.
//
//	h, err := host.New(host.Config{PluginDir: "bin/plugins"})
//	…
//	if err := h.Start(ctx); err != nil { … }
//	defer h.Close(ctx)
//	out, err := h.Run(ctx, "cascade", input)
//
// All methods may be called concurrently.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// Host runs transforms. Make one with [New].
type Host struct {
	cfg     Config
	log     *slog.Logger
	budget  *module.Budget
	sched   *sched.Scheduler
	streams *stream.Store[sched.Serial]
	self    *Client
	pending sync.WaitGroup // of Submit's goroutines; those begin before the state is closing
	retried atomic.Uint64
	unknown atomic.Uint64

	// ctx ends when running tasks must: when Close's patience does.
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu     sync.Mutex // guards state
	state  state
	table  atomic.Pointer[table] // nil until started
	opened []*plugin             // what Start opened; no longer written once loaded is closed
	loaded chan struct{}         // closed when Start has ended
	closed chan struct{}         // closed when Close's work is done
	err    error                 // of freeing plugins, set before closed is closed
}

type state int

const (
	created state = iota
	starting
	started
	closing
)

// table is what the host serves, published as one.
type table struct {
	plugins    []*plugin
	transforms map[string]*transform
}

// plugin is one plugin that serves.
type plugin struct {
	source   string
	hash     string
	manifest *manifest.Manifest
	engine   engine
	class    *sched.Class
	breaker  breaker
	cfg      PluginConfig
	// specs are the transforms, at their indices.
	specs []*transform
}

// engine lends instances, of a guest or of native code.
type engine interface {
	// TryBorrow returns nil if no instance is idle. Borrow makes one, or waits for
	// one until ctx is done.
	TryBorrow() instance
	Borrow(ctx context.Context) (instance, error)
	Close(ctx context.Context) error
}

// instance runs items, as module.Instance.Run does. Its borrower gives it back by
// Return, whatever became of it.
type instance interface {
	Run(ctx context.Context, c module.Call) (fuel uint64, err error)
	Return()
}

// sandbox is the engine of a guest.
type sandbox struct{ *registry.Plugin }

// TryBorrow implements engine.
func (s sandbox) TryBorrow() instance {
	if in := s.Plugin.TryBorrow(); in != nil {
		return in
	}
	return nil
}

// Borrow implements engine.
func (s sandbox) Borrow(ctx context.Context) (instance, error) {
	in, err := s.Plugin.Borrow(ctx)
	if err != nil {
		return nil, err // not a nil *registry.Instance, which would be an instance
	}
	return in, nil
}

// transform is one transform that is served.
type transform struct {
	plugin  *plugin
	group   *sched.Group
	index   int
	spec    manifest.Transform
	timeout time.Duration
	meter   meter
	window  window
	// fits is how many tasks share a frame at most, once their outputs together
	// were too large for one; 0 before.
	fits atomic.Int64
}

// ageing is how long a priority goes without a worker before higher ones step back.
const ageing = 100 * time.Millisecond

// New returns a host. It validates the configuration, all faults at once, and
// starts nothing.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("host configuration: %w", err)
	}
	h := &Host{
		cfg: cfg,
		log: cfg.Logger, budget: module.NewBudget(uint64(cfg.MemoryBudget)),
		sched: sched.New(sched.Config{
			Slots: cfg.Workers, Reserve: cfg.reserve(), Capacity: cfg.QueueCapacity, Policy: sched.Policy(cfg.QueuePolicy),
			Age: ageing, Timeout: cfg.QueueTimeout, InOrder: cfg.Mode == Inline,
		}),
		streams: stream.New[sched.Serial](stream.Config{Max: cfg.MaxStreams, MaxBytes: cfg.MaxStreamBytes, MaxAge: cfg.StreamAge}),
		loaded:  make(chan struct{}),
		closed:  make(chan struct{}),
	}
	h.self = h.Client("", PriorityNormal)
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	return h, nil
}

// Start loads all plugins and makes their first instances. A plugin that cannot
// serve is an error, which names it and joins those of the others; the host is
// closed then. ctx bounds the start, not the host's life. If [Host.Close] comes
// meanwhile, Start ends with [ErrClosed].
func (h *Host) Start(ctx context.Context) error {
	if err := h.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(ErrClosed) })()
	t, err := h.load(ctx)
	h.opened = t.plugins
	h.mu.Lock()
	switch {
	case h.state == closing:
		err = ErrClosed // whatever else failed, failed for this
	case err == nil:
		h.table.Store(t)
		h.state = started
	}
	h.mu.Unlock()
	close(h.loaded)
	if err != nil {
		return errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	for _, p := range t.plugins {
		h.tellPlugin(p, event.PluginReady)
	}
	return nil
}

func (h *Host) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.state {
	case created:
		h.state = starting
		return nil
	case closing:
		return ErrClosed
	}
	return errors.New("host is started already")
}

// load opens all plugins. With an error its table has those that were opened.
func (h *Host) load(ctx context.Context) (*table, error) {
	t := &table{transforms: make(map[string]*transform)}
	var errs []error
	if h.cfg.Mode == Inline {
		for i, n := range h.cfg.Native {
			p, err := openNative(n, h.cfg)
			if err != nil {
				errs = append(errs, fmt.Errorf("native plugin %d: %w", i, err))
				continue
			}
			t.plugins = append(t.plugins, p)
		}
		for name := range h.cfg.Overrides {
			if !slices.ContainsFunc(t.plugins, func(p *plugin) bool { return p.source == name }) {
				errs = append(errs, noSuchPlugin(name))
			}
		}
	} else {
		plugins, err := h.open(ctx)
		t.plugins = plugins
		errs = append(errs, err)
	}
	slices.SortStableFunc(t.plugins, func(a, b *plugin) int { return strings.Compare(a.manifest.Name, b.manifest.Name) })
	for i, p := range t.plugins {
		// A name tells plugins apart, in metrics for one.
		if i > 0 && t.plugins[i-1].manifest.Name == p.manifest.Name {
			errs = append(errs, fmt.Errorf("plugin %s: its manifest's name, %s, is that of plugin %s already", p.source, p.manifest.Name, t.plugins[i-1].source))
		}
		p.class = h.sched.NewClass(p.cfg.MaxInstances)
		p.breaker.limit = p.cfg.BreakAfter
		for index, spec := range p.manifest.Transforms {
			if other := t.transforms[spec.Name]; other != nil {
				errs = append(errs, fmt.Errorf("plugin %s: transform %s is %s's already", p.source, spec.Name, other.plugin.source))
				continue
			}
			tr := &transform{plugin: p, group: h.sched.NewGroup(p.class, p.cfg.Weight), index: index, spec: spec}
			tr.window.warn = func(size int, cost time.Duration) {
				h.log.Warn("batches have been as small or as large as they can for 5 minutes",
					"transform", spec.Name, "tasks", size, "task_takes", cost, "target", tr.window.target)
			}
			if h.cfg.Mode == Sandbox {
				tr.window.target = p.cfg.BatchTarget
				tr.timeout = orDefault(p.cfg.RunTimeout, orDefault(spec.Timeout(), DefaultRunTimeout))
			}
			t.transforms[spec.Name] = tr
			p.specs = append(p.specs, tr)
		}
	}
	return t, errors.Join(errs...)
}

// open opens the plugins of mode Sandbox, as many at a time as there are
// workers. With an error it returns those that were opened.
func (h *Host) open(ctx context.Context) ([]*plugin, error) {
	sources, err := h.cfg.sources(ctx)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no plugin: %s has no *.wasm file", h.cfg.PluginDir)
	}
	for name := range h.cfg.Overrides {
		if !slices.ContainsFunc(sources, func(s Source) bool { return s.Name == name }) {
			return nil, noSuchPlugin(name)
		}
	}
	opened := make([]*plugin, len(sources))
	errs := make([]error, len(sources))
	var g errgroup.Group
	g.SetLimit(h.cfg.Workers)
	for i, s := range sources {
		g.Go(func() error {
			if opened[i], errs[i] = h.openOne(ctx, s); errs[i] != nil {
				errs[i] = fmt.Errorf("plugin %s: %w", s.Name, errs[i])
			}
			return nil
		})
	}
	_ = g.Wait() // each error is kept in its place
	opened = slices.DeleteFunc(opened, func(p *plugin) bool { return p == nil })
	return opened, errors.Join(errs...)
}

func noSuchPlugin(name string) error {
	return fmt.Errorf("Overrides[%q]: there is no such plugin", name)
}

func (h *Host) openOne(ctx context.Context, s Source) (*plugin, error) {
	cfg := h.cfg.pluginConfig(s.Name)
	if len(s.WASM) > cfg.MaxModule {
		return nil, fmt.Errorf("larger than %d bytes, the limit", cfg.MaxModule)
	}
	began := time.Now()
	r, err := registry.Open(ctx, s.WASM, registry.Options{
		Module:      moduleOptions(cfg, h.budget, h.log.With("plugin", s.Name)),
		Isolation:   cfg.Isolation.ofInstances(),
		Min:         cfg.MinInstances,
		Max:         cfg.MaxInstances,
		IdleTimeout: cfg.IdleTimeout,
		MaxCalls:    cfg.MaxCalls,
		MaxAge:      cfg.MaxAge,
		MaxMemory:   uint64(cfg.MaxMemory),
	})
	if err != nil {
		return nil, err
	}
	info := r.Info()
	h.log.Info("plugin is ready", "plugin", info.Manifest.Name, "version", info.Manifest.Version,
		"hash", info.Hash, "transforms", len(info.Manifest.Transforms), "took", time.Since(began))
	if cfg.Isolation.resets() && info.NoReset != nil {
		cfg.Isolation = IsolationFresh
		h.log.Warn("every task has a new instance, since they cannot be reset", "plugin", info.Manifest.Name, "reason", info.NoReset)
	}
	return &plugin{source: s.Name, hash: info.Hash, manifest: info.Manifest, engine: sandbox{r}, cfg: cfg}, nil
}

func frameLimits(cfg PluginConfig) module.FrameLimits {
	return module.FrameLimits{MaxInput: cfg.MaxInput, MaxOutput: cfg.MaxOutput}
}

func moduleOptions(cfg PluginConfig, budget *module.Budget, log *slog.Logger) module.Options {
	return module.Options{
		Binary: module.BinaryLimits{
			Functions: uint64(cfg.MaxFunctions), Globals: uint64(cfg.MaxGlobals),
			Exports: uint64(cfg.MaxExports), TableSize: uint64(cfg.MaxTable),
		},
		CompileTimeout:    cfg.CompileTimeout,
		MemoryLimit:       uint64(cfg.MemoryLimit),
		Budget:            budget,
		Batch:             cfg.Isolation.batch(),
		Frames:            frameLimits(cfg),
		LogBytesPerSecond: cfg.LogBytesPerSecond,
		InitTimeout:       cfg.InitTimeout,
		Interrupt:         module.Interrupt(cfg.Interrupt),
		CallDepth:         int32(cfg.MaxCallDepth),
		RealClock:         slices.Contains(cfg.Grant, GrantClock),
		RealRandom:        slices.Contains(cfg.Grant, GrantRandom),
		Interpret:         cfg.Engine == EngineInterpreter,
		Log:               log,
	}
}

// Close ends the host. It refuses new tasks with [ErrClosed] and waits for those
// it took; when ctx ends first, it interrupts them, still waits for them to end,
// and returns ctx's cause.
//
// Calling it again, or without [Host.Start], is fine: each call waits until the
// host has ended, and whichever ctx ends first interrupts.
func (h *Host) Close(ctx context.Context) error {
	h.sched.Close()
	h.mu.Lock()
	before := h.state
	h.state = closing
	h.mu.Unlock()
	switch before {
	case created:
		close(h.loaded) // there will be no Start
	case starting:
		h.cancel(ErrClosed) // no task runs yet, and nobody waits for plugins
	}
	if before != closing {
		go h.end()
	}
	var errs []error
	select {
	case <-h.closed:
	case <-ctx.Done():
		errs = append(errs, h.interrupt(context.Cause(ctx)))
		<-h.closed
	}
	if before != closing {
		errs = append(errs, h.err)
	}
	return errors.Join(errs...)
}

func (h *Host) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == closing
}

// interrupt ends all tasks. If there are none it does nothing and returns nil.
func (h *Host) interrupt(cause error) error {
	select {
	case <-h.sched.Drained():
		return nil
	default:
		h.cancel(ErrClosed)
		return fmt.Errorf("tasks were interrupted: %w", cause)
	}
}

// end waits for all tasks and frees everything. Those who call Close wait for it.
func (h *Host) end() {
	<-h.loaded
	<-h.sched.Drained()
	h.pending.Wait()
	h.cancel(ErrClosed)
	var errs []error
	for _, p := range h.opened {
		errs = append(errs, p.engine.Close(context.Background()))
		h.tellPlugin(p, event.PluginClosed)
	}
	h.err = errors.Join(errs...)
	close(h.closed)
}

// tellPlugin makes an event of what became of a plugin.
func (h *Host) tellPlugin(p *plugin, change event.Change) {
	h.cfg.Events.Publish(event.PluginChanged{Plugin: p.manifest.Name, Version: p.manifest.Version, Hash: p.hash, Change: change})
}

// lookup returns the transform of that name. n tasks are for it, which are
// counted if there is none.
func (h *Host) lookup(name string, n int) (*transform, *Error) {
	t := h.table.Load()
	if t == nil {
		if h.isClosing() {
			return nil, fail(KindUnavailable, name, ErrClosed)
		}
		return nil, fail(KindUnavailable, name, ErrNotStarted)
	}
	if tr := t.transforms[name]; tr != nil {
		return tr, nil
	}
	h.unknown.Add(uint64(n))
	return nil, &Error{
		Kind: KindUnknownTransform, Transform: name, Err: ErrUnknownTransform,
		Message: fmt.Sprintf("no plugin has a transform %q", name),
	}
}
