package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// ErrUnknownPlugin is wrapped by the error for a plugin that there is not.
var ErrUnknownPlugin = errors.New("unknown plugin")

// ErrFixed is wrapped by the error of what would change plugins where that cannot be: in
// ModeInline, and for [Host.Reload] without a plugin directory.
var ErrFixed = errors.New("the host's plugins are fixed")

var errInline = fmt.Errorf("%w: ModeInline has none to load", ErrFixed)

// ErrSuperseded is wrapped by the error of a transaction that a newer change of the
// plugin has ended, such as a rollback.
var ErrSuperseded = errors.New("a newer change of the plugin has come")

// plugins is what a host has loaded, and what changes that.
type plugins struct {
	*runner

	cfg      *Config
	budget   *module.Budget
	modules  *module.Cache // nil without Config.CacheDir
	records  *records      // nil if nothing outlives the host
	loads    *sched.Group  // of transactions, which take a worker's place; nil with one worker
	attempts attempts
	underWay atomic.Int64 // transactions
	// compiling is called by Start's loading before it compiles; else nil, and each compiling is logged.
	compiling func()

	// deploys are transactions, which begin before the close does; retiring is what goes on
	// after them.
	deploys, retiring sync.WaitGroup

	// mu guards the rest. Nothing is hashed, copied or read from a file with it held.
	mu      sync.Mutex
	all     map[string]*plugin // by their sources' names
	freeing []error            // of versions that were closed
}

func newPlugins(cfg *Config, r *runner) *plugins {
	ps := &plugins{runner: r, cfg: cfg, budget: module.NewBudget(uint64(cfg.MemoryBudget)), all: make(map[string]*plugin)}
	r.loading = ps.loading
	if cfg.Workers > 1 {
		ps.loads = r.sched.NewGroup(r.sched.NewClass(cfg.Workers-1), 1)
	}
	return ps
}

// transact begins what changes plugins: it ends when the host does, which waits for it.
func (ps *plugins) transact(ctx context.Context) (_ context.Context, done func(), err error) {
	if err := ps.join(&ps.deploys, stageStarted); err != nil {
		return nil, nil, err
	}
	if ps.cfg.Mode == ModeInline {
		ps.deploys.Done()
		return nil, nil, errInline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(ps.ending, func() { cancel(ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
		ps.deploys.Done()
	}, nil
}

// change begins what changes the plugin of that name.
func (ps *plugins) change(ctx context.Context, name string) (_ context.Context, p *plugin, done func(), err error) {
	if ctx.Err() != nil {
		return nil, nil, nil, fmt.Errorf("plugin %s: %w", foreign.Cut(name), context.Cause(ctx))
	}
	ctx, done, err = ps.transact(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if p, err = ps.find(name); err != nil {
		done()
		return nil, nil, nil, err
	}
	return ctx, p, done, nil
}

// find returns the plugin of a source's name, or else a manifest's.
func (ps *plugins) find(name string) (*plugin, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.all[name]; p != nil {
		return p, nil
	}
	for _, p := range ps.all {
		if v := p.current(); v != nil && v.manifest.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w %q%s", ErrUnknownPlugin, foreign.Cut(name), ps.nearLocked(name))
}

// near suggests which plugin may have been meant by a name that none has.
func (ps *plugins) near(name string) string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.nearLocked(name)
}

func (ps *plugins) nearLocked(name string) string {
	var names []string
	for source, p := range ps.all {
		names = append(names, source)
		if v := p.current(); v != nil {
			names = append(names, v.manifest.Name)
		}
	}
	slices.Sort(names) // of several that are as near, always the same
	return spell.DidYouMean(name, names)
}

// place returns the plugin of a source's name, new if there is none, with deploying held
// until leave is called. It waits for that until ctx is done.
func (ps *plugins) place(ctx context.Context, name string) (_ *plugin, leave func(), err error) {
	ps.mu.Lock()
	p := ps.all[name]
	if p == nil {
		p = ps.newPlugin(name)
		ps.all[name] = p
	}
	p.users++
	ps.mu.Unlock()
	forget := func() {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		p.users--
		ps.forgetLocked(p)
	}
	select {
	case p.deploying <- struct{}{}:
	case <-ctx.Done():
		forget()
		return nil, nil, fmt.Errorf("plugin %s: %w", name, context.Cause(ctx))
	}
	return p, func() {
		<-p.deploying
		forget()
	}, nil
}

// forgetLocked forgets a plugin of which there is nothing to tell any more.
func (ps *plugins) forgetLocked(p *plugin) {
	if ps.all[p.source] == p && p.users == 0 && p.serving.Load() == nil && len(p.versions) == 0 && (p.failure == nil || !p.listed) {
		delete(ps.all, p.source)
		ps.sched.RemoveClass(p.class)
	}
}

func (ps *plugins) newPlugin(source string) *plugin {
	p := &plugin{source: source, deploying: make(chan struct{}, 1)}
	p.cfg = ps.cfg.pluginConfig(source)
	p.functions = offer(source, p.cfg.Functions)
	p.class = ps.sched.NewClass(p.cfg.MaxInstances)
	return p
}

// add adds a new plugin for a source, unless there is one by that name already.
func (ps *plugins) add(source string) *plugin {
	p := ps.newPlugin(source)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all[source] == nil {
		ps.all[source] = p
	}
	return p
}

// loading returns the sources of plugins that a transaction is loading, sorted. It takes the lock only if there is one.
func (ps *plugins) loading() (sources []string) {
	if ps.underWay.Load() == 0 {
		return nil
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for source, p := range ps.all {
		if p.abort != nil {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	return sources
}

// supersede ends the plugin's transaction that is under way.
func (ps *plugins) supersede(p *plugin) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p != nil && p.abort != nil {
		p.abort(ErrSuperseded)
	}
}

// servingLocked returns the plugins that serve, sorted by their manifests' names.
func (ps *plugins) servingLocked() (list []*plugin) {
	for _, p := range ps.all {
		if p.current() != nil {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *plugin) int {
		return strings.Compare(a.current().manifest.Name, b.current().manifest.Name)
	})
	return list
}

// describe returns the plugins that serve, sorted by name, and behind them those that could not.
func (ps *plugins) describe() (list []Plugin) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.servingLocked() {
		list = append(list, p.describeLocked())
	}
	served := len(list)
	for _, p := range ps.all {
		if (p.failure != nil || p.abort != nil) && p.current() == nil {
			list = append(list, p.describeLocked())
		}
	}
	slices.SortFunc(list[served:], func(a, b Plugin) int { return strings.Compare(a.Source, b.Source) })
	if ps.records != nil {
		ps.records.decisions.mark(list)
	}
	return list
}

// stats adds what is counted of plugins.
func (ps *plugins) stats(s *Stats) {
	s.Memory, s.MemoryBudget = ps.budget.Held(), ps.budget.Limit()
	s.Deploys = ps.attempts.clone()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s.State != nil && ps.records != nil {
		n, since := ps.records.decisions.waiting()
		s.State.Unsaved += n
		if n > 0 && !since.IsZero() {
			s.State.UnsavedFor = max(s.State.UnsavedFor, time.Since(since))
		}
	}
	for _, p := range ps.servingLocked() {
		st := p.statsLocked()
		st.QueueDepth = ps.sched.Depth(p.class)
		s.Plugins = append(s.Plugins, st)
	}
}

// remember keeps which versions of a plugin serve, and those versions, for the next
// start. What ctx ends is kept with the next save of state.
func (ps *plugins) remember(ctx context.Context, p *plugin) {
	if err := ps.save(ctx, p); err != nil && !errors.Is(err, errDeferred) {
		ps.log.Warn("which version serves is not kept for the next start", "plugin", p.source, "error", err)
	}
}

// save keeps the record of a plugin: which versions serve, those versions, and whether it is paused.
func (ps *plugins) save(ctx context.Context, p *plugin) error {
	return ps.records.save(ctx, p.source, func() kept {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		k := kept{serving: p.serving.Load(), previous: p.previous, rejected: p.rejected, held: p.held, paused: p.paused.Load()}
		if v := p.current(); v != nil {
			k.since, k.by = v.since, v.by
		}
		if p.failure != nil && p.failure.Step == StepRollback {
			k.failed = p.failure.Time
		}
		return k
	})
}

// release ends that the record of a plugin which serves is held, and reports whether it was.
func (ps *plugins) release(ctx context.Context, p *plugin) bool {
	ps.mu.Lock()
	held := p.held != nil && p.current() != nil
	if held {
		p.held = nil
	}
	ps.mu.Unlock()
	if held {
		ps.remember(ctx, p)
	}
	return held
}
