// Package metrics offers the statistics of a host to Prometheus.
package metrics

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/state"
)

// Source has statistics: a [*host.Host].
type Source interface{ Stats() host.Stats }

// New returns a collector of a host's statistics, which it reads when it is
// scraped. The caller registers it, best by [Register]. A registry can hold those of
// several hosts if each has a name of its own, see [Name].
//
// Names that begin with resonance_ are those of the system that resonhost
// replaces; where they end in _ms they are in milliseconds. All others are in
// base units.
func New(s Source, opts ...Option) prometheus.Collector {
	c := &collector{source: s}
	for _, set := range opts {
		set(&c.options)
	}
	return With(c, opts...)
}

// Option is how a collector is made.
type Option func(*options)

type options struct {
	name      string
	exemplars func(transform string, of Series) []Exemplar
}

// Name gives all metrics of a collector the label host, which is what tells several hosts
// apart in one registry. All of these need one: with one name, metrics have the same labels.
func Name(name string) Option { return func(o *options) { o.name = name } }

// With returns a collector as options say: what New does with its own. A package that collects
// more of the same host takes options, too, and passes its collector through With.
func With(c prometheus.Collector, opts ...Option) prometheus.Collector {
	var o options
	for _, set := range opts {
		set(&o)
	}
	if o.name == "" {
		return c
	}
	return prometheus.WrapCollectorWith(prometheus.Labels{"host": o.name}, c)
}

// Register registers a collector, such as that of [New]. Its error says what to do if the
// registry has one already.
func Register(r prometheus.Registerer, c prometheus.Collector) error {
	err := r.Register(c)
	if err == nil {
		return nil
	}
	return fmt.Errorf("metrics: the registry cannot take these: %w; if it has those of another host, give each a name of its own, metrics.New(h, metrics.Name(\"a\")), the first one too", err)
}

type collector struct {
	options

	source Source
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What is collected.
var (
	poolSize     = desc("resonance_worker_pool_size", "Instances in the pool.", "plugin")
	queueDepth   = desc("resonance_worker_queue_depth", "Tasks that wait for a worker.", "plugin")
	taskDuration = desc("resonance_worker_task_duration_ms", "Time of a crossing into the plugin in milliseconds; tasks of one frame share one.", "transform")
	errorsTotal  = desc("resonance_errors_total", "Tasks that failed.", "transform", "kind")
	workersUp    = desc("resonance_worker_active", "Workers that run a task.")
	reserve      = desc("resonhost_worker_reserve_active", "Urgent tasks that run beyond the workers.")
	workersIdle  = desc("resonance_worker_idle", "Workers that run none.")

	busy          = desc("resonhost_worker_busy_seconds_total", "Time that workers were active, without the reserve, added up.")
	blocked       = desc("resonhost_queue_blocked_callers", "Callers that wait for room in a full queue.")
	dropped       = desc("resonhost_queue_dropped_total", "Tasks that were dropped from a full queue for newer ones.")
	retried       = desc("resonhost_frames_retried_total", "Frames that failed as a whole, whose tasks were run again one by one.")
	unknown       = desc("resonhost_unknown_transform_total", "Tasks for a transform that no plugin has.")
	streams       = desc("resonhost_streams", "Streams whose state is kept.")
	streamBytes   = desc("resonhost_stream_state_bytes", "What the states take that no task uses.")
	saves         = desc("resonance_snapshot_saves_total", "Saves of states that succeeded.")
	saveTook      = desc("resonance_snapshot_last_duration_ms", "How long the last save that succeeded and had something to save took, in milliseconds.")
	saveBytes     = desc("resonance_snapshot_bytes", "How many bytes of states the last save saved that succeeded and had something to save.")
	stateSaved    = desc("resonhost_state_saved_total", "States that were saved.")
	stateDeleted  = desc("resonhost_state_deleted_total", "States that had gone and were deleted in the store.")
	saveFailures  = desc("resonhost_state_save_failures_total", "Saves that failed.", "fault")
	unsaved       = desc("resonhost_state_unsaved", "Changes of states that wait to be saved.")
	unsavedFor    = desc("resonhost_state_unsaved_seconds", "For how long the oldest change has waited to be saved.")
	loads         = desc("resonhost_state_loads_total", "States that were loaded.")
	loadFailures  = desc("resonhost_state_load_failures_total", "States that could not be loaded.", "fault")
	stateLost     = desc("resonhost_state_lost_total", "States that were stored and then not there any more.")
	unreadable    = desc("resonhost_state_unreadable", "Records that could not be read when the host started, by what they are of.", "kind")
	outage        = desc("resonhost_state_outage", "Whether the store of states fails now.", "operation")
	memory        = desc("resonhost_memory_bytes", "Linear memory of all instances.")
	memoryBudget  = desc("resonhost_memory_budget_bytes", "How much linear memory all instances may have.")
	streamsGone   = desc("resonhost_streams_forgotten_total", "Streams whose state was forgotten.", "reason")
	tasks         = desc("resonhost_tasks_total", "Tasks that ended, by outcome: ok, or the kind of error.", "transform", "outcome")
	queueWait     = desc("resonhost_queue_wait_seconds", "Time that tasks waited for a worker.", "transform")
	taskLatency   = desc("resonhost_task_latency_seconds", "Time from the submission of a task to its end.", "transform")
	pluginInfo    = desc("resonhost_plugin_info", "The version of a plugin that serves; always 1.", "plugin", "version", "hash", "kind")
	instancesUsed = desc("resonhost_instances_in_use", "Instances that run a task.", "plugin")
	instancesMax  = desc("resonhost_instances_max", "Instances that can exist at once.", "plugin")
	created       = desc("resonhost_instances_created_total", "Instances that were made.", "plugin")
	notCreated    = desc("resonhost_instances_failed_total", "Instances that could not be made.", "plugin")
	freed         = desc("resonhost_instances_freed_total", "Instances that left the pool: broken by a failure, replaced as they could not be put back, retired at a limit of uses or age, evicted as they lay idle.", "plugin", "reason")
	joined        = desc("resonhost_tasks_joined_total", "Tasks that were done by a worker in a row with others that waited.", "transform")
	window        = desc("resonhost_window_size", "Tasks that a worker does in a row while they wait, where it does so.", "transform")
	fuel          = desc("resonhost_fuel_total", "Fuel that tasks burnt.", "transform")
	reloads       = desc("resonhost_plugin_reloads_total", "Attempts to change a plugin, by what came of them.", "plugin", "result")
	rerun         = desc("resonhost_tasks_rerun_total", "Tasks that another version of their plugin did, since a canary failed them or theirs had to end.")
	paused        = desc("resonhost_plugin_paused", "Whether the plugin is paused.", "plugin")
	canary        = desc("resonhost_plugin_canary_share", "Share of the tasks that a new version of the plugin does on trial; 0 without one.", "plugin")
	refused       = desc("resonhost_plugin_refused", "Whether the newest version of the plugin does not serve: it was refused, or rolled back.", "plugin")
	suspended     = desc("resonhost_plugin_suspended", "Whether the plugin is suspended for failing in a row.", "plugin")
	suspensions   = desc("resonhost_plugin_suspensions_total", "How often the plugin was suspended.", "plugin")
	functionCalls = desc("resonhost_function_calls_total", "Calls of functions of the embedding program by a plugin's guests.", "plugin", "function", "outcome")
	functionTime  = desc("resonhost_function_seconds_total", "Time that such calls took, added up.", "plugin", "function")
	verifyChecks  = desc("resonhost_verify_checks_total", "Tasks that were compared with the interpreter.", "plugin")
	mismatches    = desc("resonhost_verify_mismatches_total", "Tasks that the interpreter answered differently.", "plugin")
	verifySkipped = desc("resonhost_verify_skipped_total", "Tasks that could not be compared with the interpreter, or came too fast for it.", "plugin", "reason")
	logDropped    = desc("resonhost_plugin_log_dropped_bytes_total", "What a plugin logged beyond its limit.", "plugin")
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		poolSize, queueDepth, taskDuration, errorsTotal, workersUp, workersIdle, reserve,
		busy, blocked, dropped, retried, unknown, streams, streamsGone, tasks, queueWait, taskLatency,
		pluginInfo, instancesUsed, instancesMax, created, notCreated, freed, logDropped,
		streamBytes, memory, memoryBudget, joined, window, fuel, suspended, suspensions,
		reloads, rerun, paused, canary, refused, verifyChecks, mismatches, verifySkipped,
		functionCalls, functionTime,
		saves, saveTook, saveBytes, stateSaved, stateDeleted, saveFailures, unsaved, unsavedFor,
		loads, loadFailures, stateLost, unreadable, outage,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s, to := c.source.Stats(), values(ch)
	to.gauge(workersUp, s.Active)
	to.gauge(reserve, s.Reserve)
	to.gauge(workersIdle, s.Workers-s.Active)
	to.seconds(busy, prometheus.CounterValue, s.Busy)
	to.gauge(blocked, s.Blocked)
	to.counter(dropped, s.Dropped)
	to.counter(retried, s.FramesRetried)
	to.counter(unknown, s.UnknownTransform)
	to.gauge(streams, s.Streams)
	to.gauge(streamBytes, s.StreamBytes)
	to.gauge(memory, int(s.Memory))
	to.gauge(memoryBudget, int(s.MemoryBudget))
	to.counter(streamsGone, s.StreamsEvicted, "room")
	to.counter(streamsGone, s.StreamsExpired, "age")
	to.counter(streamsGone, s.StreamsReset, "format")
	to.counter(rerun, s.Rerun)
	if s.State != nil {
		to.states(s.State)
	}
	for plugin, results := range s.Deploys {
		for result, n := range results {
			to.counter(reloads, n, plugin, string(result))
		}
	}
	for i := range s.Plugins {
		p := &s.Plugins[i]
		to.plugin(p)
		for j := range p.Transforms {
			c.transform(to, &p.Transforms[j])
		}
	}
}

// transform collects what became of a transform's tasks.
func (c *collector) transform(to values, t *host.TransformStats) {
	to.counter(tasks, t.OK, t.Name, "ok")
	to.counter(fuel, t.Fuel, t.Name)
	to.counter(joined, t.Joined, t.Name)
	to.gauge(window, t.Row, t.Name)
	for kind, n := range t.Errors {
		to.counter(tasks, n, t.Name, string(kind))
		to.counter(errorsTotal, n, t.Name, string(kind))
	}
	to <- c.histogram(taskDuration, &t.Run, time.Millisecond, t.Name, SeriesRun)
	to <- c.histogram(queueWait, &t.Wait, time.Second, t.Name, SeriesWait)
	to <- c.histogram(taskLatency, &t.Latency, time.Second, t.Name, SeriesLatency)
}

// values takes what is collected.
type values chan<- prometheus.Metric

func (to values) add(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) {
	to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
}

func (to values) gauge(d *prometheus.Desc, v int, labels ...string) {
	to.add(d, prometheus.GaugeValue, float64(v), labels)
}

// flag is a gauge that is 1 or 0.
func (to values) flag(d *prometheus.Desc, v bool, labels ...string) {
	n := 0
	if v {
		n = 1
	}
	to.gauge(d, n, labels...)
}

func (to values) counter(d *prometheus.Desc, v uint64, labels ...string) {
	to.add(d, prometheus.CounterValue, float64(v), labels)
}

func (to values) seconds(d *prometheus.Desc, kind prometheus.ValueType, v time.Duration, labels ...string) {
	to.add(d, kind, v.Seconds(), labels)
}

// plugin collects what a plugin and its instances do.
func (to values) plugin(p *host.PluginStats) {
	to.gauge(pluginInfo, 1, p.Name, p.Version, p.Hash, p.Kind)
	to.gauge(poolSize, p.Instances, p.Name)
	to.gauge(queueDepth, p.QueueDepth, p.Name)
	to.gauge(instancesUsed, p.InUse, p.Name)
	to.gauge(instancesMax, p.MaxInstances, p.Name)
	to.counter(created, p.Created, p.Name)
	to.counter(notCreated, p.CreateFailed, p.Name)
	to.counter(freed, p.Broken, p.Name, "broken")
	to.counter(freed, p.Replaced, p.Name, "replaced")
	to.counter(freed, p.Retired, p.Name, "retired")
	to.counter(freed, p.Evicted, p.Name, "evicted")
	to.counter(logDropped, p.LogDropped, p.Name)
	to.counter(verifyChecks, p.Verify.Checks, p.Name)
	to.counter(mismatches, p.Verify.Mismatches, p.Name)
	to.counter(verifySkipped, p.Verify.Skipped, p.Name, "interpreter")
	to.counter(verifySkipped, p.Verify.Dropped, p.Name, "rate")
	to.flag(suspended, p.Suspended, p.Name)
	to.flag(paused, p.Paused, p.Name)
	to.flag(refused, p.Failure != nil, p.Name)
	share := 0.0
	if p.Canary != nil {
		share = p.Canary.Share
	}
	to.add(canary, prometheus.GaugeValue, share, []string{p.Name})
	to.counter(suspensions, p.Suspensions, p.Name)
	for _, f := range p.Functions {
		to.counter(functionCalls, f.Calls-f.Failed, p.Name, f.Name, "ok")
		to.counter(functionCalls, f.Failed, p.Name, f.Name, "failed")
		to.seconds(functionTime, prometheus.CounterValue, f.Time, p.Name, f.Name)
	}
}

// states collects what became of states in a store.
func (to values) states(s *host.StateStats) {
	to.counter(saves, s.Saves)
	to.add(saveTook, prometheus.GaugeValue, float64(s.LastTook)/float64(time.Millisecond), nil)
	to.gauge(saveBytes, int(s.LastBytes))
	to.counter(stateSaved, s.Saved)
	to.counter(stateDeleted, s.Deleted)
	to.gauge(unsaved, s.Unsaved)
	to.seconds(unsavedFor, prometheus.GaugeValue, s.UnsavedFor)
	to.counter(loads, s.Loads)
	to.counter(stateLost, s.Lost)
	for _, kind := range state.Kinds() {
		if kind != state.KindOutput { // whose job is counted
			to.gauge(unreadable, s.Unreadable[kind], string(kind))
		}
	}
	for _, fault := range state.Faults() { // also those without a failure, so that the first is an increase
		to.counter(saveFailures, s.SaveFailures[fault], string(fault))
		to.counter(loadFailures, s.LoadFailures[fault], string(fault))
	}
	to.flag(outage, s.SavingFails, "save")
	to.flag(outage, s.LoadingFails, "load")
}

// Histogram returns durations that a host has counted as a metric in a unit such as
// [time.Second], with values of the labels of d. One in seconds is a native histogram, too.
func Histogram(d *prometheus.Desc, h *host.Histogram, unit time.Duration, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	cumulative := uint64(0)
	for i, bound := range h.Bounds {
		cumulative += h.Counts[i]
		buckets[float64(bound)/float64(unit)] = cumulative
	}
	classic := prometheus.MustNewConstHistogram(d, h.Count, float64(h.Sum)/float64(unit), buckets, labels...)
	if unit != time.Second || len(h.Native) == 0 { // whose bounds are seconds
		return classic
	}
	return &histogram{classic, h.Native}
}

// histogram is a classic one and a native one of the same observations. A scraper that knows native ones
// takes both, and the text formats have the classic one alone.
type histogram struct {
	prometheus.Metric

	native []uint64 // of a host.Histogram
}

// Write implements [prometheus.Metric].
func (h *histogram) Write(m *dto.Metric) error {
	if err := h.Metric.Write(m); err != nil {
		return err
	}
	to := m.GetHistogram()
	to.Schema, to.ZeroThreshold, to.ZeroCount = new(int32(host.NativeSchema)), new(zeroThreshold), new(h.native[0])
	to.PositiveSpan, to.PositiveDelta = spans(h.native[1:], host.NativeFirst)
	return nil
}

// zeroThreshold is what the first of a host.Histogram's native buckets has at most, in seconds.
var zeroThreshold = math.Exp2(float64(host.NativeFirst-1) / (1 << host.NativeSchema))

// longestGap is how many empty buckets are rather told than skipped: a span costs as much.
const longestGap = 2

// spans are counts of buckets, of which the first has an index, as a native histogram has them: runs of
// buckets, and the difference of each count to the one before.
func spans(counts []uint64, first int) (runs []*dto.BucketSpan, deltas []int64) {
	next, last := 0, int64(0)
	for i, n := range counts {
		if n == 0 {
			continue
		}
		gap := first + i - next
		if runs == nil || gap > longestGap {
			runs = append(runs, &dto.BucketSpan{Offset: new(int32(gap)), Length: new(uint32)})
			gap = 0
		}
		for range gap {
			deltas, last = append(deltas, -last), 0
		}
		deltas, last = append(deltas, int64(n)-last), int64(n)
		*runs[len(runs)-1].Length += uint32(gap) + 1
		next = first + i + 1
	}
	return runs, deltas
}
