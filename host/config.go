package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
)

// Mode is where transforms run.
type Mode int

// Modes.
const (
	// Sandbox runs plugins as WebAssembly guests. It is the default.
	Sandbox Mode = iota
	// Inline runs Config.Native in the caller's goroutine, one task at a time
	// over the whole host, without a sandbox: the way back to single-threaded
	// operation, and the baseline of measurements. Native code cannot be
	// interrupted, so that timeouts and cancellation end the waiting only.
	Inline
)

// QueuePolicy says what becomes of a task that finds its queue full.
type QueuePolicy int

// Policies.
const (
	// Block makes the caller wait for room, as long as its context lasts. It is
	// the default.
	Block QueuePolicy = QueuePolicy(sched.Block)
	// Reject refuses the task with [ErrQueueFull].
	Reject QueuePolicy = QueuePolicy(sched.Reject)
	// DropOldest refuses the task of the queue that has waited longest with [ErrQueueFull].
	DropOldest QueuePolicy = QueuePolicy(sched.DropOldest)
)

// Isolation is what a guest keeps from one task to the next.
type Isolation int

// Isolations.
const (
	// IsolationPristine keeps nothing: after each task the instance is exactly as
	// it was after its initialisation, in memory, globals, tables, clock and
	// random bytes, or is replaced. It is the default.
	IsolationPristine Isolation = iota + 1
	// IsolationFrame keeps nothing either, but tasks of one [Host.RunBatch] share
	// a crossing into the guest, 64 at most, and so an instance.
	IsolationFrame
	// IsolationShared keeps everything, and lets tasks share a crossing: for
	// plugins that are trusted to keep tasks apart.
	IsolationShared
	// IsolationFresh has a new instance for every task, at some hundred times the
	// cost.
	IsolationFresh
)

// resets reports whether instances are put back after use.
func (i Isolation) resets() bool { return i == IsolationPristine || i == IsolationFrame }

// shares reports whether the tasks of a batch have an instance in common.
func (i Isolation) shares() bool { return i == IsolationFrame || i == IsolationShared }

// batch is how many tasks share a crossing at most.
func (i Isolation) batch() int {
	if i.shares() {
		return framefit.Max
	}
	return 1
}

func (i Isolation) ofInstances() registry.Isolation {
	switch i {
	case IsolationShared:
		return registry.Shared
	case IsolationFresh:
		return registry.Fresh
	}
	return registry.Reset
}

// Interrupt is how a guest that does not return is stopped.
type Interrupt int

// Ways to stop a guest.
const (
	// InterruptMetered writes counters into the guest: every 100,000
	// instructions or so it comes to the host, which looks at the task's
	// deadline, cancellation and fuel and lets others run. It is the default.
	InterruptMetered Interrupt = Interrupt(module.Metered)
	// InterruptRuntime uses wazero's own checks, which make tight loops several
	// times slower, and count no fuel.
	InterruptRuntime Interrupt = Interrupt(module.Runtime)
	// InterruptOff leaves out the checks. A guest that does not return holds
	// its worker for ever, and may stop the whole process when Go collects
	// garbage; timeouts do nothing: for trusted plugins alone.
	InterruptOff Interrupt = Interrupt(module.Off)
)

// Grant is something that a plugin is granted beside computing.
type Grant string

// Grants.
const (
	// GrantClock is the system's time. Without it a plugin has a clock that
	// begins anew with every task and advances by being read.
	GrantClock Grant = "clock"
	// GrantRandom is the system's randomness. Without it a plugin has the same
	// random bytes for every task. Note that what it seeds before its first task
	// is the same for every task in any case but IsolationShared.
	GrantRandom Grant = "random"
)

// Engine is how wazero runs a guest.
type Engine int

// Engines.
const (
	// EngineCompiler compiles guests to machine code, on amd64 and arm64. It is
	// the default; elsewhere it is EngineInterpreter.
	EngineCompiler Engine = iota + 1
	// EngineInterpreter interprets guests: slow, and the same everywhere. Their calls,
	// all of them, nest at most 2,000 deep, whatever MaxCallDepth is; a deeper one is
	// a trap.
	EngineInterpreter
)

// Defaults and bounds of Config and PluginConfig.
const (
	DefaultQueueCapacity     = 1024
	DefaultQueueTimeout      = 30 * time.Second
	DefaultMaxStreams        = 10_000
	DefaultStreamBytes       = 256 << 20
	DefaultStreamAge         = time.Hour
	DefaultMinInstances      = 1
	DefaultIdleTimeout       = time.Minute
	DefaultMemoryLimit       = 64 << 20
	DefaultMemoryBudget      = 4 << 30
	DefaultRunTimeout        = 5 * time.Second
	DefaultInitTimeout       = 10 * time.Second
	DefaultMaxInput          = 8 << 20
	DefaultMaxOutput         = 8 << 20
	DefaultLogBytesPerSecond = 64 << 10
	DefaultMaxModule         = 64 << 20
	DefaultCompileTimeout    = time.Minute
	DefaultMaxFunctions      = 100_000
	DefaultMaxGlobals        = 1_000
	DefaultMaxExports        = 1_000
	DefaultMaxTable          = 100_000
	DefaultMaxTypes          = 20_000
	DefaultMaxImports        = 1_000
	DefaultMaxTables         = 10
	DefaultMaxSegments       = 200_000
	DefaultMaxElements       = 1_000_000
	DefaultMaxFunctionSize   = 4 << 20
	DefaultMaxLocals         = 10_000
	DefaultMaxArity          = 1_000
	DefaultMaxJumps          = 30_000
	DefaultMaxFlow           = 5_000_000
	DefaultMaxCallDepth      = 65_536
	DefaultMaxStack          = 16 << 20
	DefaultVerifyEvery       = 1000
	DefaultBreakAfter        = 20
	DefaultBatchTarget       = 250 * time.Microsecond
	DefaultSettle            = 10 * time.Millisecond
	DefaultPoll              = 2 * time.Second
	DefaultCacheBytes        = 1 << 30
	DefaultSwapTimeout       = 30 * time.Second
	DefaultCanaryTime        = time.Minute
	DefaultCanaryErrors      = 0.01
	DefaultCanarySlowdown    = 2

	// MaxWorkersPerCPU bounds Config.Workers: more workers than this for each
	// unit of GOMAXPROCS only add memory.
	MaxWorkersPerCPU = 8
	// MaxWeight is the largest share of a plugin or tenant.
	MaxWeight = 1000
	// MaxMemoryLimit bounds PluginConfig.MemoryLimit. WebAssembly can address twice as much, but there
	// wazero's compiler is not trusted with addresses; see RATIONALE.
	MaxMemoryLimit = 2 << 30
	// MaxFrameBytes bounds MaxInput and MaxOutput.
	MaxFrameBytes = 256 << 20
)

// Config is how a host is set up. The zero value of a field is its default. In
// durations and limits that say so, a negative value means none.
type Config struct {
	// Mode is where transforms run; default Sandbox.
	Mode Mode
	// PluginDir is a directory of which every file NAME.wasm is a plugin. Files beside
	// it are its too: NAME.test.ndjson is Source.Tests, and the signatures
	// NAME.wasm.minisig, SHA256SUMS and SHA256SUMS.minisig are Source.Beside.
	PluginDir string
	// Watch has what changes in PluginDir change what serves, by [Host.Deploy]: a new or
	// changed file is deployed once it has settled, and a plugin whose file has been gone
	// for 2 s is unloaded. A file that was refused, or rolled back, is let be until it
	// changes.
	Watch bool
	// Settle is how long a file must have been unchanged; default 10 ms. Poll is how often
	// the directory is looked at, whatever the file system tells; default 2 s.
	Settle, Poll time.Duration
	// CacheDir keeps what plugins were compiled to, for any host, and with Watch the
	// versions that served, for [Host.Rollback] and the next start. Only the user, and
	// root, may be able to write there. Default none.
	CacheDir string
	// CacheBytes bounds both kinds in CacheDir each; default 1 GiB.
	CacheBytes int64
	// Accept refuses sources before anything of them is read, if it returns an error:
	// those without a signature, say, see package trust. Default accepts all.
	Accept func(ctx context.Context, s Source) error
	// JSON translates the JSON of a task for the self-tests in Source.Tests: input becomes
	// a payload, and encode makes JSON of what comes out. The Translate of package codec's
	// Set is one, which knows the built-in plugins' media types too. Default takes tests of
	// application/json, text/plain (a JSON string) and application/octet-stream
	// ({"base64": "…"}, or a string).
	JSON func(t Transform, input []byte) (payload []byte, encode func(output []byte) ([]byte, error), err error)
	// Plugins are plugins besides those of PluginDir.
	Plugins []Source
	// Empty lets a host start without a plugin, for [Host.Deploy] to bring them. With
	// Watch it need not be set.
	Empty bool
	// Native are the plugins of mode Inline; Sandbox ignores them.
	Native []Native

	// Workers is how many tasks run at once over all plugins; default
	// GOMAXPROCS, at most MaxWorkersPerCPU times that. Inline has one.
	Workers int
	// QueueCapacity is how many tasks wait at most for a worker, of one transform,
	// priority and tenant; default 1024. Of all tenants together four times as many wait,
	// and one more of each, of whom 1024 have queues of their own, see [Client]: the fuller
	// it gets, the less room has each, and always room for one.
	QueueCapacity int
	// QueuePolicy is what becomes of a task that finds the queue full; default
	// Block.
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

	// Defaults are the settings of every plugin, Overrides those of one, by its
	// source's name, or in mode Inline its manifest's: a field that is not zero
	// goes before Defaults. Inline heeds MaxInput and MaxOutput alone.
	Defaults  PluginConfig
	Overrides map[string]PluginConfig

	// Logger receives what the host and its guests log; default discards it.
	Logger *slog.Logger
	// Events receives what happens, see package event; default nothing does. The bus is
	// the caller's, who closes it after the host.
	Events *event.Bus
}

// PluginConfig is how one plugin is run.
type PluginConfig struct {
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
	// reached one of them; default, and if negative, none.
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
	// MaxFuel is how much fuel a task burns at most, with InterruptMetered; a unit
	// is about an instruction of WebAssembly, or 64 bytes moved; a line that is logged
	// counts as at least 1 KiB of them; in the few functions of Go's compiler that keep
	// their table each jump is 128. Default, and if negative, no limit but RunTimeout.
	MaxFuel int64
	// BatchTarget is how long a worker goes on with tasks of one transform that wait,
	// without giving other transforms of the priority a turn: by what tasks took lately it
	// does so many in a row, at most 64: in one crossing where Isolation lets tasks share
	// one, else one after the other if they are Submit's; Run's go one by one then. It
	// begins none later than that. Default 250 µs, negative one task.
	BatchTarget time.Duration
	// BreakAfter is after how many tasks in a row that broke an instance (by a
	// trap, a timeout and the like) the plugin is suspended, so that tasks fail at
	// once with [ErrSuspended]: for 0.1 s, and each time twice as long, up to 30 s,
	// until one succeeds. Default 20, negative never.
	BreakAfter int
	// Grant is what the plugin is granted; default, and if empty, nothing.
	Grant []Grant
	// CompileTimeout is how long compiling the plugin takes at most; default 1
	// min.
	CompileTimeout time.Duration
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
	// MaxCallDepth is how deep the guest's calls may nest, with
	// InterruptMetered. It counts the calls without which recursion is not
	// possible: indirect ones, and calls of functions that do not stand before
	// their caller in the binary. Default 65,536, at most 1,000,000. With
	// EngineInterpreter all calls nest 2,000 deep at most, whatever it is.
	MaxCallDepth int
	// MaxStack is how much native stack a guest's calls take at most, in bytes, with
	// InterruptMetered; default 16 MiB, at most 80 MiB. The host looks at the stack when
	// calls that MaxCallDepth counts nest 256 deep, and then at least every 1,024 calls. From
	// then on the stack counts in MemoryBudget: three times its size, since it is copied to
	// one twice as large when it is full. It is let go when the task ends. With other
	// interrupts, and between two looks, what holds is wazero's bound: a stack of 100 MB, and
	// one of 50 MB beside it while it is copied, or a single call's frame more.
	MaxStack int64
	// Engine is how wazero runs the guest; default EngineCompiler.
	Engine Engine
	// Verify is what is done once more in wazero's interpreter, for comparison; default
	// VerifySelfTests. VerifyEvery is of how many tasks one is, with VerifySample; default
	// 1000. VerifySuspend pauses the plugin at the first task that is answered differently, see
	// [Host.Pause], or rolls a canary back: the version before may have been compiled as wrong,
	// so that it takes an operator to go back to it.
	Verify        Verify
	VerifyEvery   int
	VerifySuspend bool

	// SwapTimeout is how long the tasks of a version that was replaced may take, from
	// then on; those that take longer begin anew on its successor. Default 30 s.
	SwapTimeout time.Duration
	// StateRule is what becomes of a version that cannot read the states that streams
	// have; default StateRefuse.
	StateRule StateRule
	// Canary is the share of tasks, above 0 to 1, that a new version does beside the one
	// that serves, before it serves alone; default, and if negative, none: it serves alone
	// at once. Of a stream it does all tasks or none. What it fails, the other does.
	Canary float64
	// CanaryTime is for how long; default 1 min. It is rolled back, at any time, if it
	// fails a larger share of its tasks, which the other then did, or which their callers
	// gave up more often than those of the other, than CanaryErrors, default 0.01, negative
	// 0; or if its tasks outside streams take CanarySlowdown times as long, by the geometric
	// mean of at least 100, default 2. Else it is promoted, once it has done 20 tasks or
	// ten times CanaryTime is over.
	CanaryTime     time.Duration
	CanaryErrors   float64
	CanarySlowdown float64
}

// StateRule says what becomes of a new version of a plugin that cannot read the states
// that streams have of the version that serves, see manifest.Transform.
type StateRule int

// Rules.
const (
	// StateRefuse refuses the version.
	StateRefuse StateRule = iota + 1
	// StateReset has such streams begin anew, which Stats counts.
	StateReset
)

// Source is a plugin's binary.
type Source struct {
	// Name is what Config.Overrides and messages call it. A file of PluginDir
	// is called by its name without ".wasm".
	Name string
	// WASM is the binary. The host does not change it.
	WASM []byte
	// Tests are further self-tests, JSON lines of the form
	//
	//	{"name": "a word", "transform": "shout", "input": "abc", "output": "ABC"}
	//
	// or with "error", a [Kind], in place of the output. Lines with the same "stream"
	// share a state. At most 8 MiB.
	Tests []byte
	// Beside is what else lies beside the file, by name, for Config.Accept.
	Beside map[string][]byte
}

// Native is a plugin that is compiled into the program, such as a
// guest.Plugin of package abi/guest. The host never calls it concurrently.
type Native interface {
	// Manifest returns the plugin's JSON manifest.
	Manifest() string
	// Run runs an input frame of package abi and returns the output frame,
	// valid until the next call.
	Run(transform uint32, frame []byte) ([]byte, error)
}

// orDefault returns v, or the default for zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// noneBelowZero turns a negative value, which means none, into 0.
func noneBelowZero[T int | int64 | float64 | time.Duration](v T) T { return max(v, 0) }

// withDefaults returns the configuration with every default filled in.
func (c Config) withDefaults() Config {
	c.Workers = orDefault(c.Workers, runtime.GOMAXPROCS(0))
	c.TenantWeights = maps.Clone(c.TenantWeights)
	if c.Mode == Inline {
		c.Workers = 1
	}
	c.QueueCapacity = orDefault(c.QueueCapacity, DefaultQueueCapacity)
	c.QueueTimeout = noneBelowZero(orDefault(c.QueueTimeout, DefaultQueueTimeout))
	c.MemoryBudget = orDefault(c.MemoryBudget, DefaultMemoryBudget)
	c.MaxStreams = orDefault(c.MaxStreams, DefaultMaxStreams)
	c.MaxStreamBytes = orDefault(c.MaxStreamBytes, DefaultStreamBytes)
	c.StreamAge = noneBelowZero(orDefault(c.StreamAge, DefaultStreamAge))
	c.Settle, c.Poll = orDefault(c.Settle, DefaultSettle), orDefault(c.Poll, DefaultPoll)
	c.CacheBytes = orDefault(c.CacheBytes, DefaultCacheBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// reserve is how many urgent tasks run beyond Workers; one native plugin must not be
// called by two.
func (c Config) reserve() int {
	if c.Mode == Inline {
		return 0
	}
	return 1
}

// validate lists every fault of a configuration with its defaults.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, field, rule string, args ...any) {
		if !ok {
			errs = append(errs, &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, args...)})
		}
	}
	check(c.Mode == Sandbox || c.Mode == Inline, "Mode", "must be Sandbox or Inline")
	check(c.Mode != Inline || len(c.Native) > 0, "Native", "must have a plugin in mode Inline")
	check(c.Mode != Sandbox || c.PluginDir != "" || len(c.Plugins) > 0 || c.Empty, "PluginDir", "must be set, or Plugins, in mode Sandbox")
	limit := MaxWorkersPerCPU * runtime.GOMAXPROCS(0)
	check(c.Workers >= 1 && c.Workers <= limit, "Workers", "must be between 1 and %d", limit)
	if c.Workers < 1 {
		c.Workers = limit // or what depends on it would be faults as well
	}
	check(c.QueueCapacity >= 1, "QueueCapacity", "must be at least 1")
	check(c.QueuePolicy >= Block && c.QueuePolicy <= DropOldest, "QueuePolicy", "must be Block, Reject or DropOldest")
	for tenant, w := range c.TenantWeights {
		check(w >= 1 && w <= MaxWeight && len(tenant) <= MaxTenant, fmt.Sprintf("TenantWeights[%q]", tenant), "must be between 1 and %d, of a name of at most %d bytes", MaxWeight, MaxTenant)
	}
	check(!c.Watch || c.PluginDir != "" && c.Mode == Sandbox, "Watch", "needs PluginDir, in mode Sandbox")
	check(c.Settle > 0 && c.Settle <= time.Minute, "Settle", "must be positive, and at most 1m")
	check(c.Poll >= 10*time.Millisecond && c.Poll <= time.Hour, "Poll", "must be between 10ms and 1h")
	check(c.CacheBytes > 0, "CacheBytes", "must be positive")
	check(c.MemoryBudget >= 64<<10, "MemoryBudget", "must be at least 64 KiB")
	check(c.MaxStreams >= 1, "MaxStreams", "must be at least 1")
	check(c.MaxStreamBytes >= 64<<10, "MaxStreamBytes", "must be at least 64 KiB")
	seen := make(map[string]bool)
	for i, s := range c.Plugins {
		field := fmt.Sprintf("Plugins[%d].Name", i)
		check(s.Name != "", field, "must not be empty")
		check(!seen[s.Name], field, "%q is there twice", s.Name)
		seen[s.Name] = true
	}
	c.Defaults.validate(c, "Defaults", check)
	for name, o := range c.Overrides {
		c.Defaults.overriddenBy(o).validate(c, fmt.Sprintf("Overrides[%q]", name), check)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (p PluginConfig) validate(c Config, path string, check func(ok bool, field, rule string, args ...any)) {
	p = p.withDefaults(c)
	check(p.MaxInstances >= 1 && p.MaxInstances <= c.Workers, path+".MaxInstances", "must be between 1 and the number of workers, %d", c.Workers)
	check(p.MinInstances <= p.MaxInstances, path+".MinInstances", "must be at most MaxInstances, %d", p.MaxInstances)
	check(p.Weight >= 1 && p.Weight <= MaxWeight, path+".Weight", "must be between 1 and %d", MaxWeight)
	check(p.MemoryLimit >= 64<<10 && p.MemoryLimit <= MaxMemoryLimit, path+".MemoryLimit", "must be between 64 KiB and 2 GiB")
	check(p.RunTimeout >= 0, path+".RunTimeout", "must not be negative")
	check(p.InitTimeout > 0, path+".InitTimeout", "must be positive")
	check(p.MaxInput >= 1<<10 && p.MaxInput <= MaxFrameBytes, path+".MaxInput", "must be between 1 KiB and 256 MiB")
	check(p.MaxOutput >= 1<<10 && p.MaxOutput <= MaxFrameBytes, path+".MaxOutput", "must be between 1 KiB and 256 MiB")
	check(p.MaxModule >= 1, path+".MaxModule", "must be positive")
	check(p.LogBytesPerSecond >= 1, path+".LogBytesPerSecond", "must be positive")
	check(p.Isolation >= IsolationPristine && p.Isolation <= IsolationFresh, path+".Isolation", "must be IsolationPristine, IsolationFrame, IsolationShared or IsolationFresh")
	check(p.Interrupt >= InterruptMetered && p.Interrupt <= InterruptOff, path+".Interrupt", "must be InterruptMetered, InterruptRuntime or InterruptOff")
	check(p.MaxFuel <= 1<<56, path+".MaxFuel", "must be at most 2^56")
	check(p.MaxFuel == 0 || p.Interrupt == InterruptMetered, path+".MaxFuel", "needs metered interrupts, which count fuel")
	for i, g := range p.Grant {
		check(g == GrantClock || g == GrantRandom, fmt.Sprintf("%s.Grant[%d]", path, i), "must be GrantClock or GrantRandom")
	}
	check(p.CompileTimeout > 0, path+".CompileTimeout", "must be positive")
	check(p.MaxFunctions >= 1, path+".MaxFunctions", "must be positive")
	check(p.MaxGlobals >= 1, path+".MaxGlobals", "must be positive")
	check(p.MaxExports >= 1, path+".MaxExports", "must be positive")
	check(p.MaxTable >= 1, path+".MaxTable", "must be positive")
	check(p.MaxStack >= 64<<10 && p.MaxStack <= 80<<20, path+".MaxStack", "must be between 64 KiB and 80 MiB")
	check(p.MaxTypes >= 1, path+".MaxTypes", "must be positive")
	check(p.MaxImports >= 1, path+".MaxImports", "must be positive")
	check(p.MaxTables >= 1, path+".MaxTables", "must be positive")
	check(p.MaxSegments >= 1, path+".MaxSegments", "must be positive")
	check(p.MaxElements >= 1, path+".MaxElements", "must be positive")
	check(p.MaxFunctionSize >= 1, path+".MaxFunctionSize", "must be positive")
	check(p.MaxArity >= 1, path+".MaxArity", "must be positive")
	check(p.MaxJumps >= 1, path+".MaxJumps", "must be positive")
	check(p.MaxFlow >= 1, path+".MaxFlow", "must be positive")
	check(p.MaxLocals >= 1 && p.MaxLocals <= 1_000_000, path+".MaxLocals", "must be between 1 and 1,000,000")
	check(p.MaxCallDepth >= 1 && p.MaxCallDepth <= 1_000_000, path+".MaxCallDepth", "must be between 1 and 1,000,000")
	check(p.Verify >= VerifySelfTests && p.Verify <= VerifySample, path+".Verify", "must be VerifySelfTests, VerifyOff or VerifySample")
	check(p.VerifyEvery >= 1, path+".VerifyEvery", "must be positive")
	check(p.SwapTimeout > 0, path+".SwapTimeout", "must be positive")
	check(p.StateRule == StateRefuse || p.StateRule == StateReset, path+".StateRule", "must be StateRefuse or StateReset")
	check(p.Canary >= 0 && p.Canary <= 1, path+".Canary", "must be at most 1")
	check(p.CanaryTime > 0, path+".CanaryTime", "must be positive")
	check(p.CanaryErrors >= 0 && p.CanaryErrors <= 1, path+".CanaryErrors", "must be at most 1")
	check(p.CanarySlowdown > 1, path+".CanarySlowdown", "must be more than 1")
	check(p.Engine == EngineCompiler || p.Engine == EngineInterpreter, path+".Engine", "must be EngineCompiler or EngineInterpreter")
}

// overriddenBy returns p with the fields of o that are not zero.
func (p PluginConfig) overriddenBy(o PluginConfig) PluginConfig {
	grants := p.Grant
	if o.Grant != nil {
		grants = o.Grant
	}
	return PluginConfig{
		Weight:            orDefault(o.Weight, p.Weight),
		MinInstances:      orDefault(o.MinInstances, p.MinInstances),
		MaxInstances:      orDefault(o.MaxInstances, p.MaxInstances),
		IdleTimeout:       orDefault(o.IdleTimeout, p.IdleTimeout),
		MaxCalls:          orDefault(o.MaxCalls, p.MaxCalls),
		MaxAge:            orDefault(o.MaxAge, p.MaxAge),
		MaxMemory:         orDefault(o.MaxMemory, p.MaxMemory),
		MemoryLimit:       orDefault(o.MemoryLimit, p.MemoryLimit),
		RunTimeout:        orDefault(o.RunTimeout, p.RunTimeout),
		InitTimeout:       orDefault(o.InitTimeout, p.InitTimeout),
		MaxInput:          orDefault(o.MaxInput, p.MaxInput),
		MaxOutput:         orDefault(o.MaxOutput, p.MaxOutput),
		MaxModule:         orDefault(o.MaxModule, p.MaxModule),
		LogBytesPerSecond: orDefault(o.LogBytesPerSecond, p.LogBytesPerSecond),
		Isolation:         orDefault(o.Isolation, p.Isolation),
		Interrupt:         orDefault(o.Interrupt, p.Interrupt),
		MaxFuel:           orDefault(o.MaxFuel, p.MaxFuel),
		BreakAfter:        orDefault(o.BreakAfter, p.BreakAfter),
		BatchTarget:       orDefault(o.BatchTarget, p.BatchTarget),
		Grant:             grants,
		CompileTimeout:    orDefault(o.CompileTimeout, p.CompileTimeout),
		MaxFunctions:      orDefault(o.MaxFunctions, p.MaxFunctions),
		MaxGlobals:        orDefault(o.MaxGlobals, p.MaxGlobals),
		MaxExports:        orDefault(o.MaxExports, p.MaxExports),
		MaxTable:          orDefault(o.MaxTable, p.MaxTable),
		MaxTypes:          orDefault(o.MaxTypes, p.MaxTypes),
		MaxImports:        orDefault(o.MaxImports, p.MaxImports),
		MaxTables:         orDefault(o.MaxTables, p.MaxTables),
		MaxSegments:       orDefault(o.MaxSegments, p.MaxSegments),
		MaxElements:       orDefault(o.MaxElements, p.MaxElements),
		MaxFunctionSize:   orDefault(o.MaxFunctionSize, p.MaxFunctionSize),
		MaxLocals:         orDefault(o.MaxLocals, p.MaxLocals),
		MaxArity:          orDefault(o.MaxArity, p.MaxArity),
		MaxJumps:          orDefault(o.MaxJumps, p.MaxJumps),
		MaxFlow:           orDefault(o.MaxFlow, p.MaxFlow),
		MaxCallDepth:      orDefault(o.MaxCallDepth, p.MaxCallDepth),
		MaxStack:          orDefault(o.MaxStack, p.MaxStack),
		Engine:            orDefault(o.Engine, p.Engine),
		Verify:            orDefault(o.Verify, p.Verify),
		VerifyEvery:       orDefault(o.VerifyEvery, p.VerifyEvery),
		VerifySuspend:     o.VerifySuspend || p.VerifySuspend,
		SwapTimeout:       orDefault(o.SwapTimeout, p.SwapTimeout),
		StateRule:         orDefault(o.StateRule, p.StateRule),
		Canary:            orDefault(o.Canary, p.Canary),
		CanaryTime:        orDefault(o.CanaryTime, p.CanaryTime),
		CanaryErrors:      orDefault(o.CanaryErrors, p.CanaryErrors),
		CanarySlowdown:    orDefault(o.CanarySlowdown, p.CanarySlowdown),
	}
}

func (p PluginConfig) withDefaults(c Config) PluginConfig {
	p.Weight = orDefault(p.Weight, 1)
	p.MaxInstances = orDefault(p.MaxInstances, c.Workers)
	if c.Mode == Inline {
		p.MinInstances, p.MaxInstances = 1, 1
	}
	p.MinInstances = noneBelowZero(orDefault(p.MinInstances, min(DefaultMinInstances, p.MaxInstances)))
	p.IdleTimeout = noneBelowZero(orDefault(p.IdleTimeout, DefaultIdleTimeout))
	p.MaxCalls, p.MaxAge, p.MaxMemory = noneBelowZero(p.MaxCalls), noneBelowZero(p.MaxAge), noneBelowZero(p.MaxMemory)
	p.MemoryLimit = orDefault(p.MemoryLimit, DefaultMemoryLimit)
	p.InitTimeout = orDefault(p.InitTimeout, DefaultInitTimeout)
	p.MaxInput = orDefault(p.MaxInput, DefaultMaxInput)
	p.MaxOutput = orDefault(p.MaxOutput, DefaultMaxOutput)
	p.MaxModule = orDefault(p.MaxModule, DefaultMaxModule)
	p.LogBytesPerSecond = orDefault(p.LogBytesPerSecond, DefaultLogBytesPerSecond)
	p.Isolation = orDefault(p.Isolation, IsolationPristine)
	p.Interrupt = orDefault(p.Interrupt, InterruptMetered)
	p.MaxFuel = noneBelowZero(p.MaxFuel)
	p.BreakAfter = noneBelowZero(orDefault(p.BreakAfter, DefaultBreakAfter))
	p.BatchTarget = noneBelowZero(orDefault(p.BatchTarget, DefaultBatchTarget))
	p.CompileTimeout = orDefault(p.CompileTimeout, DefaultCompileTimeout)
	p.MaxFunctions = orDefault(p.MaxFunctions, DefaultMaxFunctions)
	p.MaxGlobals = orDefault(p.MaxGlobals, DefaultMaxGlobals)
	p.MaxExports = orDefault(p.MaxExports, DefaultMaxExports)
	p.MaxTable = orDefault(p.MaxTable, DefaultMaxTable)
	p.MaxTypes = orDefault(p.MaxTypes, DefaultMaxTypes)
	p.MaxImports = orDefault(p.MaxImports, DefaultMaxImports)
	p.MaxTables = orDefault(p.MaxTables, DefaultMaxTables)
	p.MaxSegments = orDefault(p.MaxSegments, DefaultMaxSegments)
	p.MaxElements = orDefault(p.MaxElements, DefaultMaxElements)
	p.MaxFunctionSize = orDefault(p.MaxFunctionSize, DefaultMaxFunctionSize)
	p.MaxLocals = orDefault(p.MaxLocals, DefaultMaxLocals)
	p.MaxArity = orDefault(p.MaxArity, DefaultMaxArity)
	p.MaxJumps = orDefault(p.MaxJumps, DefaultMaxJumps)
	p.MaxFlow = orDefault(p.MaxFlow, DefaultMaxFlow)
	p.MaxCallDepth = orDefault(p.MaxCallDepth, DefaultMaxCallDepth)
	p.MaxStack = orDefault(p.MaxStack, DefaultMaxStack)
	p.Engine = orDefault(p.Engine, EngineCompiler)
	p.Verify = orDefault(p.Verify, VerifySelfTests)
	p.VerifyEvery = orDefault(p.VerifyEvery, DefaultVerifyEvery)
	p.SwapTimeout = orDefault(p.SwapTimeout, DefaultSwapTimeout)
	p.StateRule = orDefault(p.StateRule, StateRefuse)
	p.Canary = noneBelowZero(p.Canary)
	p.CanaryTime = orDefault(p.CanaryTime, DefaultCanaryTime)
	p.CanaryErrors = noneBelowZero(orDefault(p.CanaryErrors, DefaultCanaryErrors))
	p.CanarySlowdown = orDefault(p.CanarySlowdown, DefaultCanarySlowdown)
	return p
}

// pluginConfig returns how the plugin of that source's name is run.
func (c Config) pluginConfig(source string) PluginConfig {
	return c.Defaults.overriddenBy(c.Overrides[source]).withDefaults(c)
}
