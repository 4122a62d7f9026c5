package host

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoPrevious is wrapped by the error of [Host.Rollback] if no version served before,
// or that was rolled back to already.
var ErrNoPrevious = errors.New("there is no earlier version")

// ErrNoCanary is wrapped by the error of [Host.Promote] if the plugin has no canary.
var ErrNoCanary = errors.New("there is no canary")

// Deploy makes a source a plugin that serves, or a new version of the one that serves
// under its name. It is a transaction. The source is checked and compiled, and must pass
// its self-tests. Its pool is made as warm as its predecessor's. Only then do tasks run on
// it, from one moment to the next. Tasks under way end on the version they began with.
// Those that wait begin on the new one. Deploy does not wait for either.
//
// With PluginConfig.Canary the new version first does a share of the tasks, beside the
// one that serves. A source that serves already changes nothing.
//
// Transactions of one plugin take place one after the other: Deploy waits for the one
// before it. Those of other plugins go on meanwhile.
//
// If Deploy fails, what served before goes on. The error is a [*LoadError] if the source
// could not serve; [LoadError.Temporary] says whether trying again may help. Otherwise it says
// nothing of the source, and wraps one of these:
//
//   - [ErrNotStarted] before Start has ended, and [ErrClosed] once Close has begun;
//   - [ErrFixed] in ModeInline;
//   - [ErrSuperseded] if a newer change of the plugin has ended the transaction;
//   - the cause of ctx if that ends first. It ends the compiling, too.
//
// [Host.Reload], [Host.Rollback], [Host.Promote], [Host.Pause], [Host.Resume] and
// [Host.Unload] fail likewise where the host cannot change plugins: with ErrNotStarted,
// ErrClosed or ErrFixed. All may be called concurrently.
func (h *Host) Deploy(ctx context.Context, s Source) (DeployResult, error) {
	return h.plugins.deploy(ctx, s, deployment{canary: true, asked: true})
}

// Reload reads a plugin's file in Config.PluginDir again, and deploys it as [Host.Deploy] does,
// also if it was refused before. The plugin has the name of its source, or that of its manifest.
//
// The error wraps [ErrFixed] without a plugin directory, [ErrUnknownPlugin] if the directory has
// no such file, and what came of reading the file if that failed. Else it is that of Deploy.
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

// Rollback gives a canary up. Without a canary it deploys the version that served before the
// one that does. What it took out of service is not taken again from Config.PluginDir
// until it changes there, or by [Host.Reload]. A transaction of the plugin that is under
// way is ended first, with [ErrSuperseded].
//
// rule is what becomes of states of streams that the earlier version cannot read: StateRefuse
// lets the rollback fail for them, StateReset has those streams begin anew. StateDefault is
// the plugin's PluginConfig.StateRule.
//
// The error wraps [ErrUnknownPlugin], or [ErrNoPrevious] if there is nothing to go back to.
// Deploying the earlier version can fail as in [Host.Deploy]: with a [*LoadError], ErrSuperseded,
// or the cause of ctx. What served goes on then.
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
		if ps.decide(ctx, p, serving.trial, DeployRolledBack, "by request") {
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
//
// The error wraps [ErrUnknownPlugin], or [ErrNoCanary]. If ctx has ended before, nothing changes and the
// error wraps its cause. It does not wait for a transaction of the plugin, nor for tasks.
//
// The decision is kept for the next start, as [Host.Pause] keeps its own.
func (h *Host) Promote(ctx context.Context, plugin string) error {
	_, p, done, err := h.plugins.change(ctx, plugin)
	if err != nil {
		return err
	}
	defer done()
	if s := p.serving.Load(); s != nil && s.trial != nil {
		h.plugins.records.replace(p.source)
		if h.plugins.decide(ctx, p, s.trial, DeployPromoted, "by request") {
			return nil
		}
	}
	if h.plugins.release(ctx, p) {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", plugin, ErrNoCanary)
}

// Pause has a plugin take no tasks. Further tasks are refused with [ErrPaused], and those that it
// took go on. Versions can change meanwhile. Pausing it again is fine.
//
// The error wraps [ErrUnknownPlugin]. If ctx has ended before, nothing changes and the error wraps its
// cause.
//
// With Config.State, or with Config.Watch and Config.CacheDir, the next host begins with the plugin
// paused. So Pause writes to files, and waits for the store: until ctx ends, 2 s at most. If the store
// has not answered by then the plugin is paused all the same, the log warns, and the next save of
// states tries it again.
func (h *Host) Pause(ctx context.Context, plugin string) error {
	return h.pause(ctx, plugin, true)
}

// Resume ends what [Host.Pause] began, and fails and waits as that does. A plugin that is not paused
// stays as it is.
func (h *Host) Resume(ctx context.Context, plugin string) error {
	return h.pause(ctx, plugin, false)
}

func (h *Host) pause(ctx context.Context, plugin string, paused bool) error {
	_, p, done, err := h.plugins.change(ctx, plugin)
	if err != nil {
		return err
	}
	defer done()
	replaced := h.plugins.records.replace(p.source)
	h.plugins.switchPaused(ctx, p, paused, nil)
	if replaced { // which saves also if it was that way
		h.plugins.remember(ctx, p)
	}
	return nil
}

// Unload takes a plugin out of service. It waits for the plugin's transaction under way, until ctx
// ends, and not for tasks. Tasks that wait or run are done, within SwapTimeout; further ones find no such
// transform. The plugin is no longer paused. Of a plugin that is known for its failure alone, that is
// forgotten.
//
// The error wraps [ErrUnknownPlugin], or the cause of ctx if that ends while it waits. Nothing has
// changed then.
func (h *Host) Unload(ctx context.Context, plugin string) error {
	p, err := h.plugins.find(plugin)
	if err != nil {
		return err
	}
	return h.plugins.unload(ctx, p.source, true)
}

// FinishVerifying waits until all tasks are compared that were taken so far to be compared with the
// interpreter, see [VerifySample]. Tasks that are taken while it waits may be compared or not. [Host.Close]
// waits for none of them, so a program that wants all compared calls this first.
//
// If ctx ends before, the error is that of ctx, and the comparison goes on. If a version was replaced
// before its tasks were compared, they are skipped, and another error names the version.
func (h *Host) FinishVerifying(ctx context.Context) error { return h.plugins.finishVerifying(ctx) }
