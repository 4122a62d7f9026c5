package host

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

// trial is a canary: a version that does a share of its plugin's tasks, beside the one
// that does the others, until it is promoted or rolled back.
type trial struct {
	version *version
	share   float64
	began   time.Time
	seed    maphash.Seed
	sides   [2]side // of the version that was there, and of the canary
	failed  atomic.Uint64
	alarm   chan struct{} // has a token when the trial is to be judged at once
}

// side is what one of the versions did meanwhile: tasks that succeeded.
type side struct {
	tasks atomic.Uint64
	busy  atomic.Int64 // in ns
}

// What it takes to judge a canary.
const (
	// fewFailures are not enough to end a trial before its time.
	fewFailures = 5
	// fewTasks of a side tell nothing of how fast it is.
	fewTasks = 100
	// looks is how often a trial is looked at in its time.
	looks = 20
)

func newTrial(v *version, share float64) *trial {
	return &trial{version: v, share: share, began: time.Now(), seed: maphash.MakeSeed(), alarm: make(chan struct{}, 1)}
}

// takes reports whether the canary does a task. Of a stream it does all or none.
func (c *trial) takes(t *task) bool {
	if c.version.spec(t.transform) == nil {
		return false
	}
	at := rand.Uint64() //nolint:gosec // who guesses it gains nothing
	if t.stream != nil {
		at = maphash.String(c.seed, t.key)
	}
	return float64(at) < c.share*math.MaxUint64
}

// observe takes note of tasks that a side did.
func (c *trial) observe(canary bool, took time.Duration, tasks int) {
	s := &c.sides[0]
	if canary {
		s = &c.sides[1]
	}
	s.tasks.Add(uint64(tasks))
	s.busy.Add(int64(took))
}

// fail takes note of tasks that the canary failed and the version beside it did.
func (c *trial) fail(tasks uint64) {
	if c.failed.Add(tasks) < fewFailures {
		return
	}
	select {
	case c.alarm <- struct{}{}:
	default:
	}
}

// slowdown is how much longer the canary's tasks take on average; 0 if that is not known.
func (c *trial) slowdown() float64 {
	var mean [2]float64
	for i := range c.sides {
		n := c.sides[i].tasks.Load()
		if n < fewTasks {
			return 0
		}
		mean[i] = float64(c.sides[i].busy.Load()) / float64(n)
	}
	return mean[1] / mean[0]
}

// fault says what is wrong with the canary so far; "" if nothing is. Before the end of
// its time few failures are none.
func (c *trial) fault(cfg *PluginConfig, ended bool) string {
	failed := c.failed.Load()
	// A task that failed may have been counted as one that was done as well.
	tasks := max(c.sides[1].tasks.Load(), failed)
	if failed > 0 && (ended || failed >= fewFailures) && float64(failed) > cfg.CanaryErrors*float64(tasks) {
		return fmt.Sprintf("it failed %d of about %d tasks that the version beside it did, more than %.3g %%", failed, tasks, 100*cfg.CanaryErrors)
	}
	if s := c.slowdown(); s > cfg.CanarySlowdown {
		return fmt.Sprintf("its tasks take %.2f times as long, more than %.3g times", s, cfg.CanarySlowdown)
	}
	return ""
}

// judge watches a trial until it is decided, by itself or by others, or the host closes.
func (h *Host) judge(p *plugin, c *trial) {
	ticker := time.NewTicker(max(p.cfg.CanaryTime/looks, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-h.ending.Done():
			return
		case <-c.alarm:
		case <-ticker.C:
		}
		s := p.serving.Load()
		if s == nil || s.trial != c {
			return
		}
		ended := time.Since(c.began) >= p.cfg.CanaryTime
		if why := c.fault(&p.cfg, ended); why != "" {
			h.decide(p, c, ReloadRolledBack, why)
			return
		}
		if ended {
			h.decide(p, c, ReloadPromoted, fmt.Sprintf("%d tasks in %v, %d failed", c.sides[1].tasks.Load(), p.cfg.CanaryTime, c.failed.Load()))
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
		change, log = event.PluginPromoted, h.log.Info
		p.previous, p.rejected = &before.current.record, [32]byte{}
	} else {
		p.rejected = c.version.record.identity
		p.failure = newLoadError(c.version.record.source, StepRollback, fmt.Errorf("rolled back: %s", why))
	}
	transforms, versions := h.publishLocked(p, next)
	h.mu.Unlock()
	h.remember(p)
	h.retire(p, transforms, versions)
	h.reloaded(p.source, result)
	log("the canary is "+string(change), "plugin", c.version.manifest.Name, "version", c.version.manifest.Version, "hash", c.version.hash, "reason", why)
	h.tellPlugin(c.version, change, why)
	return true
}
