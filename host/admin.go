package host

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoPrevious is wrapped by the error of [Host.Rollback] if no version served before,
// or that was rolled back to already.
var ErrNoPrevious = errors.New("there is no earlier version")

// ErrNoCanary is wrapped by the error of [Host.Promote] without a canary.
var ErrNoCanary = errors.New("there is no canary")

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
func (h *Host) Deploy(ctx context.Context, s Source) (DeployResult, error) {
	return h.plugins.deploy(ctx, s, deployment{canary: true, asked: true})
}

// Reload reads a plugin's file in Config.PluginDir again, named by its source or the
// plugin's own name, and deploys it, also if it was refused before.
func (h *Host) Reload(ctx context.Context, plugin string) (DeployResult, error) {
	if h.cfg.PluginDir == "" {
		return DeployFailed, fmt.Errorf("%w: there is no plugin directory", ErrFixed)
	}
	if p, err := h.plugins.find(plugin); err == nil {
		plugin = p.source
	}
	s, err := readSource(ctx, &h.cfg, plugin)
	if errors.Is(err, ErrUnknownPlugin) {
		return DeployFailed, fmt.Errorf("%w%s", err, h.plugins.near(plugin))
	}
	if err != nil {
		return DeployFailed, err
	}
	return h.Deploy(ctx, s)
}

// Rescan has a watched Config.PluginDir looked at now, rather than within Config.Poll. It does not wait
// for what comes of it. The error wraps [ErrFixed] if the host watches no directory.
func (h *Host) Rescan() error {
	w := h.follower.watcher.Load()
	if w == nil {
		return fmt.Errorf("%w: no plugin directory is watched", ErrFixed)
	}
	w.Look()
	return nil
}

// Rollback gives a canary up; or, without one, deploys the version that served before the
// one that does. What it took out of service is not taken again from Config.PluginDir
// until it changes there, or by [Host.Reload]. A transaction of the plugin that is under
// way ends for it.
//
// rule is what becomes of states of streams that the earlier version cannot read: StateRefuse
// lets the rollback fail for them, StateReset has those streams begin anew; StateDefault is
// the plugin's PluginConfig.StateRule.
func (h *Host) Rollback(ctx context.Context, plugin string, rule StateRule) error {
	if rule != StateDefault && rule != StateRefuse && rule != StateReset {
		return fmt.Errorf("rule: must be StateDefault, StateRefuse or StateReset, is StateRule(%d)", rule)
	}
	ps := h.plugins
	ctx, p, done, err := ps.change(ctx, plugin)
	if err != nil {
		return err
	}
	defer done()
	none := fmt.Errorf("plugin %s: %w", plugin, ErrNoPrevious)
	if serving, previous := ps.before(p); serving == nil || serving.trial == nil && previous == nil {
		return none // and a version that is being loaded goes on
	}
	ps.supersede(p)
	p, leave, err := ps.place(ctx, p.source)
	if err != nil {
		return err
	}
	defer leave()
	if serving := p.serving.Load(); serving != nil && serving.trial != nil {
		ps.records.replace(p.source)
		if ps.decide(p, serving.trial, DeployRolledBack, "by request") {
			return nil
		}
	}
	serving, previous := ps.before(p)
	if serving == nil || previous == nil {
		return none
	}
	_, err = ps.transaction(ctx, p, previous.source, deployment{back: true, rule: rule, asked: true})
	return err
}

// before returns what serves of a plugin, and what it would go back to.
func (ps *plugins) before(p *plugin) (*serving, *record) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return p.serving.Load(), p.previous
}

// Promote makes a canary the version that serves, before its time. A canary that does all tasks already,
// since the version beside it was not kept, is no canary any more.
func (h *Host) Promote(plugin string) error {
	_, p, done, err := h.plugins.change(context.Background(), plugin)
	if err != nil {
		return err
	}
	defer done()
	if s := p.serving.Load(); s != nil && s.trial != nil {
		h.plugins.records.replace(p.source)
		if h.plugins.decide(p, s.trial, DeployPromoted, "by request") {
			return nil
		}
	}
	if h.plugins.release(p) {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", plugin, ErrNoCanary)
}

// Pause has a plugin take no tasks: they are refused with [ErrPaused], but those that it
// took go on. Versions can change meanwhile. Pausing it again is fine. With Config.State, or with
// Config.Watch and Config.CacheDir, the next host begins with it paused; the log warns if that
// cannot be kept.
func (h *Host) Pause(plugin string) error { return h.pause(plugin, true) }

// Resume ends what [Host.Pause] began. Without that it does nothing.
func (h *Host) Resume(plugin string) error { return h.pause(plugin, false) }

func (h *Host) pause(plugin string, paused bool) error {
	_, p, done, err := h.plugins.change(context.Background(), plugin)
	if err != nil {
		return err
	}
	defer done()
	replaced := h.plugins.records.replace(p.source)
	h.plugins.switchPaused(p, paused, nil)
	if replaced { // which saves also if it was that way
		h.plugins.remember(p)
	}
	return nil
}

// Unload takes a plugin out of service. Its tasks that wait or run are done, within
// SwapTimeout; further ones find no such transform. It is no longer paused. Of a plugin that is known
// for its failure alone, that is forgotten.
func (h *Host) Unload(ctx context.Context, plugin string) error {
	p, err := h.plugins.find(plugin)
	if err != nil {
		return err
	}
	return h.plugins.unload(ctx, p.source, true)
}

// FinishVerifying waits until the tasks that were taken to be compared with the interpreter, see
// [VerifySample], are compared, and those that come meanwhile as it likes. Its error is ctx's, if
// that ends before; the comparison then goes on. It is another if a version was replaced meanwhile,
// whose tasks are skipped then. [Host.Close] waits for none.
func (h *Host) FinishVerifying(ctx context.Context) error { return h.plugins.finishVerifying(ctx) }
