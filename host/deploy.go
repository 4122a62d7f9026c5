package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
)

// Step is how far a plugin came that could not serve.
type Step string

// Steps of a transaction, in their order.
const (
	StepRead        Step = "read"    // the file
	StepAccept      Step = "accept"  // Config.Accept
	StepInspect     Step = "inspect" // the binary's form and limits
	StepCompile     Step = "compile"
	StepLink        Step = "link" // imports and exports
	StepInstantiate Step = "instantiate"
	StepDescribe    Step = "describe" // the contract's version, and the manifest
	StepSelfTest    Step = "self-test"
	StepWarm        Step = "warm"  // the pool
	StepState       Step = "state" // formats of state against those of the version that serves
	StepPublish     Step = "publish"
	StepRollback    Step = "rollback" // it did serve, and was rolled back
)

// LoadError is a source that could not become a plugin, or a new version of one.
type LoadError struct {
	// Source is its name, Hash the SHA-256 of the binary in hexadecimal, "" if none was
	// read.
	Source, Hash string
	// Step is where it failed, and Err why.
	Step Step
	Err  error
	// Time is when.
	Time time.Time
}

func (e *LoadError) Error() string { return "plugin " + e.Source + ": " + e.Err.Error() }
func (e *LoadError) Unwrap() error { return e.Err }

func newLoadError(s Source, step Step, err error) *LoadError {
	e := &LoadError{Source: s.Name, Step: step, Err: err, Time: time.Now()}
	if s.WASM != nil {
		sum := sha256.Sum256(s.WASM)
		e.Hash = hex.EncodeToString(sum[:])
	}
	if at := (*module.StepError)(nil); errors.As(err, &at) {
		e.Step = Step(at.Step)
	}
	return e
}

// ReloadResult is what came of an attempt to change a plugin.
type ReloadResult string

// Results.
const (
	ReloadLoaded     ReloadResult = "loaded"    // it had not served before
	ReloadSwapped    ReloadResult = "swapped"   // it serves in its predecessor's stead
	ReloadUnchanged  ReloadResult = "unchanged" // it serves already
	ReloadCanary     ReloadResult = "canary"    // it does a share of the tasks
	ReloadPromoted   ReloadResult = "promoted"  // a canary serves alone
	ReloadRolledBack ReloadResult = "rolled_back"
	ReloadFailed     ReloadResult = "failed" // what served before does so still
	ReloadUnloaded   ReloadResult = "unloaded"
)

// identity tells sources apart: by the binary and what lies beside it.
func (s *Source) identity() (id [32]byte) {
	h := sha256.New()
	var n [8]byte
	for _, part := range [...][]byte{s.WASM, s.Tests} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(id[:0])
	return id
}

// Deploy makes a source a plugin that serves, or a new version of the one that serves
// under its name. It is a transaction: the source is checked, compiled, seen to pass
// its self-tests, and its pool is as warm as its predecessor's before one store has
// tasks run on it. Tasks under way end on the version they began with, and those that
// wait begin on the new one. If anything fails, what served before goes on, and the
// error is a [*LoadError].
//
// With PluginConfig.Canary the new version first does a share of the tasks, beside the
// one that serves. A source that serves already changes nothing.
//
// Transactions of one plugin take place one after the other.
func (h *Host) Deploy(ctx context.Context, s Source) (ReloadResult, error) {
	return h.deploy(ctx, s, deployment{canary: true})
}

// deployment is how a source is deployed.
type deployment struct {
	// canary lets a canary come of it; back says that it is an earlier version, which
	// comes back.
	canary, back bool
}

func (h *Host) deploy(ctx context.Context, s Source, d deployment) (result ReloadResult, err error) {
	ctx, done, err := h.transact(ctx)
	if err != nil {
		return ReloadFailed, err
	}
	defer done()
	if s.Name == "" || len(s.Name) > maxSourceName {
		return ReloadFailed, &LoadError{Source: s.Name, Step: StepRead, Err: fmt.Errorf("its name must have 1 to %d bytes", maxSourceName), Time: time.Now()}
	}
	p, leave := h.place(s.Name)
	defer leave()
	began := time.Now()
	result, v, err := h.install(ctx, p, s, d)
	switch {
	case err == nil:
	case ctx.Err() != nil: // which is no fault of the source's
		return ReloadFailed, fmt.Errorf("plugin %s: %w", s.Name, context.Cause(ctx))
	default:
		return ReloadFailed, h.refuse(p, s, err)
	}
	h.reloaded(p.source, result)
	if result != ReloadUnchanged {
		h.log.Info("plugin is "+string(result), "plugin", v.manifest.Name, "version", v.manifest.Version, "hash", v.hash, "took", time.Since(began))
	}
	return result, nil
}

// maxSourceName is the longest name of a source, in bytes.
const maxSourceName = 128

// transact begins what changes plugins: it ends when the host does, which waits for it.
func (h *Host) transact(ctx context.Context) (_ context.Context, done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state == closing:
		return nil, nil, ErrClosed
	case h.state != started:
		return nil, nil, ErrNotStarted
	case h.cfg.Mode == Inline:
		return nil, nil, errInline
	}
	h.deploys.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(h.ending, func() { cancel(ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
		h.deploys.Done()
	}, nil
}

// ErrFixed is wrapped by the error of what would change plugins where that cannot be: in
// mode Inline, and for [Host.Reload] without a plugin directory.
var ErrFixed = errors.New("the host's plugins are fixed")

var errInline = fmt.Errorf("%w: mode Inline has none to load", ErrFixed)

// place returns the plugin of a source's name, new if there is none, with deploying held
// until leave is called.
func (h *Host) place(name string) (p *plugin, leave func()) {
	h.mu.Lock()
	if p = h.plugins[name]; p == nil {
		p = h.newPlugin(name)
		h.plugins[name] = p
	}
	p.users++
	h.mu.Unlock()
	p.deploying.Lock()
	return p, func() {
		p.deploying.Unlock()
		h.mu.Lock()
		defer h.mu.Unlock()
		p.users--
		h.forgetLocked(p)
	}
}

func (h *Host) newPlugin(name string) *plugin {
	cfg := h.cfg.pluginConfig(name)
	return &plugin{source: name, cfg: cfg, class: h.sched.NewClass(cfg.MaxInstances)}
}

// install does a transaction. p.deploying is held.
func (h *Host) install(ctx context.Context, p *plugin, s Source, d deployment) (ReloadResult, *version, error) {
	id := s.identity()
	before := p.serving.Load()
	if before != nil && before.current.record.identity == id {
		if before.trial != nil {
			h.decide(p, before.trial, ReloadRolledBack, "the source is that of the version beside it again")
		}
		h.mu.Lock()
		p.failure, p.rejected = nil, [32]byte{}
		h.mu.Unlock()
		return ReloadUnchanged, before.current, nil
	}
	if before != nil && before.trial != nil && before.trial.version.record.identity == id {
		return ReloadUnchanged, before.trial.version, nil
	}
	v, err := h.prepare(ctx, p, s, before)
	if err != nil {
		return ReloadFailed, nil, err
	}
	result, err := h.publish(p, v, d)
	if err != nil {
		return ReloadFailed, nil, errors.Join(err, v.engine.Close(context.WithoutCancel(ctx)))
	}
	return result, v, nil
}

// prepare makes a version of a source that could serve: it is checked, and warm.
func (h *Host) prepare(ctx context.Context, p *plugin, s Source, before *serving) (*version, error) {
	cfg, began := p.cfg, time.Now()
	if len(s.WASM) > cfg.MaxModule {
		return nil, newLoadError(s, StepRead, fmt.Errorf("larger than %d bytes, the limit", cfg.MaxModule))
	}
	if h.cfg.Accept != nil {
		if err := h.cfg.Accept(ctx, s); err != nil {
			return nil, newLoadError(s, StepAccept, err)
		}
	}
	warm := 0
	if before != nil {
		if r, ok := before.current.engine.(sandbox); ok {
			warm = r.Pool().Size
		}
	}
	r, err := registry.Open(ctx, s.WASM, registry.Options{
		Module:      moduleOptions(cfg, h.budget, h.modules, h.log.With("plugin", s.Name)),
		Isolation:   cfg.Isolation.ofInstances(),
		Min:         cfg.MinInstances,
		Max:         cfg.MaxInstances + h.cfg.reserve(),
		Warm:        warm,
		IdleTimeout: cfg.IdleTimeout,
		MaxCalls:    cfg.MaxCalls,
		MaxAge:      cfg.MaxAge,
		MaxMemory:   uint64(cfg.MaxMemory),
	})
	if err != nil {
		return nil, newLoadError(s, StepWarm, err)
	}
	info := r.Info()
	if cfg.Isolation.resets() && info.NoReset != nil {
		cfg.Isolation = IsolationFresh
		h.log.Warn("every task has a new instance, since they cannot be reset", "plugin", info.Manifest.Name, "reason", info.NoReset)
	}
	v := h.newVersion(p, record{s, s.identity()}, info.Hash, info.Manifest, sandbox{r}, cfg)
	if v.tests, err = h.runTests(ctx, v); err != nil {
		return nil, newLoadError(s, StepSelfTest, errors.Join(err, r.Close(context.WithoutCancel(ctx))))
	}
	v.loading = time.Since(began)
	return v, nil
}

func (h *Host) newVersion(p *plugin, r record, hash string, m *manifest.Manifest, e engine, cfg PluginConfig) *version {
	v := &version{plugin: p, record: r, hash: hash, manifest: m, engine: e, cfg: cfg}
	v.breaker.limit = cfg.BreakAfter
	v.ctx, v.cancel = context.WithCancelCause(h.ctx)
	return v
}

// publish makes a version serve that could.
func (h *Host) publish(p *plugin, v *version, d deployment) (ReloadResult, error) {
	s := v.record.source
	h.mu.Lock()
	if h.state == closing {
		h.mu.Unlock()
		return ReloadFailed, ErrClosed
	}
	if err := h.clashLocked(v); err != nil {
		h.mu.Unlock()
		return ReloadFailed, newLoadError(s, StepPublish, err)
	}
	before := p.serving.Load()
	next, result := &serving{current: v}, ReloadLoaded
	if before != nil {
		result = ReloadSwapped
		canary := d.canary && p.cfg.Canary > 0
		if err := checkState(before.current, v, canary, p.cfg.StateRule); err != nil {
			h.mu.Unlock()
			return ReloadFailed, newLoadError(s, StepState, err)
		}
		if canary {
			result = ReloadCanary
			next = &serving{current: before.current, trial: newTrial(v, p.cfg.Canary)}
		}
	}
	change := event.PluginSwapped
	switch {
	case d.back:
		result, change = ReloadRolledBack, event.PluginRolledBack
		p.rejected, p.previous = before.current.record.identity, nil
	case result == ReloadCanary:
		change = event.PluginCanary
	case result == ReloadLoaded:
		change = event.PluginReady
	}
	if !d.back {
		p.rejected = [32]byte{}
		if result == ReloadSwapped {
			p.previous = &before.current.record
		}
	}
	p.failure = nil
	if d.back {
		p.failure = newLoadError(before.current.record.source, StepRollback, errRolledBack)
	}
	transforms, versions := h.publishLocked(p, next)
	h.mu.Unlock()
	h.remember(p)
	h.retire(p, transforms, versions)
	if next.trial != nil {
		h.retiring.Go(func() { h.judge(p, next.trial) })
	}
	h.tellPlugin(v, change, "")
	return result, nil
}

var errRolledBack = errors.New("rolled back by request")

// checkState compares the formats of streams' states of a version with those of the one
// that serves. A canary's streams may have to go back.
func checkState(before, next *version, canary bool, rule StateRule) error {
	if rule == StateReset {
		return nil
	}
	var errs []error
	for i := range next.manifest.Transforms {
		n := &next.manifest.Transforms[i]
		at := slices.IndexFunc(before.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == n.Name })
		if at < 0 {
			continue
		}
		b := &before.manifest.Transforms[at]
		switch {
		case b.StateBytes == 0:
		case !n.Reads(b.StateVersion):
			errs = append(errs, fmt.Errorf("%s: streams have states of format %d, and version %s reads %d and %v alone; the rule is to refuse that", n.Name, b.StateVersion, next.manifest.Version, n.StateVersion, n.StateReads))
		case n.StateBytes < b.StateBytes && n.StateBytes > 0:
			errs = append(errs, fmt.Errorf("%s: streams have states of up to %d bytes, and version %s takes %d", n.Name, b.StateBytes, next.manifest.Version, n.StateBytes))
		case canary && !b.Reads(n.StateVersion):
			errs = append(errs, fmt.Errorf("%s: a canary would leave states of format %d, which version %s, that streams may have to go back to, does not read", n.Name, n.StateVersion, before.manifest.Version))
		}
	}
	return errors.Join(errs...)
}

// refuse takes note of a source that could not serve, and returns its error.
func (h *Host) refuse(p *plugin, s Source, err error) *LoadError {
	e := (*LoadError)(nil)
	if !errors.As(err, &e) {
		e = newLoadError(s, StepPublish, err)
	}
	h.mu.Lock()
	p.failure, p.rejected = e, s.identity()
	serving := p.now()
	h.mu.Unlock()
	h.reloaded(p.source, ReloadFailed)
	attrs := []any{"plugin", s.Name, "hash", e.Hash, "step", string(e.Step), "error", e.Err}
	if serving != nil {
		attrs = append(attrs, "serving", serving.manifest.Version)
	}
	h.log.Warn("a plugin is refused", attrs...)
	h.cfg.Events.Publish(event.PluginChanged{Plugin: s.Name, Hash: e.Hash, Change: event.PluginRefused, Detail: e.Error()})
	return e
}

// reloaded counts what came of an attempt.
func (h *Host) reloaded(source string, result ReloadResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reloads[source] == nil {
		if len(h.reloads) >= maxReloadNames {
			source = ""
		}
		if h.reloads[source] == nil {
			h.reloads[source] = make(map[ReloadResult]uint64)
		}
	}
	h.reloads[source][result]++
}

// maxReloadNames bounds the names by which attempts are counted: further ones are counted
// together.
const maxReloadNames = 1000
