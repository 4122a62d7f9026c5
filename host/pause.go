package host

import (
	"context"

	"github.com/resonhost/resonhost/host/event"
)

// switchPaused pauses a plugin or resumes it, which is within a transaction. With a version it
// does so only if that serves, and is no canary. ctx bounds the keeping of that.
func (ps *plugins) switchPaused(ctx context.Context, p *plugin, paused bool, of *version) {
	ps.mu.Lock()
	now := p.current()
	unchanged := of != nil && of != now || p.paused.Swap(paused) == paused
	ps.mu.Unlock()
	if unchanged {
		return
	}
	change := event.PluginResumed
	if paused {
		change = event.PluginPaused
	}
	err := ps.save(ctx, p)
	ps.log.Info("plugin is "+string(change), "plugin", p.source, "at_next_start_too", ps.records != nil && err == nil)
	if err != nil {
		ps.log.Warn("that the plugin is "+string(change)+" is not kept for the next start", "plugin", p.source, "error", err)
	}
	if now != nil {
		ps.tell(now.label(), change, "")
	}
}

// recallPaused has a plugin that came after the start be paused if it was when its record was
// kept, once. p.deploying is held.
func (ps *plugins) recallPaused(p *plugin) {
	if ps.records != nil && !p.recalled {
		ps.setPaused(p, ps.records.recall(p.source).Paused)
	}
}

// setPaused has a plugin be paused if it was.
func (ps *plugins) setPaused(p *plugin, paused bool) {
	p.recalled = true
	if paused && !p.paused.Swap(true) {
		ps.log.Warn("the plugin is paused, as it was before: it takes no tasks until it is resumed", "plugin", p.source)
	}
}
