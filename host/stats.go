package host

import (
	"time"

	"github.com/resonhost/resonhost/internal/histogram"
	"github.com/resonhost/resonhost/state"
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
	// State is what became of states in Config.State; nil without.
	State *StateStats
	// Rerun is how many tasks another version of the plugin did, because a canary failed
	// them, or the one they ran on had to end.
	Rerun uint64
	// Deploys is what came of attempts to change plugins, by source and result. Of very
	// many sources the further ones count as "".
	Deploys map[string]map[DeployResult]uint64
	// Memory is how much linear memory all instances have, in bytes, and
	// MemoryBudget how much they may.
	Memory, MemoryBudget uint64
	// Plugins are the plugins that serve, sorted by name.
	Plugins []PluginStats
}

// StateStats is a snapshot of what is kept in Config.State.
type StateStats struct {
	// Unsaved is how many changes wait to be saved, deletions among them: of streams' states, and of what
	// was decided about plugins. UnsavedFor is for how long the first of them has.
	Unsaved    int
	UnsavedFor time.Duration
	// Saves is how many saves succeeded, those with nothing to save among them, and SaveFailures how
	// many failed, by fault. Saved and Deleted are how many records they saved and deleted.
	Saves          uint64
	SaveFailures   map[state.Fault]uint64
	Saved, Deleted uint64
	// LastTook and LastBytes are of the last save that succeeded and had something to save: how long
	// it took, and how many bytes of states it saved.
	LastTook  time.Duration
	LastBytes int64
	// Loads is how many states were loaded, and LoadFailures how many were not, by fault. Lost is
	// how many were stored and then not there any more.
	Loads        uint64
	LoadFailures map[state.Fault]uint64
	Lost         uint64
	// Unreadable is how many records could not be read when the host started, by their kind: of streams, of
	// what was decided about plugins, and of what [Host.NoteUnreadable] has told.
	Unreadable map[state.Kind]int
	// SavingFails and LoadingFails are whether the store fails now.
	SavingFails, LoadingFails bool
}

// PluginStats is a snapshot of one plugin.
type PluginStats struct {
	Plugin
	// Instances is how many instances there are, InUse how many of them run a
	// task, and MaxInstances how many there can be, but one for an urgent task.
	Instances, InUse, MaxInstances int
	// InstanceMemory is the linear memory that an instance has once it is made, in bytes;
	// 0 in ModeInline.
	InstanceMemory uint64
	// Created is how many instances were made; CreateFailed how many could not
	// be. Broken, Retired and Evicted are how many were freed because they
	// failed, had reached a limit of PluginConfig, or lay idle. Replaced is how many
	// were freed because they could not be put back, such as after a task that grew them,
	// or because isolation is IsolationFresh.
	Created, CreateFailed, Broken, Replaced, Retired, Evicted uint64
	// Functions are those that the plugin may call, sorted by name.
	Functions []FunctionStats
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
	// that did not occur are left out. Errors have those of [Transform.CountFailed], too.
	OK     uint64
	Errors map[Kind]uint64
	// Fuel is how much all tasks burnt.
	Fuel uint64
	// Row is how many tasks that wait a worker does in a row where it does so, see
	// PluginConfig.BatchTarget, and Joined how many were done so, after another's.
	Row    int
	Joined uint64
	// Wait is how long tasks waited for a worker, and Run how long crossings into
	// the guest took, with holding inputs to a schema before; tasks of one batch share a wait, those of one
	// frame both. Latency is from the submission of a task that ran to its end, failed or not.
	Wait, Run, Latency Histogram
}

// VerifyStats counts comparisons of tasks with the interpreter, see [VerifySample].
type VerifyStats struct {
	// Checks is how many tasks were compared, and Mismatches how many of them the interpreter
	// answered differently.
	Checks, Mismatches uint64
	// Skipped is how many could not be compared: they were too large, were denied memory that
	// others have, or the interpreter had no room or time for them. Dropped is how many came too fast.
	Skipped, Dropped uint64
}

func (s *VerifyStats) add(o VerifyStats) {
	s.Checks += o.Checks
	s.Mismatches += o.Mismatches
	s.Skipped += o.Skipped
	s.Dropped += o.Dropped
}

// What the buckets of Histogram.Native are.
const (
	NativeSchema = histogram.Schema
	NativeFirst  = histogram.First // the index of the second, by the schema
)

// Histogram is a distribution of durations.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, inclusive; Counts has one
	// more, for what exceeds them all. Neither is cumulative.
	Bounds []time.Duration
	Counts []uint64
	// Native are the same observations in the buckets of a native histogram of Prometheus's, of
	// NativeSchema and in seconds. The first has what is at most 2^((NativeFirst-1)/2^NativeSchema) s. Each
	// further bound is 2^(1/2^NativeSchema) times the one before. What exceeds the last, of 18 h, is in that.
	Native []uint64
	// Count and Sum are of all observations.
	Count uint64
	Sum   time.Duration
}
