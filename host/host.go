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
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/kind"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/host/internal/watch"
	"github.com/resonhost/resonhost/internal/spell"
)

// Host runs transforms. Make one with [New].
type Host struct {
	cfg     Config
	log     *slog.Logger
	budget  *module.Budget
	modules *module.Cache // nil without Config.CacheDir
	store   *store.Store  // likewise
	sched   *sched.Scheduler
	streams *stream.Store[sched.Serial]
	self    *Client
	loads   *sched.Group   // of transactions, which take a worker's place; nil with one worker
	pending sync.WaitGroup // of goroutines of tasks, which begin before the state is closing or while one has a slot

	crossings sync.Pool // of *crossing, since what a guest is called with is of the heap
	offers    sync.Pool // of *offered
	frames    sync.Pool // of *frame

	retried, unknown, rerun, reset atomic.Uint64

	// ctx ends when running tasks must: when Close's patience does. ending ends when
	// Close begins.
	ctx    context.Context
	cancel context.CancelCauseFunc
	ending context.Context
	end    context.CancelFunc
	// deploys are transactions, which begin before the state is closing; retiring what
	// goes on after them, and followed what watches the plugin directory.
	deploys, retiring, followed sync.WaitGroup
	saving                      sync.Mutex    // one record is saved at a time
	telling                     sync.Mutex    // guards reloads, which Stats copies while tasks go on
	read                        []watch.File  // by Start, from PluginDir
	unread                      []*watch.File // those of them that cannot be read
	compiling                   func()        // is called by Start's loading before it compiles; else nil
	trials                      []Source      // that are to be deployed as canaries; Start's

	table  atomic.Pointer[table] // nil until started; written with mu held
	over   chan struct{}         // closed from the beginning: of tasks that are refused at once
	loaded chan struct{}         // closed when Start has ended
	closed chan struct{}         // closed when Close's work is done
	err    error                 // of freeing plugins, set before closed is closed

	reloads map[string]map[ReloadResult]uint64 // guarded by telling

	// mu guards the rest. Tasks of Submit take it: nothing is hashed, copied or read from a
	// file with it held.
	mu      sync.Mutex
	state   state
	plugins map[string]*plugin // by their sources' names
	freeing []error            // of versions that were closed
}

type state int

const (
	created state = iota
	starting
	started
	closing
)

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
		over:    make(chan struct{}),
		loaded:  make(chan struct{}),
		closed:  make(chan struct{}),
		plugins: make(map[string]*plugin),
		reloads: make(map[string]map[ReloadResult]uint64),

		crossings: sync.Pool{New: func() any { return new(crossing) }},
		offers:    sync.Pool{New: func() any { return new(offered) }},
		frames:    sync.Pool{New: func() any { return new(frame) }},
	}
	close(h.over)
	h.self = h.Client("", PriorityNormal)
	if cfg.Workers > 1 {
		h.loads = h.sched.NewGroup(h.sched.NewClass(cfg.Workers-1), 1)
	}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.ending, h.end = context.WithCancel(context.Background())
	return h, nil
}

// Start loads all plugins and makes their first instances. A plugin that cannot
// serve is an error, which names it and joins those of the others; the host is
// closed then. ctx bounds the start, not the host's life. If [Host.Close] comes
// meanwhile, Start ends with [ErrClosed].
//
// With Config.Watch, an earlier version of a plugin serves where the newest was rolled
// back or cannot serve, if Config.CacheDir has one. What cannot serve otherwise is refused
// as if it came later, as long as any other can; and there need be no plugin yet, as with
// Config.Empty.
func (h *Host) Start(ctx context.Context) error {
	if err := h.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ending, func() { cancel(ErrClosed) })()
	versions, err := h.load(ctx)
	var follow *watch.Watcher
	if err == nil && h.cfg.Watch {
		follow = watch.New(h.watchConfig(), h.read)
		err = follow.Start()
	}
	versions, clashing, err := h.startServing(versions, follow, err)
	close(h.loaded)
	if err != nil {
		return errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	for _, v := range clashing { // as one that came later
		_ = h.refuse(v.plugin, v.record.source, v.record.loadError(StepPublish, errClash), deployment{})
		h.retire(v.plugin, retired{versions: []*version{v}})
	}
	for _, v := range versions {
		h.reloaded(v.plugin.source, ReloadLoaded)
		h.remember(v.plugin)
		h.tellPlugin(v, event.PluginReady, "")
		if v.plugin.paused.Load() {
			h.tellPlugin(v, event.PluginPaused, "")
		}
	}
	for _, s := range h.trials { // as they were; what fails is told
		_, _ = h.deploy(ctx, s, deployment{canary: true})
	}
	h.trials = nil
	return nil
}

// startServing publishes what Start has loaded, unless that failed with err or Close has
// begun, and has the plugin directory followed. With Watch, those whose name another has
// do not serve.
func (h *Host) startServing(versions []*version, follow *watch.Watcher, err error) (serve, clashing []*version, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == closing {
		err = ErrClosed // whatever else failed, failed for this
	}
	for _, v := range versions {
		if err == nil {
			switch clash := h.clashLocked(v); {
			case clash == nil:
				if v.since.IsZero() { // else it serves again
					v.since, v.by = time.Now(), orDefault(v.by, ReloadLoaded)
				}
				h.publishLocked(v.plugin, &serving{current: v})
				serve = append(serve, v)
			case h.cfg.Watch:
				clashing = append(clashing, v)
			default:
				err = v.record.loadError(StepPublish, clash)
			}
		}
		if !slices.Contains(v.plugin.versions, v) { // for Close to find
			v.plugin.versions = append(v.plugin.versions, v)
		}
	}
	if err != nil {
		if follow != nil {
			follow.Close()
		}
		return nil, nil, err
	}
	h.table.Store(h.newTableLocked())
	h.state = started
	if follow != nil {
		again := make(map[string]pending)
		for i := range h.read {
			f := &h.read[i]
			if slices.ContainsFunc(clashing, func(v *version) bool { return v.plugin.source == f.Name }) {
				again[f.Name] = pending{change: watch.Change{Name: f.Name, File: f}, delay: firstRetry, due: time.Now().Add(firstRetry)}
			}
		}
		h.read = nil
		h.follow(follow, again)
	}
	return serve, clashing, nil
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

// load makes versions of all plugins. With an error it returns those that were made.
func (h *Host) load(ctx context.Context) (versions []*version, err error) {
	if h.cfg.Mode == Inline {
		return h.loadNative()
	}
	if err := h.openStore(); err != nil {
		return nil, err
	}
	sources, err := h.sources(ctx)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 && !h.mayBeEmpty() {
		return nil, fmt.Errorf("no plugin: %s has no *.wasm file", h.cfg.PluginDir)
	}
	if len(sources)+len(h.unread) == 0 && h.cfg.Watch {
		// A directory may be filled later, and is as often not the one that was meant.
		h.log.Warn("there is no plugin yet: the plugin directory has no *.wasm file, and is watched for some", "dir", h.cfg.PluginDir)
	}
	if err := h.checkOverrides(sources); err != nil {
		return nil, err
	}
	h.compiling = h.tellCompiling(len(sources))
	defer func() { h.compiling = nil }() // no version is made before the start has ended, but here
	made := make([]*version, len(sources))
	errs := make([]error, len(sources))
	var g errgroup.Group
	g.SetLimit(h.cfg.Workers) // as many at a time
	for i, s := range sources {
		p := h.newPlugin(s.Name)
		p.listed = h.cfg.Watch
		h.mu.Lock()
		h.plugins[s.Name] = p
		h.mu.Unlock()
		g.Go(func() error {
			began := time.Now()
			if made[i], errs[i] = h.first(ctx, p, s); errs[i] == nil { // its plugin is nobody else's yet
				v := made[i]
				h.log.Info("plugin is ready", "plugin", v.manifest.Name, "version", v.manifest.Version,
					"hash", v.hash, "transforms", len(v.manifest.Transforms), "took", time.Since(began))
			}
			return nil
		})
	}
	_ = g.Wait() // each error is kept in its place
	var unread []error
	if h.cfg.Watch && ctx.Err() == nil && slices.ContainsFunc(made, func(v *version) bool { return v != nil }) {
		// As one that came later: it is refused, and the others serve.
		for i, s := range sources {
			if errs[i] != nil {
				_ = h.refuse(h.plugins[s.Name], s, errs[i], deployment{})
				errs[i] = nil
			}
		}
		for _, f := range h.unread {
			p := h.newPlugin(f.Name)
			p.listed = true
			h.mu.Lock()
			h.plugins[f.Name] = p
			h.mu.Unlock()
			_ = h.refuse(p, Source{Name: f.Name}, newLoadError(Source{Name: f.Name}, StepRead, f.Err), deployment{})
		}
	} else {
		for _, f := range h.unread {
			unread = append(unread, newLoadError(Source{Name: f.Name}, StepRead, f.Err))
		}
	}
	made = slices.DeleteFunc(made, func(v *version) bool { return v == nil })
	slices.SortStableFunc(made, func(a, b *version) int { return strings.Compare(a.manifest.Name, b.manifest.Name) })
	return made, errors.Join(append(unread, errs...)...)
}

// tellCompiling returns what says, once, that a start of so many plugins compiles, which takes
// seconds.
func (h *Host) tellCompiling(plugins int) func() {
	return sync.OnceFunc(func() {
		if h.cfg.CacheDir == "" {
			h.log.Info("compiling plugins, as at each start without a cache directory (CacheDir, --cache-dir)", "plugins", plugins)
			return
		}
		h.log.Info("compiling plugins; the next start has them from the cache", "plugins", plugins, "dir", h.cfg.CacheDir)
	})
}

// checkOverrides looks for settings of plugins that there are not. Where plugins may come later
// that is no error, and is told if there are others.
func (h *Host) checkOverrides(sources []Source) error {
	known := make([]string, 0, len(sources)+len(h.unread))
	for _, s := range sources {
		known = append(known, s.Name)
	}
	for _, f := range h.unread {
		known = append(known, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(h.cfg.Overrides)) {
		switch {
		case slices.Contains(known, name), h.mayBeEmpty() && len(known) == 0:
		case h.mayBeEmpty():
			h.log.Warn("there are settings for a plugin that is not there"+spell.DidYouMean(name, known), "plugin", name)
		default:
			return noSuchPlugin(name, known)
		}
	}
	return nil
}

// mayBeEmpty is whether plugins may come later.
func (h *Host) mayBeEmpty() bool { return h.cfg.Watch || h.cfg.Empty }

func (h *Host) loadNative() (made []*version, err error) {
	var errs []error
	for i, n := range h.cfg.Native {
		v, err := h.openNative(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("native plugin %d: %w", i, err))
			continue
		}
		made = append(made, v)
	}
	for name := range h.cfg.Overrides {
		if h.plugins[name] == nil {
			errs = append(errs, noSuchPlugin(name, slices.Collect(maps.Keys(h.plugins))))
		}
	}
	return made, errors.Join(errs...)
}

func noSuchPlugin(name string, known []string) error {
	return fmt.Errorf("Overrides[%q]: there is no such plugin%s", name, spell.DidYouMean(name, known))
}

func frameLimits(cfg PluginConfig) module.FrameLimits {
	return module.FrameLimits{MaxInput: cfg.MaxInput, MaxOutput: cfg.MaxOutput}
}

func moduleOptions(cfg PluginConfig, budget *module.Budget, cache *module.Cache, log *slog.Logger) module.Options {
	return module.Options{
		Kinds: kind.All(),
		Binary: module.BinaryLimits{
			Functions: uint64(cfg.MaxFunctions), Globals: uint64(cfg.MaxGlobals),
			Exports: uint64(cfg.MaxExports), TableSize: uint64(cfg.MaxTable),
			Types: uint64(cfg.MaxTypes), Imports: uint64(cfg.MaxImports), Tables: uint64(cfg.MaxTables),
			Segments: uint64(cfg.MaxSegments), Elements: uint64(cfg.MaxElements), Arity: uint64(cfg.MaxArity),
			Body: uint64(cfg.MaxFunctionSize), Locals: uint64(cfg.MaxLocals),
			Jumps: uint64(cfg.MaxJumps), Flow: uint64(cfg.MaxFlow),
		},
		CompileTimeout:    cfg.CompileTimeout,
		Cache:             cache,
		MemoryLimit:       uint64(cfg.MemoryLimit),
		Budget:            budget,
		Batch:             cfg.Isolation.batch(),
		Frames:            frameLimits(cfg),
		LogBytesPerSecond: cfg.LogBytesPerSecond,
		InitTimeout:       cfg.InitTimeout,
		Interrupt:         module.Interrupt(cfg.Interrupt),
		CallDepth:         int32(cfg.MaxCallDepth),
		StackLimit:        uint64(cfg.MaxStack),
		RealClock:         slices.Contains(cfg.Grant, GrantClock),
		RealRandom:        slices.Contains(cfg.Grant, GrantRandom),
		Interpret:         cfg.Engine == EngineInterpreter,
		Verify:            cfg.Verify != VerifyOff,
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
	h.end()
	if before != closing {
		go h.finish()
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

// finish waits for all tasks and frees everything. Those who call Close wait for it.
func (h *Host) finish() {
	<-h.loaded
	h.followed.Wait()
	h.deploys.Wait()
	<-h.sched.Drained()
	h.pending.Wait()
	h.cancel(ErrClosed)
	h.retiring.Wait()
	h.mu.Lock()
	var left []*version
	for _, p := range h.plugins {
		left = append(left, p.versions...)
	}
	h.mu.Unlock()
	for _, v := range left {
		h.closeVersion(v)
		h.tellPlugin(v, event.PluginClosed, "")
	}
	h.mu.Lock()
	h.err = errors.Join(h.freeing...)
	h.mu.Unlock()
	close(h.closed)
}

// tellPlugin makes an event of what became of a version.
func (h *Host) tellPlugin(v *version, change event.Change, detail string) {
	h.cfg.Events.Publish(event.PluginChanged{Plugin: v.manifest.Name, Version: v.manifest.Version, Hash: v.hash, Change: change, Detail: detail})
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
	return nil, unknownTransform(name)
}
