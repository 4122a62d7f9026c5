package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/store"
)

// deployment is how a source is deployed.
type deployment struct {
	// canary lets a canary come of it; back says that it is an earlier version, which
	// comes back.
	canary, back bool
	// asked says that an operator wants it, so that it replaces a record of decisions that cannot be read.
	asked bool
	// record is of a plugin that serves nothing yet, and of the source that has served before; else nil.
	record   *store.Record
	replaces string    // the source of another plugin, whose names it takes over, as its file was renamed; or ""
	rule     StateRule // in the stead of the plugin's, unless it is 0
}

// prepare makes a version of a source that could serve: it is checked, and warm.
func (ps *plugins) prepare(ctx context.Context, p *plugin, s Source, before *serving, d deployment) (*version, error) {
	began := time.Now()
	if len(s.WASM) > p.cfg.MaxModule {
		return nil, newLoadError(s, StepRead, tooLarge(p.cfg.MaxModule))
	}
	if ps.cfg.Accept != nil {
		if err := ps.cfg.Accept(ctx, s); err != nil {
			return nil, newLoadError(s, StepAccept, err)
		}
	}
	cfg, err := ps.cfg.ofSource(s)
	if err != nil {
		return nil, newLoadError(s, StepInspect, err)
	}
	if len(s.WASM) > cfg.MaxModule {
		return nil, newLoadError(s, StepRead, cfg.name(tooLarge(cfg.MaxModule)))
	}
	if before != nil && !d.back {
		defer ps.takeWorker(ctx)()
	}
	v, err := ps.open(ctx, p, s, cfg, before)
	if err != nil {
		return nil, newLoadError(s, StepWarm, cfg.name(err))
	}
	if step, err := ps.try(ctx, p, v, before, d); err != nil {
		return nil, newLoadError(s, step, errors.Join(cfg.name(err), v.end(context.WithoutCancel(ctx))))
	}
	v.loading, v.resets = time.Since(began), d.rule == StateReset
	ps.sample(p, v)
	return v, nil
}

// open makes a version of a source, with a pool as large as its predecessor's.
func (ps *plugins) open(ctx context.Context, p *plugin, s Source, cfg ofVersion, before *serving) (*version, error) {
	warm := 0
	if before != nil {
		if r, ok := before.current.engine.(sandbox); ok {
			warm = r.Pool().Size
		}
	}
	opts := ps.moduleOptions(p, s, cfg.PluginConfig)
	opts.Compiling = ps.compiling
	if opts.Compiling == nil {
		opts.Compiling = func() { ps.log.Info("compiling a plugin", "plugin", s.Name) }
	}
	r, err := registry.Open(ctx, s.WASM, registry.Options{
		Module:      opts,
		Isolation:   cfg.Isolation.ofInstances(),
		Min:         cfg.MinInstances,
		Max:         cfg.MaxInstances + ps.cfg.reserve(),
		Warm:        warm,
		IdleTimeout: cfg.IdleTimeout,
		MaxCalls:    cfg.MaxCalls,
		MaxAge:      cfg.MaxAge,
		MaxMemory:   uint64(cfg.MaxMemory),
	})
	if err != nil {
		return nil, err
	}
	info := r.Info()
	for _, warning := range warnings(info, cfg.PluginConfig) {
		ps.log.Warn("a plugin may not do what it should", "plugin", info.Manifest.Name, "reason", warning)
	}
	if info.Single && cfg.Isolation.shares() {
		cfg.Isolation = IsolationPristine
		ps.log.Warn("every task has an instance to itself, since an instance of its kind does one task", "plugin", info.Manifest.Name, "kind", info.Kind)
	}
	if cfg.Isolation.resets() && info.NoReset != nil {
		cfg.Isolation = IsolationFresh
		ps.log.Warn("every task has a new instance, since they cannot be reset", "plugin", info.Manifest.Name, "reason", info.NoReset)
	}
	v, err := newVersion(ps.ctx, record{s, s.identity(), info.Hash}, info.Manifest, sandbox{r}, cfg)
	if err != nil {
		return nil, errors.Join(err, r.Close(context.WithoutCancel(ctx)))
	}
	return v, nil
}

// warnings are what may be wrong with a plugin by itself, and as it is configured.
func warnings(info module.Info, cfg PluginConfig) []string {
	if len(info.Growing) == 0 || !cfg.Isolation.resets() || info.NoReset != nil {
		return info.Warnings
	}
	return append(slices.Clone(info.Warnings), growth(info.Growing))
}

// growth is the warning of transforms that grow their instance's memory.
func growth(transforms []string) string {
	return strings.Join(transforms, ", ") + ": " + registry.Growing
}

// try has a version pass its tests, and sees whether it can go on with the states of streams.
// With an error it returns the step at which that failed.
func (ps *plugins) try(ctx context.Context, p *plugin, v *version, before *serving, d deployment) (step Step, err error) {
	translate := ps.cfg.Translate
	if translate == nil {
		translate = formsOfJSON
	}
	t := &tester{version: v, translate: translate, stop: ps.ending, states: make(map[[2]string][]byte), last: make(map[int]abi.Item)}
	if v.tests, err = runTests(ctx, t); err != nil {
		return StepSelfTest, err
	}
	if len(v.growing) > 0 {
		ps.log.Warn("a plugin may not do what it should", "plugin", v.manifest.Name, "reason", growth(v.growing))
	}
	var serves *version
	if before != nil {
		serves = before.current
	}
	ps.streams.Expire()
	c := &stateCheck{
		formats: ps.streams.Formats, elsewhere: ps.elsewhere(p),
		serves: serves, next: v, canary: before != nil && d.canary && v.cfg.Canary > 0,
	}
	err = c.run()
	switch {
	case err == nil:
		return "", nil
	case cmp.Or(d.rule, v.cfg.StateRule) == StateReset:
	case d.back: // whoever asked for that has a way of its own to say so
		return StepState, fmt.Errorf("%w; %s", err, refusedByRule)
	default:
		return StepState, refusedState(err)
	}
	ps.log.Warn("streams whose states the version cannot read begin anew", v.label().attrs("reason", err)...)
	ps.saveBefore(ctx, v)
	return "", nil
}

// refusedByRule ends the reason for which a version is refused that cannot read states.
const refusedByRule = "the state rule is to refuse such a version"

// refusedState has the reason say what to do to have the version serve.
func refusedState(err error) error {
	return fmt.Errorf("%w; %s: to have such streams begin anew, start with the rule reset (StateRule, --state-rule reset)", err, refusedByRule)
}

// elsewhere returns of which of a plugin's transforms somebody else keeps states, see [Client.WithStates].
func (ps *plugins) elsewhere(p *plugin) map[string]bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	names := make(map[string]bool)
	for _, t := range p.transforms {
		if t.elsewhere.Load() {
			names[t.name] = true
		}
	}
	return names
}

func binaryLimits(l BinaryLimits) module.BinaryLimits {
	return module.BinaryLimits{
		Functions: uint64(l.MaxFunctions), Globals: uint64(l.MaxGlobals),
		Exports: uint64(l.MaxExports), TableSize: uint64(l.MaxTable),
		Types: uint64(l.MaxTypes), Imports: uint64(l.MaxImports), Tables: uint64(l.MaxTables),
		Segments: uint64(l.MaxSegments), Elements: uint64(l.MaxElements), Arity: uint64(l.MaxArity),
		Body: uint64(l.MaxFunctionSize), Locals: uint64(l.MaxLocals),
		Jumps: uint64(l.MaxJumps), Flow: uint64(l.MaxFlow),
	}
}

// moduleOptions are those by which a source of a plugin's becomes a module.
func (ps *plugins) moduleOptions(p *plugin, s Source, cfg PluginConfig) module.Options {
	return module.Options{
		Kinds:             kind.All(),
		Name:              s.Name,
		Companion:         s.Companion,
		Embedder:          contract.Embedder{Functions: forGuests(p.functions, cfg.MaxOutput, cfg.MaxInput), Fetch: fetching(ps.cfg.Fetch, cfg.Grants)},
		Tests:             s.Tests,
		Binary:            binaryLimits(cfg.BinaryLimits),
		CompileTimeout:    cfg.CompileTimeout,
		Cache:             ps.modules,
		MemoryLimit:       uint64(cfg.MemoryLimit),
		Budget:            ps.budget,
		Batch:             cfg.Isolation.together(),
		Frames:            frameLimits(cfg),
		LogBytesPerSecond: cfg.LogBytesPerSecond,
		InitTimeout:       cfg.InitTimeout,
		Interrupt:         module.Interrupt(cfg.Interrupt),
		CallDepth:         int32(cfg.MaxCallDepth),
		StackLimit:        uint64(cfg.MaxStack),
		RealClock:         slices.Contains(cfg.Grants, GrantClock),
		RealRandom:        slices.Contains(cfg.Grants, GrantRandom),
		Interpret:         cfg.Engine == EngineInterpreter,
		Verify:            cfg.Verify != VerifyOff,
		Log:               ps.log.With("plugin", s.Name),
		Logged:            ps.telling(s.Name),
	}
}

// telling returns what publishes the lines that a source's plugin writes; nil where nobody can hear.
func (ps *plugins) telling(source string) func(module.Line) {
	events := ps.cfg.Events
	if events == nil {
		return nil
	}
	return func(l module.Line) {
		if events.Wants(event.KindPluginLogged) {
			events.Publish(event.PluginLogged{
				Plugin: l.Name, Source: source, Hash: l.Hash, Level: nameOf(l.Level), Stream: l.Stream,
				Text: l.Text, Dropped: l.Dropped,
			})
		}
	}
}

// nameOf is the name of the greatest level that is no greater.
func nameOf(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "error"
	case level >= slog.LevelWarn:
		return "warn"
	case level >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// soon is for how long a transaction waits for a worker's place.
const soon = 50 * time.Millisecond

// takeWorker takes the place of a worker, so that what loads a plugin computes instead of
// tasks and not beside them: it would keep its processor for 10 ms at a time, and those
// tasks waiting that Go's scheduler has put there. Not from a single worker, and not where
// none is to be had soon: it may be the plugin's own tasks that hang, and this the mend.
// What it returns gives the place back.
func (ps *plugins) takeWorker(ctx context.Context) (giveBack func()) {
	none := func() {}
	if ps.loads == nil {
		return none
	}
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	var t sched.Ticket
	err := ps.sched.Submit(&t, &sched.Request{Group: ps.loads, Level: sched.Normal, Weight: 1})
	if err == nil {
		err = t.Wait(ctx)
	}
	if err != nil {
		return none
	}
	return t.Release
}

// saveBefore saves states that a version will replace since it cannot read them. If that fails they
// are lost all the same, as is told: a store that is away must not keep an operator from what the rule
// allows.
func (ps *plugins) saveBefore(ctx context.Context, v *version) {
	if ps.keeper == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keeper.SaveTimeout)
	defer cancel()
	if err := ps.keeper.Save(ctx); err != nil {
		ps.log.Warn("the version will reset streams whose states were not saved before", append(v.label().attrs(), "error", err)...)
	}
}

// stateCheck is whether a version can go on with the states that there are.
type stateCheck struct {
	// formats returns the longest state of each format that streams have, in memory or stored, of each
	// transform.
	formats func(transforms ...string) map[string]map[int]int
	// elsewhere is of which transforms there may be states that the host does not know.
	elsewhere map[string]bool
	serves    *version // nil without
	next      *version
	canary    bool // next is to be tried beside serves
}

// run returns what next cannot read. That a stream may come, or a task may leave a state, before next
// is published is no reason: it begins anew then.
//
// What serves may give its streams counts where the states are not known. It counts beside a canary, too, whose streams
// are to be the other version's if it is rolled back, and the other's are to be its own if it is promoted.
func (c *stateCheck) run() error {
	var names []string
	for i := range c.next.manifest.Transforms {
		names = append(names, c.next.manifest.Transforms[i].Name)
	}
	all := c.formats(names...)
	var errs []error
	for i := range c.next.manifest.Transforms {
		n := &c.next.manifest.Transforms[i]
		err := c.unreadable(n, all[n.Name], "streams of transform "+n.Name+" have")
		b := c.before(n.Name)
		if may := map[int]int{b.StateVersion: b.StateBytes}; err == nil && b.StateBytes > 0 {
			switch {
			case c.canary:
				err = c.unreadable(n, may, "beside the canary, streams of transform "+n.Name+" go on with")
			case c.elsewhere[n.Name]:
				err = c.unreadable(n, may, "in a fleet, streams of transform "+n.Name+" may have")
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
		if c.canary && n.StateBytes > 0 && (!b.Reads(n.StateVersion) || n.StateBytes > b.StateBytes) {
			errs = append(errs, fmt.Errorf("a canary of transform %s would leave states of format %d and up to %d bytes, which version %s, that streams may have to go back to, does not read", n.Name, n.StateVersion, n.StateBytes, c.serves.manifest.Version))
		}
	}
	return errors.Join(errs...)
}

// before is the transform of that name as the version that serves has it; one without states if there is none.
func (c *stateCheck) before(name string) *manifest.Transform {
	if c.serves != nil {
		at := slices.IndexFunc(c.serves.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == name })
		if at >= 0 {
			return &c.serves.manifest.Transforms[at]
		}
	}
	return &manifest.Transform{}
}

// unreadable returns why next's transform cannot read states of these formats, each with its longest; nil if it
// can. have says who has them.
func (c *stateCheck) unreadable(n *manifest.Transform, kept map[int]int, have string) error {
	of := c.next.manifest.Version
	for _, format := range slices.Sorted(maps.Keys(kept)) {
		switch {
		case n.StateBytes == 0:
			return fmt.Errorf("%s states, and version %s keeps none", have, of)
		case !n.Reads(format):
			return fmt.Errorf("%s states of format %d, and version %s reads %v", have, format, of, append([]int{n.StateVersion}, n.StateReads...))
		case kept[format] > n.StateBytes:
			return fmt.Errorf("%s states of up to %d bytes, and version %s takes %d", have, kept[format], of, n.StateBytes)
		}
	}
	return nil
}
