package host

import (
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/canary"
)

// trial is a canary: a version that does a share of its plugin's tasks, beside the one
// that does the others, until it is promoted or rolled back.
type trial struct {
	*canary.Trial

	version *version
}

func newTrial(v *version, share float64) *trial { return &trial{canary.New(share), v} }

// takes reports whether the canary does a task. Of a stream it does all or none.
func (c *trial) takes(t *task) bool {
	switch {
	case c.version.spec(t.transform) == nil:
		return false
	case t.stream != nil:
		return c.TakesStream(t.key)
	}
	return c.Takes()
}

// observe takes note of tasks that a side did, and how they ended.
func (c *trial) observe(t *task, ended Kind, took time.Duration, tasks int) {
	switch ended {
	case KindCancelled: // their callers' end
		c.GivenUp(t.canary, tasks)
	case "":
		c.Did(t.canary, tasks, took, t.stream != nil)
	}
}

// canaryLimits are what a canary of the plugin must keep to.
func (c *PluginConfig) canaryLimits() canary.Limits {
	return canary.Limits{Time: c.CanaryTime, Errors: c.CanaryErrors, Slowdown: c.CanarySlowdown}
}

// judge watches a trial until it is decided, by itself or by others, or the host closes.
func (h *Host) judge(p *plugin, c *trial) {
	limits := p.cfg.canaryLimits()
	ticker := time.NewTicker(limits.Every())
	defer ticker.Stop()
	for {
		select {
		case <-h.ending.Done():
			return
		case <-c.Alarm():
		case <-ticker.C:
		}
		if s := p.serving.Load(); s == nil || s.trial != c {
			return
		}
		switch verdict, why := c.Judge(limits); verdict {
		case canary.RollBack:
			h.decide(p, c, ReloadRolledBack, why)
			return
		case canary.Promote:
			h.decide(p, c, ReloadPromoted, why)
			return
		}
	}
}

// decide ends a trial, unless it has ended: the canary becomes the version that serves,
// or goes.
func (h *Host) decide(p *plugin, c *trial, result ReloadResult, why string) bool {
	h.mu.Lock()
	before := p.serving.Load()
	if before == nil || before.trial != c {
		h.mu.Unlock()
		return false
	}
	next := &serving{current: before.current}
	change, log := event.PluginRolledBack, h.log.Warn
	if result == ReloadPromoted {
		next.current = c.version
		c.version.since, c.version.by = time.Now(), result
		change, log = event.PluginPromoted, h.log.Info
		p.previous, p.rejected = &before.current.record, [32]byte{}
	} else {
		p.rejected = c.version.record.identity
		p.failure = c.version.record.loadError(StepRollback, fmt.Errorf("rolled back %s", why))
	}
	gone := h.publishLocked(p, next)
	h.mu.Unlock()
	h.remember(p)
	h.retire(p, gone)
	h.reloaded(p.source, result)
	log("the canary is "+string(change), "plugin", c.version.manifest.Name, "version", c.version.manifest.Version, "hash", c.version.hash, "reason", why)
	h.tellPlugin(c.version, change, why)
	return true
}
