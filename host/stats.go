package host

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/internal/histogram"
	"github.com/resonhost/resonhost/host/internal/pool"
)

// Stats is a snapshot of a host. Counters count from [New].
type Stats struct {
	// Workers is how many tasks can run at once, Active how many do; the others
	// are idle.
	Workers, Active int
	// Busy is the time that workers were active, added up: over a period,
	// Busy / (Workers × period) is their utilisation.
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
	// task, and MaxInstances how many there can be.
	Instances, InUse, MaxInstances int
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
	// Window is how many tasks that wait a worker does in a row, see
	// PluginConfig.BatchTarget, and Joined how many were done so, after another's.
	Window int
	Joined uint64
	// Wait is how long tasks waited for a worker, and Run how long crossings into
	// the guest took; tasks of one batch share a wait, those of one frame both. Latency is from the
	// submission of a task that ran to its end, failed or not.
	Wait, Run, Latency Histogram
}

// Plugin describes a plugin that serves.
type Plugin struct {
	// Source is the name of its [Source].
	Source string
	// Name and Version are the manifest's, Hash the SHA-256 of the binary in
	// hexadecimal.
	Name, Version, Hash string
	// Transforms are in the manifest's order.
	Transforms []Transform
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

func (p *plugin) describe() Plugin {
	d := Plugin{Source: p.source, Name: p.manifest.Name, Version: p.manifest.Version, Hash: p.hash}
	for _, t := range p.specs {
		d.Transforms = append(d.Transforms, t.describe())
	}
	return d
}

func (t *transform) describe() Transform {
	return Transform{
		Name: t.spec.Name, Input: t.spec.Input, Output: t.spec.Output,
		StateBytes: t.spec.StateBytes, Timeout: t.timeout,
	}
}

// Plugins returns the plugins that serve, sorted by name; none before
// [Host.Start] and after [Host.Close].
func (h *Host) Plugins() []Plugin {
	t := h.table.Load()
	if t == nil || h.isClosing() {
		return nil
	}
	list := make([]Plugin, len(t.plugins))
	for i, p := range t.plugins {
		list[i] = p.describe()
	}
	return list
}

// Lookup describes the transform of that name. Its error is an [*Error].
func (h *Host) Lookup(transform string) (Transform, error) {
	t, err := h.lookup(transform, 0)
	if err != nil {
		return Transform{}, err
	}
	return t.describe(), nil
}

// Stats returns a snapshot.
func (h *Host) Stats() Stats {
	q, st := h.sched.Stats(), h.streams.Stats()
	s := Stats{
		Workers: q.Slots, Active: q.Active, Busy: q.Busy,
		QueueDepth: q.Depth, Blocked: q.Blocked, Dropped: q.Dropped,
		FramesRetried: h.retried.Load(), UnknownTransform: h.unknown.Load(),
		Streams: st.Streams, StreamBytes: st.Bytes, StreamsEvicted: st.Evicted, StreamsExpired: st.Expired,
	}
	s.Memory, s.MemoryBudget = h.budget.Held(), h.budget.Limit()
	if t := h.table.Load(); t != nil {
		for _, p := range t.plugins {
			s.Plugins = append(s.Plugins, h.pluginStats(p))
		}
	}
	return s
}

func (h *Host) pluginStats(p *plugin) PluginStats {
	s := PluginStats{Plugin: p.describe(), QueueDepth: h.sched.Depth(p.class), MaxInstances: p.cfg.MaxInstances}
	if r, ok := p.engine.(sandbox); ok {
		in := r.Pool()
		s.Instances, s.InUse = in.Size, in.Lent
		s.Created, s.CreateFailed = in.Created, in.Failed
		s.Broken, s.Replaced, s.Retired, s.Evicted = in.Left[pool.Broken], in.Left[pool.Replaced], in.Left[pool.Retired], in.Left[pool.Evicted]
		s.LogDropped = r.LogDropped()
	}
	s.Suspended, s.Suspensions = p.breaker.stats()
	for _, t := range p.specs {
		tr := t.meter.stats(t.spec.Name)
		tr.Window = t.window.now()
		s.Transforms = append(s.Transforms, tr)
	}
	return s
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
