package host

import (
	"context"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/canary"
)

// watchTrial watches a trial until it is decided, by itself or by others, or the host closes.
func (ps *plugins) watchTrial(p *plugin, c *trial) {
	limits := c.version.cfg.canaryLimits()
	ticker := time.NewTicker(limits.Every())
	defer ticker.Stop()
	for {
		select {
		case <-ps.ending.Done():
			return
		case <-c.Alarm():
		case <-ticker.C:
		}
		if s := p.serving.Load(); s == nil || s.trial != c {
			return
		}
		switch verdict, why := c.Judge(limits); verdict {
		case canary.RollBack:
			ps.decide(ps.ctx, p, c, DeployRolledBack, why)
			return
		case canary.Promote:
			ps.decide(ps.ctx, p, c, DeployPromoted, why)
			return
		}
	}
}

// decide ends a trial, unless it has ended: the canary becomes the version that serves,
// or goes. ctx bounds the keeping of that.
func (ps *plugins) decide(ctx context.Context, p *plugin, c *trial, result DeployResult, why string) bool {
	ps.mu.Lock()
	before := p.serving.Load()
	if before == nil || before.trial != c {
		ps.mu.Unlock()
		return false
	}
	next := &serving{current: before.current}
	change, log := event.PluginRolledBack, ps.log.Warn
	if result == DeployPromoted {
		next.current = c.version
		c.version.since, c.version.by = time.Now(), result
		change, log = event.PluginPromoted, ps.log.Info
		p.previous, p.rejected = &before.current.record, [32]byte{}
	} else {
		p.rejected = c.version.record.identity
		p.failure = c.version.record.loadError(StepRollback, fmt.Errorf("rolled back %s", why))
	}
	gone := ps.publishLocked(p, next)
	ps.mu.Unlock()
	ps.remember(ctx, p)
	ps.retire(p, gone)
	ps.attempts.count(p.source, result)
	log("the canary is "+string(change), c.version.label().attrs("reason", why)...)
	ps.tell(c.version.label(), change, why)
	return true
}
