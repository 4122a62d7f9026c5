package api

import (
	"time"

	"github.com/resonhost/resonhost/host"
)

// MaxQueues is how many queues [Stats] has at most.
const MaxQueues = 100

// Stats is the answer of GET /v1/stats: what a host does at a moment. Counters count from when the
// process began, which Started tells: where it differs from that of an answer before, they count anew.
type Stats struct {
	Time    time.Time `json:"time"`
	Started time.Time `json:"started"`
	// Draining is whether the server ends.
	Draining bool `json:"draining"`
	// Workers is how many tasks run at once, Active how many do, and Reserve how many urgent
	// ones run beyond them. BusySeconds is the time that workers were active, added up.
	Workers     int     `json:"workers"`
	Active      int     `json:"active"`
	Reserve     int     `json:"reserve"`
	BusySeconds float64 `json:"busy_seconds"`
	// QueueDepth is how many tasks wait for a worker, and Blocked how many callers wait for
	// room in a full queue. Dropped is how many tasks full queues dropped for newer ones.
	QueueDepth int    `json:"queue_depth"`
	Blocked    int    `json:"blocked"`
	Dropped    uint64 `json:"dropped"`
	// Unknown is how many tasks were for a transform that no plugin has.
	Unknown uint64 `json:"unknown_transform"`
	// Streams is how many streams' states are kept, and StreamBytes what those take.
	Streams     int `json:"streams"`
	StreamBytes int `json:"stream_bytes"`
	// Memory is the linear memory of all instances in bytes, and MemoryBudget how much there may be.
	Memory       uint64 `json:"memory_bytes"`
	MemoryBudget uint64 `json:"memory_budget_bytes"`
	// Plugins are those that serve, by name.
	Plugins []PluginStats `json:"plugins"`
	// Queues are those in which tasks wait, the longest first, at most [MaxQueues].
	Queues []Queue `json:"queues"`
	// Bounds are the upper bounds of all histograms' buckets in seconds, inclusive. Each has one
	// bucket more, for what is above.
	Bounds []float64 `json:"bounds_seconds"`
}

// PluginStats is what one plugin does.
type PluginStats struct {
	Name         string           `json:"name"`
	Instances    int              `json:"instances"`
	InUse        int              `json:"instances_in_use"`
	MaxInstances int              `json:"instances_max"`
	Broken       uint64           `json:"instances_broken"`
	QueueDepth   int              `json:"queue_depth"`
	Suspensions  uint64           `json:"suspensions"`
	Mismatches   uint64           `json:"mismatches"`
	LogDropped   uint64           `json:"log_dropped_bytes"`
	Transforms   []TransformStats `json:"transforms"`
}

// TransformStats is what one transform does.
type TransformStats struct {
	Name string `json:"name"`
	// OK is how many tasks succeeded, Errors how many failed, by kind.
	OK     uint64               `json:"ok"`
	Errors map[host.Kind]uint64 `json:"errors"`
	Fuel   uint64               `json:"fuel"`
	// Wait is how long tasks waited for a worker, Run how long crossings into the guest took,
	// and Latency how long tasks took from their submission to their end.
	Wait    Histogram `json:"wait"`
	Run     Histogram `json:"run"`
	Latency Histogram `json:"latency"`
}

// Histogram counts durations in the buckets of [Stats].Bounds.
type Histogram struct {
	Counts []uint64 `json:"counts"`
	// SumSeconds is of all durations.
	SumSeconds float64 `json:"sum_seconds"`
}

// Queue is how many tasks of a tenant wait for a transform.
type Queue struct {
	Transform string `json:"transform"`
	// Priority is normal, urgent or bulk.
	Priority string `json:"priority"`
	// Tenant is "" for tasks without one, and where tenants share a queue, as those beyond 1,024 do.
	Tenant string `json:"tenant"`
	Shared bool   `json:"shared"`
	Tasks  int    `json:"tasks"`
}

// StatsOf describes a host's statistics and queues at a moment.
func StatsOf(at time.Time, s host.Stats, queues []host.Queue) Stats {
	out := Stats{
		Time: at, Workers: s.Workers, Active: s.Active, Reserve: s.Reserve, BusySeconds: s.Busy.Seconds(),
		QueueDepth: s.QueueDepth, Blocked: s.Blocked, Dropped: s.Dropped, Unknown: s.UnknownTransform,
		Streams: s.Streams, StreamBytes: s.StreamBytes, Memory: s.Memory, MemoryBudget: s.MemoryBudget,
		Plugins: []PluginStats{}, Queues: []Queue{}, Bounds: []float64{},
	}
	for i := range s.Plugins {
		p := &s.Plugins[i]
		plugin := PluginStats{
			Name: p.Name, Instances: p.Instances, InUse: p.InUse, MaxInstances: p.MaxInstances, Broken: p.Broken,
			QueueDepth: p.QueueDepth, Suspensions: p.Suspensions, Mismatches: p.Verify.Mismatches, LogDropped: p.LogDropped,
			Transforms: []TransformStats{},
		}
		for j := range p.Transforms {
			t := &p.Transforms[j]
			if len(out.Bounds) == 0 {
				for _, b := range t.Latency.Bounds {
					out.Bounds = append(out.Bounds, b.Seconds())
				}
			}
			transform := TransformStats{
				Name: t.Name, OK: t.OK, Errors: t.Errors, Fuel: t.Fuel,
				Wait: histogram(&t.Wait), Run: histogram(&t.Run), Latency: histogram(&t.Latency),
			}
			if transform.Errors == nil {
				transform.Errors = map[host.Kind]uint64{}
			}
			plugin.Transforms = append(plugin.Transforms, transform)
		}
		out.Plugins = append(out.Plugins, plugin)
	}
	for _, q := range queues {
		out.Queues = append(out.Queues, Queue{q.Transform, PriorityName(q.Priority), q.Tenant, q.Shared, q.Tasks})
	}
	return out
}

func histogram(h *host.Histogram) Histogram { return Histogram{h.Counts, h.Sum.Seconds()} }
