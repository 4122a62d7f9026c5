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

// side is what one of the versions did meanwhile.
type side struct {
	tasks atomic.Uint64 // that came back from the guest
	given atomic.Uint64 // that their callers gave up while they ran
	// Of tasks without a stream, how many succeeded, and the sum of the logarithms of what
	// they took: a heavy stream stays with one side, and says nothing of the version.
	alike atomic.Uint64
	logs  atomic.Int64 // in 1/1024
}

// What it takes to judge a canary.
const (
	// fewFailures are not enough to end a trial before its time.
	fewFailures = 5
	// enough tasks must have come back from a canary before it is promoted, or patience
	// times its time be over.
	enough, patience = 20, 10
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

// observe takes note of tasks that a side did, and how they ended.
func (c *trial) observe(t *task, ended Kind, took time.Duration, tasks int) {
	s := &c.sides[0]
	if t.canary {
		s = &c.sides[1]
	}
	switch ended {
	case KindCancelled: // their callers' end
		s.given.Add(uint64(tasks))
		if t.canary {
			c.wake(s.given.Load())
		}
	case "":
		s.tasks.Add(uint64(tasks))
		if t.stream == nil {
			s.alike.Add(uint64(tasks))
			s.logs.Add(int64(1024 * float64(tasks) * math.Log(max(1, float64(took)/float64(tasks)))))
		}
	}
}

// fail takes note of tasks that the canary failed and the version beside it did.
func (c *trial) fail(tasks uint64) { c.wake(c.failed.Add(tasks)) }

// wake has the trial judged, if so many have gone wrong that it may end.
func (c *trial) wake(wrong uint64) {
	if wrong < fewFailures {
		return
	}
	select {
	case c.alarm <- struct{}{}:
	default:
	}
}

// slowdown is how much longer the canary's tasks take, by the geometric mean, which few
// heavy ones hardly change; 0 if that is not known.
func (c *trial) slowdown() float64 {
	var mean [2]float64
	for i := range c.sides {
		n := c.sides[i].alike.Load()
		if n < fewTasks {
			return 0
		}
		mean[i] = float64(c.sides[i].logs.Load()) / 1024 / float64(n)
	}
	return math.Exp(mean[1] - mean[0])
}

// fault says what is wrong with the canary so far; "" if nothing is. Before the end of
// its time few failures are none.
func (c *trial) fault(cfg *PluginConfig, ended bool) string {
	failed, given := c.failed.Load(), c.sides[1].given.Load()
	// A task that failed may have come back from the guest, too.
	tasks := max(c.sides[1].tasks.Load(), failed) + given
	before := c.sides[0].given.Load()
	usual := float64(before) / float64(max(1, c.sides[0].tasks.Load()+before)) * float64(tasks)
	wrong := float64(failed) + max(0, float64(given)-usual)
	if wrong > 0 && (ended || wrong >= fewFailures) && wrong > cfg.CanaryErrors*float64(tasks) {
		return fmt.Sprintf("since of about %d tasks it failed %d that the version beside it did, and callers gave up %d as it ran them, against %.0f by the other: more than %.3g %%",
			tasks, failed, given, usual, 100*cfg.CanaryErrors)
	}
	if s := c.slowdown(); s > cfg.CanarySlowdown {
		return fmt.Sprintf("since its tasks take %.2f times as long, more than %.3g times", s, cfg.CanarySlowdown)
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
		tasks, age := c.sides[1].tasks.Load(), time.Since(c.began)
		ended := age >= p.cfg.CanaryTime && (tasks >= enough || age >= patience*p.cfg.CanaryTime)
		if why := c.fault(&p.cfg, ended); why != "" {
			h.decide(p, c, ReloadRolledBack, why)
			return
		}
		if ended {
			h.decide(p, c, ReloadPromoted, fmt.Sprintf("%d tasks in %v, %d failed", tasks, age.Round(time.Millisecond), c.failed.Load()))
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
