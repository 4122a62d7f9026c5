package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/resonhost/resonhost/host"
)

// call runs a task of a function of package transform, and returns its output: behind
// dst, in memory of its own, or in memory that is valid until the caller's next call.
type call func(ctx context.Context, t task, dst []byte) ([]byte, error)

// opened is a contender in Go that is ready.
type opened struct {
	run, runAppend call
	// batch returns results, in the memory of those it is given.
	batch func(ctx context.Context, function string, results []host.Result, inputs [][]byte) ([]host.Result, error)
	// lines takes cascades as JSON lines and returns their results likewise.
	lines func(ctx context.Context, body []byte) ([]byte, error)
	close func(ctx context.Context) error
}

// options are what a contender is opened with.
type options struct {
	workers int
	plugins string // directory of cascade.wasm and tick.wasm
	simd    string // directory of their builds in Rust
	guests  string // directory of the other guests
	// cold leaves out the plugins that a first cascade does not need.
	cold bool
}

// contender is one way to run tasks.
type contender struct {
	Name string `json:"name"`
	// Process is the kind of process that it runs in; some have several modes.
	Process string `json:"process"`
	Mode    string `json:"mode"`
	What    string `json:"what"`
	// Fresh and Stops say what it is given that others are not.
	Fresh string `json:"fresh"`
	Stops string `json:"stops"`
}

// Kinds of processes, and contenders that findings name.
const (
	kindNative      = "native"
	kindInline      = "inline"
	kindWazero      = "wazero"
	kindPristine    = "pristine"
	kindPristineOff = "pristine-off"
	kindFrame       = "frame"
	kindFrameOff    = "frame-off"
	kindShared      = "shared"
	kindSharedOff   = "shared-off"

	// Of those with the plugins' builds in Rust.
	withSIMD         = "-simd"
	kindPristineSIMD = kindPristine + withSIMD
	kindFrameSIMD    = kindFrame + withSIMD
	kindSharedSIMD   = kindShared + withSIMD

	kindHTTP       = "http"
	kindExtism     = "extism"
	kindExtismStop = "extism-stop"
	kindExtismHere = "extism-here"
	kindWapc       = "wapc"
	// waPC's guest, here.
	kindWapcShared   = "wapc-shared"
	kindWapcPristine = "wapc-pristine"
	kindGoPlugin     = "go-plugin"
	kindPerCall      = "wazero-per-call"
	// A program of WASI, here and as a new instance of wazero's for each task.
	kindCommand        = "command"
	kindCommandPerCall = "command-per-call"
	kindPiscina        = "piscina"
	kindPiscinaOnce    = "piscina-once"
)

const (
	yes, no      = "yes", "no"
	byFuel       = "deadline, cancellation, fuel"
	byDeadline   = "deadline"
	withItsChild = "with its process"
)

// contenders are all, the limit first.
var contenders = []contender{
	{"native", kindNative, modeRun, "the transform in Go, bytes in and out", no, no},
	{"wazero, bare", kindWazero, modeRun, "a reused instance of the guest in wazero, a frame of one task: the limit of guests", no, no},
	{"inline", kindInline, modeRun, "resonhost without a sandbox, Host.Run", no, no},
	{"pristine", kindPristine, modeRun, "resonhost by default, Host.Run", yes, byFuel},
	{"pristine, appended", kindPristine, modeAppend, "the same, Client.RunAppend", yes, byFuel},
	{"pristine, batched", kindPristine, modeBatch, "the same, Host.RunBatch of 64", yes, byFuel},
	{"pristine, not metered", kindPristineOff, modeRun, "resonhost, Host.Run", yes, no},
	{"frame, batched", kindFrame, modeBatch, "resonhost, Host.RunBatch of 64", "each 64 tasks", byFuel},
	{"frame, batched, appended", kindFrame, modeInto, "resonhost, Client.RunBatchInto of 64", "each 64 tasks", byFuel},
	{"frame, batched, not metered", kindFrameOff, modeBatch, "resonhost, Host.RunBatch of 64", "each 64 tasks", no},
	{"shared", kindShared, modeRun, "resonhost, Host.Run", no, byFuel},
	{"shared, appended", kindShared, modeAppend, "resonhost, Client.RunAppend", no, byFuel},
	{"shared, not metered", kindSharedOff, modeRun, "resonhost, Host.Run", no, no},
	{"pristine, SIMD guest", kindPristineSIMD, modeRun, "resonhost, Host.Run, the guest written in Rust with SIMD", yes, byFuel},
	{"frame, batched, SIMD guest", kindFrameSIMD, modeBatch, "resonhost, Host.RunBatch of 64, the same guest", "each 64 tasks", byFuel},
	{"shared, appended, SIMD guest", kindSharedSIMD, modeAppend, "resonhost, Client.RunAppend, the same guest", no, byFuel},
	{"HTTP, pristine", kindHTTP, modeRun, "resonhost's server on the loopback interface and its client in one process, records as bodies", yes, byFuel},
	{"HTTP, pristine, JSON lines", kindHTTP, modeLines, "the same, 64 JSON lines a request, which the client does not decode", yes, byFuel},
	{"Piscina, 8 octaves", kindPiscina, modeRun, "JavaScript that analyses every octave, as the original did", no, "with its thread"},
	{"Piscina, octaves once", kindPiscinaOnce, modeRun, "JavaScript that analyses one octave for all", no, "with its thread"},
	{ofExtismHere, kindExtismHere, modeRun, "the plugin that Extism has, resonhost by default, Host.Run", yes, byFuel},
	{"Extism", kindExtism, modeRun, "reused instances of a compiled plugin", no, no},
	{"Extism, with a timeout", kindExtismStop, modeRun, "the same, with a timeout in the manifest", no, byDeadline},
	{"waPC", kindWapc, modeRun, "its pool of instances, engine wazero", no, no},
	{"waPC's guest, shared", kindWapcShared, modeRun, "resonhost with the guest of waPC's contender, Host.Run", no, byFuel},
	{"waPC's guest, pristine", kindWapcPristine, modeRun, "the same", yes, byFuel},
	{"go-plugin", kindGoPlugin, modeRun, "native Go in a child process, gRPC over a Unix socket", no, withItsChild},
	{"wazero, a new instance each", kindPerCall, modeRun, "a compiled guest, instantiated for every task", yes, no},
	{ofCommand, kindCommand, modeRun, "a program in Go whose standard input and output are the task's, resonhost by default, Host.Run", yes, byFuel},
	{ofCommandPerCall, kindCommandPerCall, modeRun, "the same program, compiled, in a new instance of wazero's for every task", yes, no},
}

// maxOutstanding bounds how many calls a client of HTTP or gRPC has under way; others wait
// before it. With thousands both ends of a gRPC connection come to wait for the other to
// read, for ever.
const maxOutstanding = 64

// isNode reports whether a kind of process is not of this program.
func isNode(kind string) bool { return kind == kindPiscina || kind == kindPiscinaOnce }

// open opens a contender in this process.
func open(ctx context.Context, kind string, o options) (*opened, error) {
	switch kind {
	case kindNative:
		return openNative(o), nil
	case kindWazero:
		return openBare(ctx, o)
	case kindPerCall:
		return openPerCall(ctx, o)
	case kindExtismHere:
		return openExtismHere(ctx, o)
	case kindExtism, kindExtismStop:
		return openExtism(ctx, o, kind == kindExtismStop)
	case kindWapc:
		return openWapc(ctx, o)
	case kindWapcShared:
		return openWapcHere(ctx, o, host.IsolationShared)
	case kindWapcPristine:
		return openWapcHere(ctx, o, host.IsolationPristine)
	case kindCommand:
		return openCommandHere(ctx, o)
	case kindCommandPerCall:
		return openCommandPerCall(ctx, o)
	case kindGoPlugin:
		return openGoPlugin(o)
	case kindHTTP:
		return openHTTP(ctx, o)
	}
	if base, ok := strings.CutSuffix(kind, withSIMD); ok {
		kind, o.plugins = base, o.simd
	}
	if cfg, ok := hosts[kind]; ok {
		return openHost(ctx, o, cfg)
	}
	return nil, fmt.Errorf("there is no contender %q", kind)
}
