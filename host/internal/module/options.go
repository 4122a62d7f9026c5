package module

import (
	"log/slog"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// BinaryLimits are those of a plugin's binary; the zero value of a field is its
// default.
type BinaryLimits = meter.Limits

// Options bound what a plugin may do. All fields but those that say so must be set.
type Options struct {
	// Kinds are the kinds of guests that there may be, see [contract.Of].
	Kinds []contract.Kind
	// Name is the plugin's source's, by which one is called that says nothing else.
	Name string
	// Companion is the file beside the plugin that says what its binary does not, see package
	// companion; nil without one.
	Companion []byte
	// Embedder is what the program that embeds the host gives to the plugin.
	Embedder contract.Embedder
	// Binary bounds what is compiled.
	Binary BinaryLimits
	// CompileTimeout bounds the compiling.
	CompileTimeout time.Duration
	// Cache keeps what was compiled; nil compiles each time.
	Cache *Cache
	// MemoryLimit is the most linear memory of one instance, in bytes; Budget
	// is what all together have.
	MemoryLimit uint64
	Budget      *Budget
	// Batch is how many items a frame has at most.
	Batch int
	// Frames bounds what goes in and comes out.
	Frames FrameLimits
	// LogBytesPerSecond is how much the plugin may log.
	LogBytesPerSecond int
	// InitTimeout bounds the making of an instance, and the whole check of one
	// when the plugin is loaded.
	InitTimeout time.Duration
	// Interrupt is how a guest that does not return is stopped.
	Interrupt Interrupt
	// CallDepth is how deep calls may nest, and StackLimit how much native stack they may
	// take, in bytes, with Metered.
	CallDepth  int32
	StackLimit uint64
	// KeepTables leaves functions of Go's compiler with the table that their jumps go through,
	// for comparison.
	KeepTables bool
	// Unguarded leaves instructions that wazero makes wrong code of as they are, for comparison.
	Unguarded bool
	// RealClock and RealRandom grant the guest the system's time and randomness;
	// otherwise it has a clock and random bytes that are the same for every task.
	RealClock, RealRandom bool
	// Interpret runs the guest in wazero's interpreter instead of compiling it.
	Interpret bool
	// Verify compares the answers to self-tests with the interpreter's. Tests are those that
	// the caller has besides the manifest's, and is going to compare, see Module.TakeChecker.
	Verify bool
	Tests  []byte
	// Compiling is called before the binary is compiled, unless the cache has what comes of it, or
	// it is nil.
	Compiling func()
	// Log receives what the plugin logs. Logged is told of each such line too, and from info on of those
	// that Log does not take; nil is not. It is called while the guest waits, by several at once.
	Log    *slog.Logger
	Logged func(Line)
}
