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
	Time         time.Time     `json:"time" doc:"When the answer was made."`
	Started      time.Time     `json:"started" doc:"When the server was; all counters count from then, and anew where it differs from that of an answer before."`
	Draining     bool          `json:"draining" doc:"Whether the server is about to end."`
	Fleet        string        `json:"fleet,omitempty" doc:"The fleet that the host is of; left out of a host of none."`
	Workers      int           `json:"workers" doc:"How many tasks run at once."`
	Active       int           `json:"active" doc:"How many do."`
	Reserve      int           `json:"reserve" doc:"How many urgent tasks run beyond that."`
	BusySeconds  float64       `json:"busy_seconds" doc:"The time that workers were active, added up."`
	QueueDepth   int           `json:"queue_depth" doc:"How many tasks wait for a worker."`
	Blocked      int           `json:"blocked" doc:"How many callers wait for room in a full queue."`
	Dropped      uint64        `json:"dropped" doc:"How many tasks full queues dropped for newer ones."`
	Unknown      uint64        `json:"unknown_transform" doc:"How many tasks were for a transform that no plugin has."`
	Streams      int           `json:"streams" doc:"How many streams' states are kept."`
	StreamBytes  int           `json:"stream_bytes" doc:"The size of those."`
	Memory       uint64        `json:"memory_bytes" doc:"The linear memory of all instances."`
	MemoryBudget uint64        `json:"memory_budget_bytes" doc:"How much of it there may be."`
	Plugins      []PluginStats `json:"plugins" doc:"The plugins that serve, by name."`
	Queues       []Queue       `json:"queues" doc:"Those in which tasks wait, the longest first, at most 100. Without the scope admin they are the caller's tenant's alone."`
	Bounds       []float64     `json:"bounds_seconds" doc:"The upper bounds of all histograms' buckets, inclusive. Each histogram has one bucket more, for what is above."`
}

// PluginStats is what one plugin does.
type PluginStats struct {
	Name         string           `json:"name" doc:"The plugin's name."`
	Instances    int              `json:"instances" doc:"How many instances it has."`
	InUse        int              `json:"instances_in_use" doc:"How many of them run a task."`
	MaxInstances int              `json:"instances_max" doc:"How many it may have."`
	Broken       uint64           `json:"instances_broken" doc:"How many were thrown away for what a task did to them."`
	QueueDepth   int              `json:"queue_depth" doc:"How many of its tasks wait."`
	Suspensions  uint64           `json:"suspensions" doc:"How often it was given a rest, for failing in a row."`
	Mismatches   uint64           `json:"mismatches" doc:"How many tasks the interpreter answered differently."`
	LogDropped   uint64           `json:"log_dropped_bytes" doc:"How much of what it logged was dropped for its rate."`
	Transforms   []TransformStats `json:"transforms" doc:"What its transforms do."`
}

// TransformStats is what one transform does.
type TransformStats struct {
	Name    string               `json:"name" doc:"The transform's name."`
	OK      uint64               `json:"ok" doc:"How many tasks succeeded."`
	Errors  map[host.Kind]uint64 `json:"errors" doc:"How many failed, by kind."`
	Fuel    uint64               `json:"fuel" doc:"The fuel that its tasks used."`
	Wait    Histogram            `json:"wait" doc:"How long tasks waited for a worker."`
	Run     Histogram            `json:"run" doc:"How long crossings into the guest took."`
	Latency Histogram            `json:"latency" doc:"How long tasks took from their submission to their end."`
}

// Histogram counts durations in the buckets of [Stats].Bounds.
type Histogram struct {
	Counts     []uint64 `json:"counts" doc:"How many durations each bucket has, in the order of bounds_seconds."`
	SumSeconds float64  `json:"sum_seconds" doc:"The sum of all durations."`
}

// Queue is how many tasks of a tenant wait for a transform.
type Queue struct {
	Transform string `json:"transform" doc:"The transform that tasks wait for."`
	Priority  string `json:"priority" doc:"Their priority: normal, urgent or bulk."`
	Tenant    string `json:"tenant" doc:"Whose they are; empty without a tenant, and where tenants share a queue."`
	Shared    bool   `json:"shared" doc:"Whether tenants share the queue, as those beyond 1,024 do."`
	Tasks     int    `json:"tasks" doc:"How many wait."`
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
