package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
)

// Step is how far a plugin came that could not serve.
type Step string

// Steps of a transaction, in their order.
const (
	StepRead        Step = "read"    // the file
	StepAccept      Step = "accept"  // Config.Accept
	StepInspect     Step = "inspect" // the binary's form and limits
	StepLink        Step = "link"    // imports and exports
	StepCompile     Step = "compile"
	StepInstantiate Step = "instantiate"
	StepDescribe    Step = "describe" // the contract's version, and the manifest
	StepSelfTest    Step = "self-test"
	StepVerify      Step = "verify" // the self-tests once more, in the interpreter
	StepWarm        Step = "warm"   // the pool
	StepState       Step = "state"  // formats of state against those of the version that serves
	StepPublish     Step = "publish"
	StepRollback    Step = "rollback" // it did serve, and was rolled back
)

// In is a reason as it is told beside the step: "STEP: " is in front of each line that does not
// begin with the step's name itself.
func (s Step) In(reason string) string {
	lines := strings.Split(reason, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, string(s)); !ok || rest != "" && rest[0] != ' ' && rest[0] != ':' {
			lines[i] = string(s) + ": " + line
		}
	}
	return strings.Join(lines, "\n")
}

// LoadError is a source that could not become a plugin, or a new version of one.
type LoadError struct {
	// Source is its name, Hash the SHA-256 of the binary in hexadecimal, "" if none was
	// read.
	Source, Hash string
	// Step is where it failed, and Err why.
	Step Step
	Err  error
	// Temporary is whether it may be no fault of the source's: there was no room, or no
	// time, or another plugin has its name. Such a file of Config.PluginDir is tried again,
	// ever less often, at least once a minute.
	Temporary bool
	// Time is when.
	Time time.Time
}

// Error has "plugin SOURCE: " in front of each line of Err.
func (e *LoadError) Error() string {
	prefix := "plugin " + e.Source + ": "
	return prefix + strings.ReplaceAll(e.Err.Error(), "\n", "\n"+prefix)
}

// Unwrap returns Err.
func (e *LoadError) Unwrap() error { return e.Err }

// newLoadError hashes the binary: it is not for who holds a lock, see [record.loadError].
func newLoadError(s Source, step Step, err error) *LoadError {
	return makeLoadError(s.Name, s.hash(), step, err)
}

func makeLoadError(source, hash string, step Step, err error) *LoadError {
	e := &LoadError{Source: source, Hash: hash, Step: step, Err: err, Time: time.Now()}
	if at := (*module.StepError)(nil); errors.As(err, &at) {
		e.Step = Step(at.Step)
	}
	e.Temporary = errors.Is(err, module.ErrBudget) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errClash) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EAGAIN)
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

// hash is the SHA-256 of the binary in hexadecimal, "" if there is none.
func (s *Source) hash() string {
	if s.WASM == nil {
		return ""
	}
	sum := sha256.Sum256(s.WASM)
	return hex.EncodeToString(sum[:])
}

// identity tells apart what would serve: by the binary and its tests.
func (s *Source) identity() [32]byte { return hashed(s.WASM, s.Tests) }

// stamp tells apart what lies in a directory: by all of it.
func (s *Source) stamp() [32]byte {
	parts := [][]byte{s.WASM, s.Tests}
	for _, name := range slices.Sorted(maps.Keys(s.Beside)) {
		parts = append(parts, []byte(name), s.Beside[name])
	}
	return hashed(parts...)
}

func hashed(parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	var n [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
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
	rule         StateRule // in the stead of the plugin's, unless it is 0
}

func (h *Host) deploy(ctx context.Context, s Source, d deployment) (ReloadResult, error) {
	ctx, done, err := h.transact(ctx)
	if err != nil {
		return ReloadFailed, err
	}
	defer done()
	if s.Name == "" || len(s.Name) > maxSourceName {
		return ReloadFailed, &LoadError{Source: s.Name, Step: StepRead, Err: fmt.Errorf("its name must have 1 to %d bytes", maxSourceName), Time: time.Now()}
	}
	p, leave, err := h.place(ctx, s.Name)
	if err != nil {
		return ReloadFailed, err
	}
	defer leave()
	return h.transaction(ctx, p, s, d)
}

// transaction deploys a source. p.deploying is held.
func (h *Host) transaction(ctx context.Context, p *plugin, s Source, d deployment) (ReloadResult, error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	h.mu.Lock()
	p.abort = abort
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		p.abort = nil
	}()
	h.recallPaused(p)
	began := time.Now()
	result, v, err := h.install(ctx, p, s, d)
	switch {
	case err == nil:
	case ctx.Err() != nil: // which is no fault of the source's
		return ReloadFailed, fmt.Errorf("plugin %s: %w", s.Name, context.Cause(ctx))
	default:
		return ReloadFailed, h.refuse(p, s, err, d)
	}
	h.reloaded(p.source, result)
	h.remember(p)
	if result != ReloadUnchanged {
		h.log.Info("plugin is "+string(result), "plugin", v.manifest.Name, "version", v.manifest.Version, "hash", v.hash, "took", time.Since(began))
	}
	return result, nil
}

// ErrSuperseded is wrapped by the error of a transaction that a newer change of the
// plugin has ended, such as a rollback.
var ErrSuperseded = errors.New("a newer change of the plugin has come")

// supersede ends the plugin's transaction that is under way.
func (h *Host) supersede(p *plugin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p != nil && p.abort != nil {
		p.abort(ErrSuperseded)
	}
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
// until leave is called. It waits for that until ctx is done.
func (h *Host) place(ctx context.Context, name string) (_ *plugin, leave func(), err error) {
	h.mu.Lock()
	p := h.plugins[name]
	if p == nil {
		p = h.newPlugin(name)
		h.plugins[name] = p
	}
	p.users++
	h.mu.Unlock()
	forget := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		p.users--
		h.forgetLocked(p)
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

func (h *Host) newPlugin(name string) *plugin {
	cfg := h.cfg.pluginConfig(name)
	return &plugin{source: name, cfg: cfg, class: h.sched.NewClass(cfg.MaxInstances), deploying: make(chan struct{}, 1)}
}

// install does a transaction. p.deploying is held.
func (h *Host) install(ctx context.Context, p *plugin, s Source, d deployment) (ReloadResult, *version, error) {
	id := s.identity()
	before := p.serving.Load()
	if before != nil && before.current.record.identity == id {
		if before.trial != nil {
			h.decide(p, before.trial, ReloadRolledBack, "since the source is that of the version beside it again")
		}
		h.mu.Lock()
		p.failure, p.refused = nil, [32]byte{}
		h.mu.Unlock()
		return ReloadUnchanged, before.current, nil
	}
	if before != nil && before.trial != nil && before.trial.version.record.identity == id {
		return ReloadUnchanged, before.trial.version, nil
	}
	v, err := h.prepare(ctx, p, s, before, d)
	if err != nil {
		return ReloadFailed, nil, err
	}
	result, err := h.publish(p, v, d)
	if err != nil {
		v.cancel(nil)
		v.sampler.stop()
		return ReloadFailed, nil, errors.Join(err, v.engine.Close(context.WithoutCancel(ctx)))
	}
	return result, v, nil
}

// prepare makes a version of a source that could serve: it is checked, and warm.
func (h *Host) prepare(ctx context.Context, p *plugin, s Source, before *serving, d deployment) (*version, error) {
	cfg, began := p.cfg, time.Now()
	if len(s.WASM) > cfg.MaxModule {
		return nil, newLoadError(s, StepRead, tooLarge(cfg.MaxModule))
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
	if before != nil && !d.back {
		defer h.takeWorker(ctx)()
	}
	opts := moduleOptions(cfg, h.budget, h.modules, h.log.With("plugin", s.Name))
	opts.Tests, opts.Compiling = s.Tests, h.compiling
	r, err := registry.Open(ctx, s.WASM, registry.Options{
		Module:      opts,
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
	for _, warning := range warnings(info, cfg) {
		h.log.Warn("a plugin may not do what it should", "plugin", info.Manifest.Name, "reason", warning)
	}
	if cfg.Isolation.resets() && info.NoReset != nil {
		cfg.Isolation = IsolationFresh
		h.log.Warn("every task has a new instance, since they cannot be reset", "plugin", info.Manifest.Name, "reason", info.NoReset)
	}
	v := h.newVersion(p, record{s, s.identity(), info.Hash}, info.Manifest, sandbox{r}, cfg)
	if v.tests, err = h.runTests(ctx, v); err != nil {
		v.cancel(nil)
		return nil, newLoadError(s, StepSelfTest, errors.Join(err, r.Close(context.WithoutCancel(ctx))))
	}
	if before != nil && orDefault(d.rule, cfg.StateRule) == StateRefuse {
		if err := h.checkState(before.current, v, d.canary && cfg.Canary > 0); err != nil {
			v.cancel(nil)
			return nil, newLoadError(s, StepState, errors.Join(err, r.Close(context.WithoutCancel(ctx))))
		}
	}
	v.loading = time.Since(began)
	h.sampled(v)
	return v, nil
}

// soon is for how long a transaction waits for a worker's place.
const soon = 50 * time.Millisecond

// takeWorker takes the place of a worker, so that what loads a plugin computes instead of
// tasks and not beside them: it would keep its processor for 10 ms at a time, and those
// tasks waiting that Go's scheduler has put there. Not from a single worker, and not where
// none is to be had soon: it may be the plugin's own tasks that hang, and this the mend.
// What it returns gives the place back.
func (h *Host) takeWorker(ctx context.Context) (giveBack func()) {
	none := func() {}
	if h.loads == nil {
		return none
	}
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	t, err := h.sched.Submit(sched.Request{Group: h.loads, Level: sched.Normal, Weight: 1})
	if err == nil {
		err = t.Wait(ctx)
	}
	if err != nil {
		return none
	}
	return t.Release
}

func (h *Host) newVersion(p *plugin, r record, m *manifest.Manifest, e engine, cfg PluginConfig) *version {
	v := &version{plugin: p, record: r, manifest: m, engine: e, cfg: cfg}
	v.breaker.Limit = cfg.BreakAfter
	v.ctx, v.cancel = context.WithCancelCause(h.ctx)
	return v
}

// publish makes a version serve that could.
func (h *Host) publish(p *plugin, v *version, d deployment) (ReloadResult, error) {
	result, change, retired, err := h.publishNext(p, v, d)
	if err != nil {
		return ReloadFailed, err
	}
	h.retire(p, retired)
	if s := p.serving.Load(); s != nil && s.trial != nil && s.trial.version == v {
		h.retiring.Go(func() { h.judge(p, s.trial) })
	}
	h.tellPlugin(v, change, "")
	return result, nil
}

func (h *Host) publishNext(p *plugin, v *version, d deployment) (_ ReloadResult, _ event.Change, _ retired, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == closing {
		return "", "", retired{}, ErrClosed
	}
	if err := h.clashLocked(v); err != nil {
		return "", "", retired{}, v.record.loadError(StepPublish, err)
	}
	before := p.serving.Load()
	next, result, change := &serving{current: v}, ReloadLoaded, event.PluginReady
	p.failure, p.refused = nil, [32]byte{}
	switch {
	case before == nil:
	case d.back:
		result, change = ReloadRolledBack, event.PluginRolledBack
		p.rejected, p.previous = before.current.record.identity, nil
		p.failure = before.current.record.loadError(StepRollback, errRolledBack)
	case d.canary && p.cfg.Canary > 0:
		result, change = ReloadCanary, event.PluginCanary
		next = &serving{current: before.current, trial: newTrial(v, p.cfg.Canary)}
		p.rejected = [32]byte{}
	default:
		result, change = ReloadSwapped, event.PluginSwapped
		p.rejected, p.previous = [32]byte{}, &before.current.record
	}
	if next.current == v {
		v.since, v.by = time.Now(), result
	}
	return result, change, h.publishLocked(p, next), nil
}

var errRolledBack = errors.New("rolled back by request")

// checkState compares what streams have kept of a plugin, and what the version that
// serves may give them meanwhile, with what the next one takes. A canary's streams may
// have to go back.
func (h *Host) checkState(before, next *version, canary bool) error {
	var errs []error
	for i := range next.manifest.Transforms {
		n := &next.manifest.Transforms[i]
		at := slices.IndexFunc(before.manifest.Transforms, func(t manifest.Transform) bool { return t.Name == n.Name })
		if at < 0 {
			continue
		}
		b := &before.manifest.Transforms[at]
		kept := h.streams.Formats(n.Name) // the longest state of each format
		if b.StateBytes > 0 {
			kept[b.StateVersion] = max(kept[b.StateVersion], b.StateBytes)
		}
		for _, format := range slices.Sorted(maps.Keys(kept)) {
			switch {
			case n.StateBytes == 0:
				errs = append(errs, fmt.Errorf("%s: streams have states, and version %s keeps none; the rule is to refuse that", n.Name, next.manifest.Version))
			case !n.Reads(format):
				errs = append(errs, fmt.Errorf("%s: streams have states of format %d, and version %s reads %v; the rule is to refuse that", n.Name, format, next.manifest.Version, append([]int{n.StateVersion}, n.StateReads...)))
			case kept[format] > n.StateBytes:
				errs = append(errs, fmt.Errorf("%s: streams have states of up to %d bytes, and version %s takes %d", n.Name, kept[format], next.manifest.Version, n.StateBytes))
			default:
				continue
			}
			break
		}
		if canary && n.StateBytes > 0 && (!b.Reads(n.StateVersion) || n.StateBytes > b.StateBytes) {
			errs = append(errs, fmt.Errorf("%s: a canary would leave states of format %d and up to %d bytes, which version %s, that streams may have to go back to, does not read", n.Name, n.StateVersion, n.StateBytes, before.manifest.Version))
		}
	}
	return errors.Join(errs...)
}

// refuse takes note of a source that could not serve, and returns its error.
func (h *Host) refuse(p *plugin, s Source, err error, d deployment) *LoadError {
	e := (*LoadError)(nil)
	if !errors.As(err, &e) {
		e = newLoadError(s, StepPublish, err)
	}
	stamp := s.stamp()
	h.mu.Lock()
	again := p.failure != nil && p.refused == stamp && p.failure.Error() == e.Error() && e.Temporary
	if !d.back { // else the file of the directory is another
		p.failure, p.refused = e, stamp
	}
	serving := p.now()
	h.mu.Unlock()
	h.reloaded(p.source, ReloadFailed)
	if again { // which is told
		h.log.Debug("a plugin is refused again", "plugin", s.Name, "step", string(e.Step), "error", e.Err)
		return e
	}
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
	h.telling.Lock()
	defer h.telling.Unlock()
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
