package host

import (
	"context"
	"log/slog"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/state"
)

// Config is how a host is set up. The zero value of a field is its default. In
// durations and limits that say so, a negative value means none.
type Config struct {
	// Mode is where transforms run; default ModeSandbox.
	Mode Mode
	// PluginDir is a directory of which every file NAME.wasm is a plugin. Files beside
	// it are its too: NAME.test.ndjson is Source.Tests, NAME.plugin.yaml is Source.Companion,
	// and the signatures NAME.wasm.minisig, NAME.test.ndjson.minisig, NAME.plugin.yaml.minisig,
	// SHA256SUMS and SHA256SUMS.minisig are Source.Beside.
	PluginDir string
	// Watch has the host follow PluginDir. A new or changed file is deployed once it has
	// settled, as by [Host.Deploy]. A plugin whose file has been gone for 2 s is unloaded. A file
	// that was refused, or rolled back, is not tried again until it changes.
	Watch bool
	// Settle is how long a file must have been unchanged; default 10 ms. Poll is how often
	// the directory is looked at, whatever the file system tells; default 2 s.
	Settle, Poll time.Duration
	// CacheDir is a directory for compiled code; default none. Without it a plugin that Go
	// compiled takes seconds to start. Hosts can share it. With Watch it also keeps the versions
	// that served, for [Host.Rollback] and the next start. It is made if it is not there. Only the
	// user, and root, may be able to write there.
	CacheDir string
	// CacheBytes bounds the compiled code in CacheDir, and by itself the versions there that are
	// needed no more; default 1 GiB.
	CacheBytes int64
	// Accept is asked of each source before anything of it is read. If it returns an error, the
	// source is refused: for want of a signature, say, see package trust. Default accepts all. With
	// Accept no manifest of Extism's is a plugin, since such a manifest says itself which files are.
	Accept func(ctx context.Context, s Source) error
	// Fetch sends HTTP requests for plugins of kinds that can ask for that, such as Extism's; default
	// none, and such requests fail. Fetch must see to it that a plugin reaches nothing but its
	// FetchRequest.AllowedHosts, as the one of package outbound does. The context ends when the task has
	// to. A task that is done a second time, such as after a swap, fetches a second time. Only plugins
	// with [GrantNetwork] can use it. Without Fetch no plugin may have that grant.
	Fetch func(ctx context.Context, r FetchRequest) (FetchResponse, error)
	// Translate is between JSON and the payloads of the self-tests in Source.Tests. The
	// Translate of package codec's Set is one, which knows further media types. Default takes
	// tests of application/json, text/plain (a JSON string) and application/octet-stream
	// ({"base64": "…"}, or a string).
	Translate Translator
	// Plugins are plugins besides those of PluginDir.
	Plugins []Source
	// StartEmpty lets a host start without a plugin, for [Host.Deploy] to bring them. With
	// Watch it need not be set.
	StartEmpty bool
	// StartPartly lets a host start if any of its plugins can be loaded: the others are refused, as
	// [Host.Plugins] and the log tell. With Watch it need not be set.
	StartPartly bool
	// Native are the plugins of ModeInline; ModeSandbox ignores them.
	Native []Native

	// Workers is how many tasks run at once over all plugins; default
	// GOMAXPROCS, at most MaxWorkersPerCPU times that. ModeInline has one.
	Workers int
	// QueueCapacity is how many tasks of one transform, priority and tenant wait for a
	// worker at most; default 1024. All tenants together have four times as many places there.
	// The more of these are taken, the fewer are left to each tenant. One task of each tenant
	// can always wait. [Client] says which tenants have queues of their own.
	QueueCapacity int
	// QueuePolicy is what becomes of a task that finds the queue full; default
	// QueueBlock.
	QueuePolicy QueuePolicy
	// TenantWeights are the shares of tenants in the time that a transform has, see
	// [Client]; default 1 each. Those named here always have a queue of their own.
	TenantWeights map[string]int
	// QueueTimeout is how long a task waits for a worker at most, besides its
	// context's deadline; default 30 s, negative none.
	QueueTimeout time.Duration

	// MemoryBudget is how much memory the instances of all plugins have together,
	// in bytes; default 4 GiB. A guest that wants more is refused it, and a task
	// for which no instance can be made fails.
	MemoryBudget int64

	// MaxStreams is how many streams' states are kept; default 10,000. Beyond
	// it the stream unused longest starts anew, which is counted.
	MaxStreams int
	// MaxStreamBytes is how much the streams' states take together, in bytes,
	// with the same consequence; default 256 MiB. Streams with tasks under way
	// count once these have ended.
	MaxStreamBytes int
	// StreamAge is how long a stream's state is kept after its last task;
	// default 1 h, negative for ever.
	StreamAge time.Duration
	// State keeps the streams' states beyond the process, see package state; default none does.
	// What changed is saved every StateInterval, behind the tasks, and when the host closes. A
	// stored state is loaded at the first task of its stream. If the process is killed, what
	// changed during the last interval and the save after it is lost, and a stream goes on from an
	// earlier state of its own. While the store fails, serving goes on and changes wait. MaxStreams,
	// MaxStreamBytes and StreamAge hold for stored states, too: what exceeds them is deleted.
	//
	// The store also keeps what was decided about plugins: who is paused, which version was rolled
	// back, and which is a canary. That is saved at once. The versions themselves are in CacheDir,
	// with Watch. The caller opens the store, and closes it after the host. The store has no other
	// user meanwhile.
	State state.Store
	// StateInterval is how often what changed is saved in State; default 10 s, at least 100 ms.
	StateInterval time.Duration

	// Defaults are the settings of every plugin. Overrides are those of single plugins, by the
	// names of their sources, or in ModeInline those of their manifests. A field of Overrides that
	// is not zero goes before that of Defaults. ModeInline heeds MaxInput, MaxOutput and StateRule
	// alone.
	Defaults  PluginConfig
	Overrides map[string]PluginConfig

	// Logger receives what the host and its guests log; default discards it.
	Logger *slog.Logger
	// Trace, if set, says which tasks are followed. The host calls it for each task, and for each
	// frame of a RunBatch, in the goroutine that submits it, with the context of the caller. It returns
	// two things. The first is the context that the task has instead: Fetch and Functions get it.
	// The second is a function that the host tells how the task went. The host calls it once, before the
	// caller has the outcome, and it must be quick. If it is nil, the task is not followed, and costs
	// nothing more. Default nothing is followed.
	Trace func(ctx context.Context) (context.Context, func(TaskTrace))
	// Events receives what happens, see package event; default nothing does. The bus is
	// the caller's, who closes it after the host.
	Events *event.Bus
}

// PluginConfig is how one plugin is run.
type PluginConfig struct {
	BinaryLimits

	// MinInstances are kept ready; default 1, negative none. MaxInstances exist
	// at most; default and at most Config.Workers. There is one more while an urgent
	// task runs beyond them, and until it has lain idle.
	MinInstances, MaxInstances int
	// Weight is the share of each of its transforms in the workers' time while tasks
	// of several wait; default 1, at most 1000.
	Weight int
	// IdleTimeout is how long an instance beyond MinInstances lies idle before
	// it is freed; default 1 min, negative for ever.
	IdleTimeout time.Duration
	// MaxCalls, MaxAge and MaxMemory (bytes) retire an instance that has
	// reached one of them; default, and if negative, none. MaxMemory ends no task: the instance is
	// replaced after the task that grew it. What a task cannot exceed is MemoryLimit.
	MaxCalls  int
	MaxAge    time.Duration
	MaxMemory int64

	// MemoryLimit is the most memory one instance can grow to, in bytes;
	// default 64 MiB, at most MaxMemoryLimit, 2 GiB.
	MemoryLimit int64
	// RunTimeout is how long a task runs at most, besides its context's
	// deadline; default what its manifest suggests, else 5 s.
	RunTimeout time.Duration
	// InitTimeout is how long the making of an instance takes at most; default
	// 10 s.
	InitTimeout time.Duration
	// MaxInput and MaxOutput are the largest frames in bytes, payloads, states
	// and headers together; default 8 MiB.
	MaxInput, MaxOutput int
	// MaxModule is the largest plugin binary in bytes; default 64 MiB.
	MaxModule int
	// LogBytesPerSecond is how much the plugin may log, over all instances;
	// default 64 KiB. What exceeds it is dropped and counted.
	LogBytesPerSecond int
	// Isolation is what a guest keeps from one task to the next; default
	// IsolationPristine.
	Isolation Isolation
	// Interrupt is how a guest that does not return is stopped; default
	// InterruptMetered.
	Interrupt Interrupt
	// MaxFuel is how much fuel a task burns at most, with InterruptMetered; default, and
	// if negative, no limit but RunTimeout. One unit is about one instruction of WebAssembly,
	// or 64 bytes moved. A line that is logged counts as at least 1 KiB moved. A jump through a
	// table is 128 units, in the few functions of Go's compiler in which the host leaves the table.
	MaxFuel int64
	// BatchTarget is how long a worker goes on with waiting tasks of one transform before
	// other transforms of the priority have a turn; default 250 µs, negative one task. By what
	// tasks took lately the worker reckons how many that are, at most 64, and it begins none later
	// than that. Where Isolation lets tasks share a crossing, these share one. Otherwise the worker does
	// tasks of Submit in a row, one after the other, and those of Run singly. It holds for all
	// tasks, and not for those of RunBatch alone.
	BatchTarget time.Duration
	// BreakAfter is after how many tasks in a row that broke an instance (by a
	// trap, a timeout and the like) the plugin is suspended; default 20, negative never.
	// Tasks then fail at once with [ErrSuspended], for 0.1 s. Each further suspension takes twice
	// as long, up to 30 s, until a task succeeds.
	BreakAfter int
	// Grants are what the plugin is granted, of [GrantClock], [GrantRandom] and [GrantNetwork];
	// default, and if empty, nothing.
	Grants []Grant
	// Functions are functions of this program's that the plugin may call; default none. Those of
	// Overrides come beside those of Defaults, and in the place of one of the same name.
	Functions []Function
	// CompileTimeout is how long compiling the plugin takes at most; default 1
	// min.
	CompileTimeout time.Duration
	// MaxCallDepth is how deep the guest's calls may nest, with
	// InterruptMetered. It counts the calls without which recursion is not
	// possible: indirect ones, and calls of functions that do not stand before
	// their caller in the binary. Default 65,536, at most 1,000,000. With
	// EngineInterpreter all calls nest 2,000 deep at most, whatever it is.
	MaxCallDepth int
	// MaxStack is how much native stack a guest's calls take at most, in bytes, with
	// InterruptMetered; default 16 MiB, at most 80 MiB. The host looks at the stack when
	// calls that MaxCallDepth counts nest 256 deep, and then at least every 1,024 calls. From
	// then on the stack counts in MemoryBudget, until the task ends. It counts three times its
	// size, since a full stack is copied to one twice as large. Between two looks, and with other
	// interrupts, wazero's own bound holds: a stack of 100 MB, and one of 50 MB beside it while
	// it is copied. A single call's frame may exceed that.
	MaxStack int64
	// Engine is how wazero runs the guest; default EngineCompiler.
	Engine Engine
	// Verify is what is done once more in wazero's interpreter, for comparison; default
	// VerifySelfTests.
	Verify Verify
	// VerifyEvery is of how many tasks one is compared, with VerifySample; default 1000.
	VerifyEvery int
	// VerifySuspend pauses the plugin at the first task that the interpreter answers
	// differently, see [Host.Pause]. If a canary gave the answer, the canary is rolled back instead.
	// The host does not go back to the version before by itself, as that may be compiled just as
	// wrongly. That is for an operator to decide.
	VerifySuspend bool

	// SwapTimeout is how long the tasks of a version that was replaced may take, from
	// then on; those that take longer begin anew on its successor. Default 30 s.
	SwapTimeout time.Duration
	// StateRule is what becomes of a version that cannot read the states that streams
	// have; default StateRefuse.
	StateRule StateRule
	// Canary is the share of tasks, above 0 to 1, that a new version does beside the one
	// that serves, before it serves alone. Default, and if negative, none: it serves alone
	// at once. Of a stream it does all tasks or none. If it fails a task, the other version does it.
	Canary float64
	// CanaryTime is how long the trial takes; default 1 min. At its end the canary is
	// promoted, once it has done 20 tasks. With fewer it is promoted after ten times CanaryTime.
	CanaryTime time.Duration
	// CanaryErrors is the share of its tasks that the canary may fail; default 0.01, negative
	// 0. Beyond it, the canary is rolled back: at once if at least five went wrong, else at the end
	// of the trial. A failure counts if the other version then did the task. Tasks that their
	// callers gave up count as far as they are a larger share than those of the other version.
	CanaryErrors float64
	// CanarySlowdown is how many times as long as the other version's its tasks may take;
	// default 2. Beyond it, the canary is rolled back at once. What counts is the geometric mean of
	// at least 100 tasks outside streams.
	CanarySlowdown float64
}

// BinaryLimits bound what a plugin's binary has, so that compiling it takes neither for ever nor
// all memory.
type BinaryLimits struct {
	// MaxFunctions, MaxGlobals and MaxExports are how many of them the plugin's
	// binary has at most, and MaxTable how many entries its tables have each;
	// default 100,000, 1,000, 1,000 and 100,000.
	MaxFunctions, MaxGlobals, MaxExports, MaxTable int
	// MaxTypes, MaxImports, MaxTables, MaxSegments (of data and elements) and MaxElements
	// (the entries of segments) are how many of them the binary has at most, and MaxArity how
	// many parameters and results a type has; default 20,000, 1,000, 10, 200,000, 1,000,000
	// and 1,000.
	MaxTypes, MaxImports, MaxTables, MaxSegments, MaxElements, MaxArity int
	// MaxFunctionSize is the largest function in bytes, and MaxLocals how many variables a
	// function has at most, parameters included; default 4 MiB and 10,000, at most 1,000,000.
	MaxFunctionSize, MaxLocals int
	// MaxJumps is how many blocks and targets of jumps a function has at most, and MaxFlow
	// that times how many variables it has; default 30,000 and 5,000,000. The compiler's time
	// grows with the square of the former and with the latter, some 10 s at the defaults, and
	// CompileTimeout does not interrupt its work on one function.
	MaxJumps, MaxFlow int
}

// Translator makes the payload of a task of JSON, and returns what makes JSON of its output.
type Translator func(t Transform, input []byte) (payload []byte, encode func(output []byte) ([]byte, error), err error)
