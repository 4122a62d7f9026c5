package host

import (
	"slices"

	"github.com/resonhost/resonhost/host/internal/framefit"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
)

// Mode is where transforms run.
type Mode int

// Modes.
const (
	// ModeSandbox runs plugins as WebAssembly guests. It is the default.
	ModeSandbox Mode = iota
	// ModeInline runs Config.Native in the caller's goroutine, one task at a time
	// over the whole host, without a sandbox: the way back to single-threaded
	// operation, and the baseline of measurements. Native code cannot be
	// interrupted, so that timeouts and cancellation end the waiting only.
	ModeInline
)

// QueuePolicy says what becomes of a task that finds its queue full.
type QueuePolicy int

// Policies.
const (
	// QueueBlock makes the caller wait for room, as long as its context lasts. It is
	// the default.
	QueueBlock QueuePolicy = QueuePolicy(sched.Block)
	// QueueReject refuses the task with [ErrQueueFull].
	QueueReject QueuePolicy = QueuePolicy(sched.Reject)
	// QueueDropOldest takes the new task, and has the task of the queue that has waited longest
	// fail with [ErrQueueFull].
	QueueDropOldest QueuePolicy = QueuePolicy(sched.DropOldest)
)

// Priority says whose tasks go first.
type Priority int

// Priorities. The highest with a task that can run goes first. But a lower priority whose tasks have
// waited for 100 ms without a worker goes first, every other time. In ModeInline priorities mean nothing:
// all tasks run in the order in which they came.
const (
	// PriorityNormal is the default.
	PriorityNormal Priority = iota
	// PriorityUrgent is for what must be on time and takes little. It goes first, and
	// where all workers, or all instances of its plugin, are taken, one urgent task can
	// run beyond them, so that it need not wait for a task to end.
	PriorityUrgent
	// PriorityBulk is for what can wait for all others.
	PriorityBulk
)

// Isolation is what a guest keeps from one task to the next.
type Isolation int

// Isolations.
const (
	// IsolationPristine keeps nothing; it is the default. After each task the instance is put
	// back to what it was after its initialisation: memory, globals, tables, clock and random
	// bytes. Where that cannot be done, the instance is replaced.
	IsolationPristine Isolation = iota + 1
	// IsolationFrame keeps nothing either, between crossings. But up to 64 tasks of one
	// [Host.RunBatch] share a crossing into the guest, and so the memory of an instance.
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

// together is how many tasks share a crossing at most.
func (i Isolation) together() int {
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
	// InterruptMetered writes counters into the guest; it is the default. After at most 0.3 ms,
	// which are some 8,000 to 500,000 instructions, the guest comes to the host. The host looks at
	// the task's deadline, cancellation and fuel, and lets others run.
	InterruptMetered Interrupt = Interrupt(module.Metered)
	// InterruptRuntime uses wazero's own checks, which make tight loops several
	// times slower, and count no fuel.
	InterruptRuntime Interrupt = Interrupt(module.Runtime)
	// InterruptOff leaves out the checks; it is for trusted plugins alone. Timeouts do nothing.
	// A guest that does not return holds its worker for ever, and may stop the whole process
	// when Go collects garbage.
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
	// GrantNetwork are HTTP requests by Config.Fetch, to the hosts that the plugin's own list allows.
	// Without it, and without Config.Fetch, requests fail.
	GrantNetwork Grant = "network"
)

// varies reports whether what is granted may have a task be answered differently the second time. A
// task that uses the network is not compared in any case.
func varies(granted []Grant) bool {
	return slices.Contains(granted, GrantClock) || slices.Contains(granted, GrantRandom)
}

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

// Verify says what is done once more in wazero's interpreter, to see whether compiled code
// answers the same: status, output and state to the last bit, and how much fuel that took.
type Verify int

// Ways to verify.
const (
	// VerifySelfTests compares the self-tests of a version before it serves, those of its
	// manifest and of Source.Tests, as far as they do with 100 million units of fuel and 5 s.
	// With IsolationShared only the first of Source.Tests is compared, since what the others
	// answer may depend on those before them. The log warns of what is not compared, and the
	// next start tries again.
	// A version that answers differently is refused, at [StepVerify]. It is the default.
	VerifySelfTests Verify = iota + 1
	// VerifyOff compares nothing.
	VerifyOff
	// VerifySample also compares one in PluginConfig.VerifyEvery tasks that the guest answers. Each
	// version has one goroutine for that, which compares one task at a time, and drops what comes
	// too fast. Tasks that share a frame are left out, and so are those whose input and answer have
	// more than a MiB together. Plugins are left out whose answers may depend on more than the
	// task: those that are granted the clock or randomness, or have IsolationShared.
	VerifySample
)

// StateRule says what becomes of a new version of a plugin that cannot read the states
// that streams have of the version that serves, see manifest.Transform.
type StateRule int

// Rules.
const (
	// StateDefault is, of a PluginConfig, StateRefuse; and of [Host.Rollback] that of the plugin.
	StateDefault StateRule = iota
	// StateRefuse refuses the version.
	StateRefuse
	// StateReset has such streams begin anew, which Stats counts.
	StateReset
)

// DeployResult is what came of an attempt to change a plugin.
type DeployResult string

// Results.
const (
	DeployLoaded     DeployResult = "loaded"    // it had not served before
	DeploySwapped    DeployResult = "swapped"   // it serves in its predecessor's stead
	DeployUnchanged  DeployResult = "unchanged" // it serves already
	DeployCanary     DeployResult = "canary"    // it does a share of the tasks
	DeployPromoted   DeployResult = "promoted"  // a canary serves alone
	DeployRolledBack DeployResult = "rolled_back"
	DeployFailed     DeployResult = "failed" // what served before does so still
	DeployUnloaded   DeployResult = "unloaded"
)
