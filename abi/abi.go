// Package abi is the contract between a resonhost host and its plugins: the
// names that cross the boundary, the frames that carry tasks and results, and the
// status of a result. Package manifest describes a plugin.
//
// A plugin is a WASI preview-1 reactor, a core WebAssembly module. It exports
// its memory and the functions named by the Export constants; the host calls
// them from one goroutine at a time.
//
// A host may run a task again, and compare self-tests and tasks with what another engine answers.
// Answers should not show which NaN a computation gave, as that depends on the engine and the
// processor: a plugin that can have NaNs in its output or state writes one for all.
//
// The package imports the standard library alone and builds for wasip1, so that
// both sides of the boundary share it. Package guest makes a plugin of a Go
// program; what other languages need is in what the command "resonhost new" writes.
package abi

// Version is the major version of the contract. A plugin states the version it
// was built for in [ExportVersion]; a host runs only its own.
const Version = 1

// Names a plugin exports.
const (
	// ExportMemory is the linear memory in which frames are exchanged.
	ExportMemory = "memory"
	// ExportInitialize, () → (), is called once before any other function. It
	// is the one optional export.
	ExportInitialize = "_initialize"
	// ExportVersion, () → i32, returns the [Version] of the contract.
	ExportVersion = "resonhost_abi"
	// ExportDescribe, () → i64, returns the JSON manifest as [Pack] lays it
	// out.
	ExportDescribe = "resonhost_describe"
	// ExportAlloc, (size i32) → i32, returns the address of room for an input
	// frame of size bytes, 8-byte aligned, or refuses by 0. The room is the host's until
	// the next call, which may be for any size: it writes every input frame of at most
	// size bytes at its beginning.
	ExportAlloc = "resonhost_alloc"
	// ExportRun, (transform i32, ptr i32, len i32) → i64, runs the input frame
	// at ptr, which is what [ExportAlloc] last returned, through the transform with
	// that index in the manifest and returns the output frame as [Pack] lays it out,
	// valid until the next call.
	ExportRun = "resonhost_run"
)

// Names a plugin may import.
const (
	// ImportWASI is the module of the WASI functions a plugin may import.
	ImportWASI = "wasi_snapshot_preview1"
	// ImportModule is the module of the functions the host adds.
	ImportModule = "resonhost"
	// ImportLog, (level i32, ptr i32, len i32) → (), writes a UTF-8 message to
	// the host's log, at a [LogLevel].
	ImportLog = "log"
	// ImportCall, (name i32, nameLen i32, arg i32, argLen i32) → i64, calls a function of
	// the program that embeds the host, by its name, with one argument. It returns a
	// [CallStatus] in the upper half and the length of the result or of a message in the
	// lower one, see [Unpack]. The host keeps these bytes until the guest has taken them by
	// [ImportResult], calls another function, or the task ends.
	ImportCall = "call"
	// ImportResult, (ptr i32) → (), writes what the last [ImportCall] returned to ptr, once.
	ImportResult = "call_result"
)

// CallStatus says what became of a call of [ImportCall].
type CallStatus uint32

// Statuses of a call. With all but the first the result is a message in UTF-8.
const (
	// CallOK: the result is the function's.
	CallOK CallStatus = iota
	// CallFailed: the function failed.
	CallFailed
	// CallUnknown: there is no such function.
	CallUnknown
)

// LogLevel is the severity of a message that a plugin logs. The values are those
// of log/slog.
type LogLevel int32

// Levels of [ImportLog].
const (
	LogDebug LogLevel = -4
	LogInfo  LogLevel = 0
	LogWarn  LogLevel = 4
	LogError LogLevel = 8
)

// Pack joins an address and a length into the i64 by which [ExportDescribe] and
// [ExportRun] return a byte range: the address in the upper half. With [ImportCall] a
// [CallStatus] is in its place.
func Pack(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// Unpack parts what [Pack] joined.
func Unpack(v uint64) (ptr, n uint32) { return uint32(v >> 32), uint32(v) }
