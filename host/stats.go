package host

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/internal/pool"
	"github.com/resonhost/resonhost/internal/histogram"
)

// Stats is a snapshot of a host. Counters count from [New].
type Stats struct {
	// Workers is how many tasks can run at once, Active how many do; the others
	// are idle. Reserve is how many urgent ones run beyond Workers or their plugin's
	// MaxInstances.
	Workers, Active, Reserve int
	// Busy is the time that workers were active, without the reserve, added up: over a
	// period, Busy / (Workers × period) is their utilisation.
	Busy time.Duration
	// QueueDepth is how many tasks wait for a worker, and Blocked how many
	// callers wait for room in a full queue.
	QueueDepth, Blocked int
	// Dropped is how many tasks were dropped from a full queue for newer ones.
	Dropped uint64
	// FramesRetried is how many shared crossings failed and had their tasks run
	// again one by one.
	FramesRetried uint64
	// UnknownTransform is how many tasks were for a transform that no plugin
	// has.
	UnknownTransform uint64
	// Streams is how many streams' states are kept, and StreamBytes what those
	// take that no task uses; StreamsEvicted and StreamsExpired are how many were forgotten for
	// want of room, and of age.
	Streams, StreamBytes           int
	StreamsEvicted, StreamsExpired uint64
	// StreamsReset is how many began anew because a version of their plugin could not
	// read their state, see StateReset.
	StreamsReset uint64
	// Rerun is how many tasks another version of the plugin did, because a canary failed
	// them, or the one they ran on had to end.
	Rerun uint64
	// Reloads is what came of attempts to change plugins, by source and result. Of very
	// many sources the further ones count as "".
	Reloads map[string]map[ReloadResult]uint64
	// Memory is how much linear memory all instances have, in bytes, and
	// MemoryBudget how much they may.
	Memory, MemoryBudget uint64
	// Plugins are the plugins that serve, sorted by name.
	Plugins []PluginStats
}

// PluginStats is a snapshot of one plugin.
type PluginStats struct {
	Plugin
	// Instances is how many instances there are, InUse how many of them run a
	// task, and MaxInstances how many there can be, but one for an urgent task.
	Instances, InUse, MaxInstances int
	// InstanceMemory is the linear memory that an instance has once it is made, in bytes;
	// 0 in mode Inline.
	InstanceMemory uint64
	// Created is how many instances were made; CreateFailed how many could not
	// be. Broken, Retired and Evicted are how many were freed because they
	// failed, had reached a limit of PluginConfig, or lay idle; Replaced because
	// a task had them grow, or isolation is IsolationFresh.
	Created, CreateFailed, Broken, Replaced, Retired, Evicted uint64
	// QueueDepth is how many tasks wait for a worker.
	QueueDepth int
	// Suspended is whether the plugin is suspended, see PluginConfig.BreakAfter,
	// and Suspensions how often it was.
	Suspended   bool
	Suspensions uint64
	// Verify counts comparisons of its tasks with the interpreter.
	Verify VerifyStats
	// LogDropped is how many bytes of the plugin's log were dropped.
	LogDropped uint64
	// Transforms are in the manifest's order.
	Transforms []TransformStats
}

// TransformStats is a snapshot of one transform.
type TransformStats struct {
	Name string
	// OK is how many tasks succeeded, Errors how many failed, by kind; kinds
	// that did not occur are left out.
	OK     uint64
	Errors map[Kind]uint64
	// Fuel is how much all tasks burnt.
	Fuel uint64
	// Window is how many tasks that wait a worker does in a row where it does so, see
	// PluginConfig.BatchTarget, and Joined how many were done so, after another's.
	Window int
	Joined uint64
	// Wait is how long tasks waited for a worker, and Run how long crossings into
	// the guest took; tasks of one batch share a wait, those of one frame both. Latency is from the
	// submission of a task that ran to its end, failed or not.
	Wait, Run, Latency Histogram
}

// Plugin describes a plugin: one that serves, or a source that could not.
type Plugin struct {
	// Source is the name of its [Source].
	Source string
	// Name and Version are the manifest's, Hash the SHA-256 of the binary in
	// hexadecimal; "" while nothing serves.
	Name, Version, Hash string
	// Transforms are in the manifest's order.
	Transforms []Transform
	// Since is when this version began to serve, alone if it was a canary first, and By what had it
	// do so: ReloadLoaded, ReloadSwapped, ReloadPromoted or ReloadRolledBack. A restart changes
	// neither, with Config.CacheDir and Config.Watch.
	Since time.Time
	By    ReloadResult
	// Loading is how long its checks took, from the source to what could serve, and
	// Compiling how much of that compiling did: 0 if it was compiled before, see
	// Config.CacheDir.
	Loading, Compiling time.Duration
	// Paused is whether it is, see [Host.Pause].
	Paused bool
	// Previous is the version that [Host.Rollback] goes back to, by the hash of its
	// binary; "" without one.
	Previous string
	// Canary does a share of the tasks; nil without one.
	Canary *Canary
	// Mismatch is what the last task of the version was, among the first 16, that the interpreter
	// answered differently, see VerifySample; "" without one.
	Mismatch string
	// Failure is why the newest source does not serve; nil if it does.
	Failure *LoadError
}

// Canary is a version on trial, see PluginConfig.Canary.
type Canary struct {
	Version, Hash string
	// Share is its share of the tasks, and Since when it began.
	Share float64
	Since time.Time
	// Tasks is how many it did, and Failed how many of its tasks only the version beside
	// it did. Slowdown is how much longer its tasks take on average; 0 if that is not
	// known yet.
	Tasks, Failed uint64
	Slowdown      float64
}

// Transform describes a transform.
type Transform struct {
	Name string
	// Input and Output are the media types of its payloads.
	Input, Output string
	// StateBytes is the most it keeps for a stream; 0 without state.
	StateBytes int
	// Timeout is the run timeout in force; 0 in mode Inline, which has none.
	Timeout time.Duration
}

func (h *Host) describe(p *plugin) Plugin {
	d := Plugin{Source: p.source, Paused: p.paused.Load()}
	s := p.serving.Load()
	if s != nil {
		v := s.current
		d.Name, d.Version, d.Hash = v.manifest.Name, v.manifest.Version, v.hash
		if r, ok := v.engine.(sandbox); ok {
			d.Loading, d.Compiling = v.loading, r.Info().Compiling
		}
		d.Mismatch = v.mismatch()
		for _, t := range v.order {
			d.Transforms = append(d.Transforms, v.describe(t))
		}
		if c := s.trial; c != nil {
			n := c.Stats()
			d.Canary = &Canary{
				Version: c.version.manifest.Version, Hash: c.version.hash, Share: n.Share, Since: n.Since,
				Tasks: n.Tasks, Failed: n.Failed, Slowdown: n.Slowdown,
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s != nil {
		d.Since, d.By = s.current.since, s.current.by
	}
	d.Failure = p.failure
	if p.previous != nil {
		d.Previous = p.previous.hash
	}
	return d
}

func (v *version) describe(t *transform) Transform {
	s := v.spec(t)
	return Transform{Name: t.name, Input: t.input, Output: t.output, StateBytes: s.StateBytes, Timeout: s.timeout}
}

// Plugins returns the plugins that serve, sorted by name, and behind them the sources that
// could not, of which Hash is "". There are none before [Host.Start] and after
// [Host.Close].
func (h *Host) Plugins() []Plugin {
	t := h.table.Load()
	if t == nil || h.isClosing() {
		return nil
	}
	list := make([]Plugin, 0, len(t.plugins))
	for _, p := range t.plugins {
		list = append(list, h.describe(p))
	}
	var refused []*plugin
	h.mu.Lock()
	for _, p := range h.plugins {
		if p.failure != nil {
			refused = append(refused, p)
		}
	}
	h.mu.Unlock()
	refused = slices.DeleteFunc(refused, func(p *plugin) bool { return slices.Contains(t.plugins, p) })
	slices.SortFunc(refused, func(a, b *plugin) int { return strings.Compare(a.source, b.source) })
	for _, p := range refused {
		list = append(list, h.describe(p))
	}
	return list
}

// Lookup describes the transform of that name. Its error is an [*Error].
func (h *Host) Lookup(transform string) (Transform, error) {
	t, err := h.lookup(transform, 0)
	if err != nil {
		return Transform{}, err
	}
	return t.current().describe(t), nil
}

// Workers returns how many tasks can run at once, as [Stats] has it. It takes no lock.
func (h *Host) Workers() int { return h.cfg.Workers }

// Stats returns a snapshot.
func (h *Host) Stats() Stats {
	q, st := h.sched.Stats(), h.streams.Stats()
	s := Stats{
		Workers: q.Slots, Active: q.Active, Reserve: q.Reserve, Busy: q.Busy,
		QueueDepth: q.Depth, Blocked: q.Blocked, Dropped: q.Dropped,
		FramesRetried: h.retried.Load(), UnknownTransform: h.unknown.Load(),
		Streams: st.Streams, StreamBytes: st.Bytes, StreamsEvicted: st.Evicted, StreamsExpired: st.Expired,
		StreamsReset: h.reset.Load(), Rerun: h.rerun.Load(), Reloads: make(map[string]map[ReloadResult]uint64),
	}
	s.Memory, s.MemoryBudget = h.budget.Held(), h.budget.Limit()
	if t := h.table.Load(); t != nil {
		for _, p := range t.plugins {
			if p.now() != nil {
				s.Plugins = append(s.Plugins, h.pluginStats(p))
			}
		}
	}
	h.telling.Lock()
	defer h.telling.Unlock()
	for source, results := range h.reloads {
		s.Reloads[source] = maps.Clone(results)
	}
	return s
}

func (h *Host) pluginStats(p *plugin) PluginStats {
	s := PluginStats{Plugin: h.describe(p), QueueDepth: h.sched.Depth(p.class), MaxInstances: p.cfg.MaxInstances}
	h.mu.Lock()
	sum := p.past
	for _, v := range p.versions {
		sum.version(v)
		s.Instances += sum.size
		s.InUse += sum.lent
	}
	h.mu.Unlock()
	s.Created, s.CreateFailed = sum.created, sum.failed
	s.Broken, s.Replaced, s.Retired, s.Evicted = sum.left[pool.Broken], sum.left[pool.Replaced], sum.left[pool.Retired], sum.left[pool.Evicted]
	s.LogDropped, s.Suspensions, s.Verify = sum.logDropped, sum.suspensions, sum.verify
	v := p.now()
	if v == nil {
		return s
	}
	if r, ok := v.engine.(sandbox); ok {
		s.InstanceMemory = r.Info().Memory
	}
	s.Suspended, _ = v.breaker.Stats()
	for _, t := range v.order {
		tr := t.meter.stats(t.name)
		tr.Window = t.row.Size()
		s.Transforms = append(s.Transforms, tr)
	}
	return s
}

// counted is what a plugin's versions have counted.
type counted struct {
	created, failed, logDropped, suspensions uint64
	left                                     [pool.Reasons]uint64
	verify                                   VerifyStats
	size, lent                               int // of the version that was added last
}

// version adds what a version has counted so far.
func (c *counted) version(v *version) {
	_, n := v.breaker.Stats()
	c.suspensions += n
	c.verify.add(v.sampler.stats())
	r, ok := v.engine.(sandbox)
	if !ok {
		return
	}
	in := r.Pool()
	c.created, c.failed = c.created+in.Created, c.failed+in.Failed
	for i := range c.left {
		c.left[i] += in.Left[i]
	}
	c.logDropped += r.LogDropped()
	c.size, c.lent = in.Size, in.Lent
}

// meter counts the tasks of one transform.
type meter struct {
	ok, fuel, joined   atomic.Uint64
	errors             [len(kinds)]atomic.Uint64
	wait, run, latency histogram.Recorder
}

// count counts the error of n tasks and returns it.
func (t *transform) count(e *Error, n int) error {
	t.meter.errors[slices.Index(kinds[:], e.Kind)].Add(uint64(n))
	return e
}

func (m *meter) stats(name string) TransformStats {
	s := TransformStats{
		Name: name, OK: m.ok.Load(), Fuel: m.fuel.Load(), Joined: m.joined.Load(), Errors: make(map[Kind]uint64),
		Wait: Histogram(m.wait.Snapshot()), Run: Histogram(m.run.Snapshot()), Latency: Histogram(m.latency.Snapshot()),
	}
	for i := range m.errors {
		if n := m.errors[i].Load(); n > 0 {
			s.Errors[kinds[i]] = n
		}
	}
	return s
}

// Histogram is a distribution of durations.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, inclusive; Counts has one
	// more, for what exceeds them all. Neither is cumulative.
	Bounds []time.Duration
	Counts []uint64
	// Count and Sum are of all observations.
	Count uint64
	Sum   time.Duration
}
