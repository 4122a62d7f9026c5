package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/foreign"
)

// ErrUnknownPlugin is wrapped by the error for a plugin that there is not.
var ErrUnknownPlugin = errors.New("unknown plugin")

// find returns the plugin of a source's name, or else a manifest's.
func (h *Host) find(name string) (*plugin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.plugins[name]; p != nil {
		return p, nil
	}
	for _, p := range h.plugins {
		if v := p.now(); v != nil && v.manifest.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w %q", ErrUnknownPlugin, foreign.Cut(name))
}

// Reload reads a plugin's file in Config.PluginDir again, named by its source or the
// plugin's own name, and deploys it, also if it was refused before.
func (h *Host) Reload(ctx context.Context, plugin string) (ReloadResult, error) {
	if h.cfg.PluginDir == "" {
		return ReloadFailed, fmt.Errorf("%w: there is no plugin directory", ErrFixed)
	}
	if p, err := h.find(plugin); err == nil {
		plugin = p.source
	}
	s, err := h.readSource(ctx, plugin)
	if err != nil {
		return ReloadFailed, err
	}
	return h.Deploy(ctx, s)
}

// Rollback gives a canary up; or, without one, deploys the version that served before the
// one that does. What it took out of service is not taken again from Config.PluginDir
// until it changes there, or by [Host.Reload]. A transaction of the plugin that is under
// way ends for it.
//
// A rule goes before PluginConfig.StateRule, which 0 stands for: with StateReset it goes back
// to a version that cannot read the states that streams have by now.
func (h *Host) Rollback(ctx context.Context, plugin string, rule StateRule) error {
	if rule != 0 && rule != StateRefuse && rule != StateReset {
		return fmt.Errorf("rule: must be 0, StateRefuse or StateReset, is StateRule(%d)", rule)
	}
	ctx, done, err := h.transact(ctx)
	if err != nil {
		return err
	}
	defer done()
	p, err := h.find(plugin)
	if err != nil {
		return err
	}
	h.supersede(p)
	p, leave, err := h.place(ctx, p.source)
	if err != nil {
		return err
	}
	defer leave()
	serving := p.serving.Load()
	if serving != nil && serving.trial != nil && h.decide(p, serving.trial, ReloadRolledBack, "by request") {
		return nil
	}
	h.mu.Lock()
	previous := p.previous
	h.mu.Unlock()
	if serving == nil || previous == nil {
		return fmt.Errorf("plugin %s: %w", plugin, ErrNoPrevious)
	}
	_, err = h.transaction(ctx, p, previous.source, deployment{back: true, rule: rule})
	return err
}

// ErrNoPrevious is wrapped by the error of [Host.Rollback] if no version served before,
// or that was rolled back to already.
var ErrNoPrevious = errors.New("there is no earlier version")

// ErrNoCanary is wrapped by the error of [Host.Promote] without a canary.
var ErrNoCanary = errors.New("there is no canary")

// Promote makes a canary the version that serves, before its time.
func (h *Host) Promote(plugin string) error {
	_, done, err := h.transact(context.Background())
	if err != nil {
		return err
	}
	defer done()
	p, err := h.find(plugin)
	if err != nil {
		return err
	}
	if s := p.serving.Load(); s != nil && s.trial != nil && h.decide(p, s.trial, ReloadPromoted, "by request") {
		return nil
	}
	return fmt.Errorf("plugin %s: %w", plugin, ErrNoCanary)
}

// Pause has a plugin take no tasks: they are refused with [ErrPaused], but those that it
// took go on. Versions can change meanwhile. Pausing it again is fine. With Config.Watch and
// Config.CacheDir the next host of the directory begins with it paused; the log warns if that
// cannot be kept.
func (h *Host) Pause(plugin string) error { return h.pause(plugin, true) }

// Resume ends what [Host.Pause] began. Without that it does nothing.
func (h *Host) Resume(plugin string) error { return h.pause(plugin, false) }

func (h *Host) pause(plugin string, paused bool) error {
	_, done, err := h.transact(context.Background())
	if err != nil {
		return err
	}
	defer done()
	p, err := h.find(plugin)
	if err != nil {
		return err
	}
	h.switchPaused(p, paused, nil)
	return nil
}

// switchPaused pauses a plugin or resumes it, which is within a transaction. With a version it
// does so only if that serves, and is no canary.
func (h *Host) switchPaused(p *plugin, paused bool, of *version) {
	h.mu.Lock()
	now := p.now()
	unchanged := of != nil && of != now || p.paused.Swap(paused) == paused
	h.mu.Unlock()
	if unchanged {
		return
	}
	change := event.PluginResumed
	if paused {
		change = event.PluginPaused
	}
	err := h.save(p)
	h.log.Info("plugin is "+string(change), "plugin", p.source, "at_next_start_too", h.store != nil && err == nil)
	if err != nil {
		h.log.Warn("that the plugin is "+string(change)+" is not kept for the next start", "plugin", p.source, "error", err)
	}
	if now != nil {
		h.tellPlugin(now, change, "")
	}
}

// Unload takes a plugin out of service. Its tasks that wait or run are done, within
// SwapTimeout; further ones find no such transform. It is no longer paused. Of a plugin that is known
// for its failure alone, that is forgotten.
func (h *Host) Unload(ctx context.Context, plugin string) error {
	p, err := h.find(plugin)
	if err != nil {
		return err
	}
	return h.unload(ctx, p.source)
}

// unload takes the plugin of that source out of service, if there is one.
func (h *Host) unload(ctx context.Context, source string) error {
	ctx, done, err := h.transact(ctx)
	if err != nil {
		return err
	}
	defer done()
	p, leave, err := h.place(ctx, source)
	if err != nil {
		return err
	}
	defer leave()
	h.mu.Lock()
	v := p.now()
	gone := h.publishLocked(p, nil)
	p.failure, p.previous, p.rejected, p.refused, p.listed = nil, nil, [32]byte{}, [32]byte{}, false
	p.paused.Store(false)
	h.mu.Unlock()
	h.remember(p)
	h.retire(p, gone)
	if v == nil {
		return nil
	}
	h.reloaded(p.source, ReloadUnloaded)
	h.log.Info("plugin is unloaded", "plugin", v.manifest.Name, "version", v.manifest.Version, "hash", v.hash)
	h.tellPlugin(v, event.PluginUnloaded, "")
	return nil
}
