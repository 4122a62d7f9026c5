package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

func (ps *plugins) deploy(ctx context.Context, s Source, d deployment) (DeployResult, error) {
	ctx, done, err := ps.transact(ctx)
	if err != nil {
		return DeployFailed, err
	}
	defer done()
	if s.Name == "" || len(s.Name) > maxSourceName {
		return DeployFailed, &LoadError{Source: s.Name, Step: StepRead, Err: fmt.Errorf("its name must have 1 to %d bytes", maxSourceName), Time: time.Now()}
	}
	p, leave, err := ps.place(ctx, s.Name)
	if err != nil {
		return DeployFailed, err
	}
	defer leave()
	return ps.transaction(ctx, p, s, d)
}

// transaction deploys a source. p.deploying is held.
func (ps *plugins) transaction(ctx context.Context, p *plugin, s Source, d deployment) (DeployResult, error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	ps.mu.Lock()
	p.abort = abort
	ps.mu.Unlock()
	ps.underWay.Add(1)
	defer func() {
		ps.underWay.Add(-1)
		ps.mu.Lock()
		defer ps.mu.Unlock()
		p.abort = nil
	}()
	ps.recallPaused(p)
	began := time.Now()
	result, v, err := ps.install(ctx, p, s, d)
	switch {
	case err == nil:
	case ctx.Err() != nil: // which is no fault of the source's
		return DeployFailed, fmt.Errorf("plugin %s: %w", s.Name, context.Cause(ctx))
	default:
		return DeployFailed, ps.refuse(p, s, err, d)
	}
	ps.attempts.count(p.source, result)
	if d.asked {
		ps.records.replace(p.source)
	}
	ps.remember(ctx, p)
	if result != DeployUnchanged {
		ps.log.Info("plugin is "+string(result), v.label().attrs("took", time.Since(began))...)
	}
	return result, nil
}

// install does a transaction. p.deploying is held.
func (ps *plugins) install(ctx context.Context, p *plugin, s Source, d deployment) (DeployResult, *version, error) {
	id := s.identity()
	before := p.serving.Load()
	if before != nil && before.current.record.identity == id {
		if before.trial != nil {
			ps.decide(ctx, p, before.trial, DeployRolledBack, "since the source is that of the version beside it again")
		}
		ps.mu.Lock()
		p.failure, p.refused = nil, [32]byte{}
		ps.mu.Unlock()
		return DeployUnchanged, before.current, nil
	}
	if before != nil && before.trial != nil && before.trial.version.record.identity == id {
		return DeployUnchanged, before.trial.version, nil
	}
	v, err := ps.prepare(ctx, p, s, before, d)
	if err != nil {
		return DeployFailed, nil, err
	}
	result, err := ps.publish(ctx, p, v, d)
	if err != nil {
		return DeployFailed, nil, errors.Join(err, v.end(context.WithoutCancel(ctx)))
	}
	return result, v, nil
}

// publish makes a version serve that could.
func (ps *plugins) publish(ctx context.Context, p *plugin, v *version, d deployment) (DeployResult, error) {
	result, change, retired, replaced, err := ps.publishNext(p, v, d)
	if err != nil {
		return DeployFailed, err
	}
	ps.retire(p, retired)
	ps.withdrawn(ctx, replaced)
	if s := p.serving.Load(); s != nil && s.trial != nil && s.trial.version == v {
		ps.retiring.Go(func() { ps.watchTrial(p, s.trial) })
	}
	ps.tell(v.label(), change, "")
	return result, nil
}

func (ps *plugins) publishNext(p *plugin, v *version, d deployment) (_ DeployResult, _ event.Change, _ retired, replaced withdrawal, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.is(stageClosing) {
		return "", "", retired{}, replaced, ErrClosed
	}
	if err := ps.clashLocked(p, v, d.replaces); err != nil {
		return "", "", retired{}, replaced, v.record.loadError(StepPublish, err)
	}
	before := p.serving.Load()
	next, result, change := &serving{current: v}, DeployLoaded, event.PluginReady
	p.failure, p.refused, p.held = nil, [32]byte{}, nil
	switch {
	case before == nil:
		p.rejected = [32]byte{}
	case d.back:
		result, change = DeployRolledBack, event.PluginRolledBack
		p.rejected, p.previous = before.current.record.identity, nil
		p.failure = before.current.record.loadError(StepRollback, errRolledBack)
	case d.canary && v.cfg.Canary > 0:
		result, change = DeployCanary, event.PluginCanary
		next = &serving{current: before.current, trial: newTrial(v, v.cfg.Canary)}
		p.rejected = [32]byte{}
	default:
		result, change = DeploySwapped, event.PluginSwapped
		p.rejected, p.previous = [32]byte{}, &before.current.record
	}
	if next.current == v {
		v.since, v.by = time.Now(), result
	}
	if r := d.record; r != nil {
		p.rejected, v.since, v.by = fromHex(r.Rejected), r.Since, DeployResult(r.By)
	}
	gone := ps.publishLocked(p, next)
	if other := ps.all[d.replaces]; other != nil { // its tasks find one or the other by now
		replaced = ps.withdrawLocked(other)
	}
	return result, change, gone, replaced, nil
}

// withdrawal is a plugin that was taken out of service.
type withdrawal struct {
	plugin  *plugin // nil for none
	version *version
	retired retired
}

// withdrawLocked takes a plugin out of service. [plugins.withdrawn] follows.
func (ps *plugins) withdrawLocked(p *plugin) withdrawal {
	w := withdrawal{plugin: p, version: p.current()}
	w.retired = ps.publishLocked(p, nil)
	p.failure, p.previous, p.rejected, p.refused, p.held, p.listed = nil, nil, [32]byte{}, [32]byte{}, nil, false
	p.paused.Store(false)
	return w
}

// withdrawn retires what was taken out of service, and tells of it.
func (ps *plugins) withdrawn(ctx context.Context, w withdrawal) {
	if w.plugin == nil {
		return
	}
	ps.remember(ctx, w.plugin)
	ps.retire(w.plugin, w.retired)
	if w.version == nil {
		return
	}
	ps.attempts.count(w.plugin.source, DeployUnloaded)
	ps.log.Info("plugin is unloaded", w.version.label().attrs()...)
	ps.tell(w.version.label(), event.PluginUnloaded, "")
}

// refuse takes note of a source that could not serve, and returns its error.
func (ps *plugins) refuse(p *plugin, s Source, err error, d deployment) *LoadError {
	e := (*LoadError)(nil)
	if !errors.As(err, &e) {
		e = newLoadError(s, StepPublish, err)
	}
	stamp := s.stamp()
	ps.mu.Lock()
	again := p.failure != nil && p.refused == stamp && p.failure.Error() == e.Error() && e.Temporary
	if !d.back { // else the file of the directory is another
		p.failure, p.refused = e, stamp
	}
	serving := p.current()
	ps.mu.Unlock()
	ps.attempts.count(p.source, DeployFailed)
	if again { // which is told
		ps.log.Debug("a plugin is refused again", "plugin", s.Name, "step", string(e.Step), "error", e.Err)
		return e
	}
	attrs := []any{"plugin", s.Name, "hash", e.Hash, "step", string(e.Step), "error", e.Err}
	if serving != nil {
		attrs = append(attrs, "serving", serving.manifest.Version)
	}
	ps.log.Warn("a plugin is refused", attrs...)
	ps.events.Publish(event.PluginChanged{Plugin: s.Name, Hash: e.Hash, Change: event.PluginRefused, Detail: e.Error()})
	return e
}

// unload takes the plugin of that source out of service, if there is one. asked is whether an operator wants
// that.
func (ps *plugins) unload(ctx context.Context, source string, asked bool) error {
	ctx, done, err := ps.transact(ctx)
	if err != nil {
		return err
	}
	defer done()
	p, leave, err := ps.place(ctx, source)
	if err != nil {
		return err
	}
	defer leave()
	if asked {
		ps.records.replace(p.source)
	}
	ps.mu.Lock()
	w := ps.withdrawLocked(p)
	ps.mu.Unlock()
	ps.withdrawn(ctx, w)
	return nil
}
