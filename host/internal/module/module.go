// Package module runs one version of a plugin: it checks a WebAssembly binary
// against the contract of package abi, compiles it, makes instances and calls
// them. It is the only importer of wazero, and trusts nothing that comes from a
// guest.
package module

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// BinaryLimits are those of a plugin's binary; the zero value of a field is its
// default.
type BinaryLimits = meter.Limits

// Options bound what a plugin may do. All fields must be set.
type Options struct {
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
	// Log receives what the plugin logs.
	Log *slog.Logger
}

// Module is a compiled version of a plugin that was seen to work. Its methods
// may be called concurrently.
type Module struct {
	opts     Options
	config   wazero.RuntimeConfig
	cache    wazero.CompilationCache // of the runtime; nil without one
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	globals  []string // exports of the guest's own variable globals
	opaque   []string // those that the host cannot set
	initial  uint64   // memory of a new instance, in bytes
	snapshot *snapshot
	checker  *Checker // for Options.Tests, until it is taken
	verdict  string   // the cache's entry for what was verified; "" if there is none to be made
	// constructs is whether its constructors run at each call.
	constructs bool
	log        *guestLog
	info       Info
}

// Info is what is known of a module.
type Info struct {
	Manifest *manifest.Manifest
	// Hash is the SHA-256 of the binary, in hexadecimal.
	Hash string
	// Size is the length of the binary in bytes.
	Size int
	// Imports and Exports name the functions with their signatures, sorted.
	Imports, Exports []string
	// Memory is an instance's linear memory after initialisation, in bytes.
	Memory uint64
	// Warnings are what may be wrong with it, and keeps it from nothing.
	Warnings []string
	// NoReset is why instances cannot be put back, nil if they can.
	NoReset error
	// Compiling is how long compiling it took, 0 if that lay in the cache.
	Compiling time.Duration
	// Verified is what came of the comparison with the interpreter, see Options.Verify.
	Verified Verified
}

// Step is how far the loading of a plugin came.
type Step string

// Steps, in their order.
const (
	StepInspect     Step = "inspect" // the binary's form and limits
	StepLink        Step = "link"    // imports and exports
	StepCompile     Step = "compile"
	StepInstantiate Step = "instantiate"
	StepDescribe    Step = "describe" // the contract's version, and the manifest
	StepSelfTest    Step = "self-test"
	StepVerify      Step = "verify" // the self-tests once more, in the interpreter
	StepSnapshot    Step = "snapshot"
)

// StepError is the error of a step of [Load], whose message it has.
type StepError struct {
	Step Step
	Err  error
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// in says at which step an error came, nil if it is nil.
func (s Step) in(err error) error {
	if err == nil {
		return nil
	}
	return &StepError{s, err}
}

// Load compiles a binary, checks it against the contract, and runs the
// self-tests of its manifest on an instance of its own.
func Load(ctx context.Context, wasm []byte, opts Options) (*Module, error) {
	if err := checkHeader(wasm); err != nil {
		return nil, StepInspect.in(err)
	}
	config := wazero.NewRuntimeConfig()
	if opts.Interpret {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.WithCloseOnContextDone(opts.Interrupt == Runtime).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2)
	m := &Module{opts: opts, config: config, log: newGuestLog(opts.Log, opts.LogBytesPerSecond)}
	sum := sha256.Sum256(wasm)
	m.info.Hash, m.info.Size = hex.EncodeToString(sum[:]), len(wasm)
	if err := m.load(ctx, wasm); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

// makingRuntime is held while a runtime is made: wazero 1.12 finds out its own
// version then, and keeps it in a variable without a lock.
var makingRuntime sync.Mutex

func newRuntime(ctx context.Context, config wazero.RuntimeConfig) wazero.Runtime {
	makingRuntime.Lock()
	defer makingRuntime.Unlock()
	return wazero.NewRuntimeWithConfig(ctx, config)
}

func checkHeader(wasm []byte) error {
	core := []byte("\x00asm\x01\x00\x00\x00")
	switch {
	case len(wasm) == 0:
		return errors.New("the file is empty")
	case bytes.HasPrefix(wasm, core):
		return nil
	case bytes.HasPrefix(wasm, []byte("\x00asm\x0d\x00\x01\x00")):
		return errors.New("a WebAssembly component, where a core module is wanted")
	}
	return errors.New("not a WebAssembly module of version 1")
}

func (m *Module) load(ctx context.Context, wasm []byte) error {
	if err := m.checkLinks(wasm); err != nil { // before the expensive steps
		return err
	}
	rewritten, err := m.rewrite(wasm, m.rewriting())
	if err != nil {
		return StepInspect.in(err)
	}
	if err := m.compile(ctx, rewritten); err != nil {
		return err
	}
	if err := m.provide(ctx); err != nil {
		return StepInstantiate.in(fmt.Errorf("link: %w", err))
	}
	in, err := m.Instantiate(ctx)
	if err != nil {
		return StepInstantiate.in(err)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, m.opts.InitTimeout, errTimeout)
	defer cancel()
	answers, err := m.examine(bounded, in)
	err = in.ended(err)
	if err == nil {
		m.initial = m.info.Memory
		m.snapshot, m.info.NoReset = in.capture()
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	if err := m.try(ctx); err != nil {
		return StepSelfTest.in(err)
	}
	return StepVerify.in(m.verify(ctx, rewritten, answers))
}

// rewriting is how binaries are rewritten.
func (m *Module) rewriting() meter.Options {
	opts := meter.Options{
		Meter: m.opts.Interrupt == Metered, Reloop: !m.opts.KeepTables, Depth: min(m.opts.CallDepth, firstDepth),
		Guards: meter.GuardsFor(runtime.GOARCH), Reset: true,
	}
	if m.opts.Unguarded {
		opts.Guards = 0
	}
	return opts
}

// compile compiles a binary that was rewritten, so that its guests can be stopped and put back.
func (m *Module) compile(ctx context.Context, rewritten *rewritten) error {
	m.globals, m.opaque = rewritten.Globals, rewritten.Opaque
	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.CompileTimeout, errCompileTimeout)
	defer cancel()
	// With more than one worker wazero heeds the context, between functions.
	err := m.compileCached(experimental.WithCompilationWorkers(ctx, max(2, runtime.GOMAXPROCS(0))), rewritten)
	if err != nil {
		return StepCompile.in(fmt.Errorf("compile: %w", err))
	}
	return nil
}

var errCompileTimeout = fmt.Errorf("takes longer than its compile timeout: %w", context.DeadlineExceeded)

// provide makes what guests may import.
func (m *Module) provide(ctx context.Context) error {
	if err := wasi.Instantiate(ctx, m.runtime, func(ctx context.Context) *wasi.System { return &caller(ctx).system }); err != nil {
		return err
	}
	_, err := m.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(yield), nil, nil).
		Export(meter.ImportYield).
		Instantiate(ctx)
	if err != nil {
		return err
	}
	_, err = m.runtime.NewHostModuleBuilder(abi.ImportModule).
		NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(m.hostLog), []api.ValueType{i32, i32, i32}, nil).
		WithParameterNames("level", "ptr", "len").
		Export(abi.ImportLog).
		Instantiate(ctx)
	return err
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

const (
	// warmUps is how often the self-tests are run.
	warmUps = 16
	// warmUpFuel ends that early. It is fuel and not time, so that instances
	// begin the same everywhere.
	warmUpFuel = 100_000_000
)

// examine asks a fresh instance what it is, and runs its self-tests, of whose first turn it
// returns the answers, up to where it was [Instance.Starved].
func (m *Module) examine(ctx context.Context, in *Instance) (answers []abi.Result, err error) {
	if err := m.describe(ctx, in); err != nil {
		return nil, StepDescribe.in(err)
	}
	// More than once: a guest of Go's needs some tasks before its heap and its
	// caches are such that the next task leaves little behind.
	var spent uint64
	for turn := range warmUps {
		for i, c := range m.info.Manifest.SelfTests {
			got, fuel, err := m.selfTest(ctx, in, c)
			if turn == 0 && !in.Starved() {
				answers = append(answers, got)
			}
			if err != nil {
				return nil, StepSelfTest.in(fmt.Errorf("self-test %d %q of %s: %w", i, c.Name, c.Transform, err))
			}
			spent += fuel
		}
		if spent > warmUpFuel {
			break
		}
	}
	if err := m.warmBatch(ctx, in); err != nil {
		return nil, StepSelfTest.in(err)
	}
	m.info.Memory = in.Memory()
	return answers, nil
}

// describe asks an instance for its version of the contract and its manifest.
func (m *Module) describe(ctx context.Context, in *Instance) error {
	in.watch.begin(ctx, &Limits{})
	v, err := in.invoke(ctx, &in.exports.version)
	if err != nil {
		return err
	}
	if uint32(v) != abi.Version {
		return fmt.Errorf("speaks version %d of the plugin contract, the host speaks %d", uint32(v), abi.Version)
	}
	if v, err = in.invoke(ctx, &in.exports.describe); err != nil {
		return err
	}
	ptr, n := abi.Unpack(v)
	if n > manifest.MaxBytes {
		return fmt.Errorf("its manifest has %d bytes, the limit is %d", n, manifest.MaxBytes)
	}
	doc, ok := in.mod.Memory().Read(ptr, n)
	if !ok {
		return abiFault("%s returned bytes %d to %d of a memory of %d", abi.ExportDescribe, ptr, uint64(ptr)+uint64(n), in.Memory())
	}
	m.info.Manifest, err = manifest.Parse(doc)
	return err
}

// warmBatch has each transform run a frame of as many items as it will get, of its
// last self-test that succeeds, so that buffers have grown before the snapshot.
func (m *Module) warmBatch(ctx context.Context, in *Instance) error {
	if m.opts.Batch <= 1 {
		return nil
	}
	last := make(map[int]manifest.SelfTest)
	for _, c := range m.info.Manifest.SelfTests {
		if c.Status == abi.StatusOK {
			last[m.index(c.Transform)] = c
		}
	}
	for index := range m.info.Manifest.Transforms {
		c, ok := last[index]
		if !ok {
			continue
		}
		items, results := make([]abi.Item, m.opts.Batch), make([]abi.Result, m.opts.Batch)
		for i := range items {
			items[i] = abi.Item{Payload: c.Input, State: c.State}
		}
		_, err := in.Run(ctx, Call{Transform: index, Items: items, Results: results})
		if err != nil && !errors.Is(err, ErrInputSize) && !errors.Is(err, ErrOutputSum) {
			return fmt.Errorf("self-test %q of %s, %d times in a frame: %w", c.Name, c.Transform, len(items), err)
		}
	}
	return nil
}

func (m *Module) index(transform string) int {
	return slices.IndexFunc(m.info.Manifest.Transforms, func(t manifest.Transform) bool { return t.Name == transform })
}

func (m *Module) selfTest(ctx context.Context, in *Instance, c manifest.SelfTest) (answer abi.Result, fuel uint64, err error) {
	index := m.index(c.Transform)
	var got [1]abi.Result
	fuel, err = in.Run(ctx, Call{Transform: index, Items: []abi.Item{{Payload: c.Input, State: c.State}}, Results: got[:]})
	switch {
	case err != nil:
		return got[0], 0, err
	case got[0].Status != c.Status:
		return got[0], 0, fmt.Errorf("status is %v, want %v", outcome(got[0]), c.Status)
	case c.Status == abi.StatusOK && !bytes.Equal(got[0].Payload, c.Output):
		return got[0], 0, differ(got[0].Payload, c.Output)
	}
	return got[0], fuel, nil
}

func outcome(r abi.Result) string {
	if r.Status == abi.StatusOK {
		return r.Status.String()
	}
	return fmt.Sprintf("%v (%.1000q)", r.Status, r.Payload)
}

// differ says where two payloads differ first.
func differ(got, want []byte) error {
	at, g, w := firstDifference(got, want)
	return fmt.Errorf("output of %d bytes is %s from byte %d on, want %s of %d bytes%s", len(got), g, at, w, len(want), nanNote(got, want))
}

// firstDifference returns where two byte strings part, and excerpts of both from there on.
func firstDifference(a, b []byte) (at int, fromA, fromB string) {
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	const most = 24
	excerpt := func(b []byte) string {
		b = b[at:]
		if len(b) > most {
			return fmt.Sprintf("%q…", b[:most])
		}
		return fmt.Sprintf("%q", b)
	}
	return at, excerpt(a), excerpt(b)
}

// hostLog is resonhost.log.
func (m *Module) hostLog(ctx context.Context, mod api.Module, stack []uint64) {
	level := slog.Level(api.DecodeI32(stack[0]))
	ptr, n := api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	msg, ok := mod.Memory().Read(ptr, n)
	if !ok {
		panic(abiFault("%s.%s was given bytes %d to %d of a memory of %d",
			abi.ImportModule, abi.ImportLog, ptr, uint64(ptr)+uint64(n), mod.Memory().Size()))
	}
	in := caller(ctx)
	msg = msg[:min(len(msg), maxLine)]
	in.charge(lineBytes + len(msg))
	if level >= slog.LevelError { // as guests log a panic before they trap
		in.logged = append(in.logged[:0], msg[:min(len(msg), maxWords)]...)
	}
	// Levels beyond the named ones are none that a handler knows.
	m.log.write(min(max(level, slog.LevelDebug), slog.LevelError), "log", msg)
}

// Info returns what is known of the module. It must not be changed.
func (m *Module) Info() Info { return m.info }

// LogDropped returns how many bytes of the plugin's log were dropped.
func (m *Module) LogDropped() uint64 { return m.log.dropped.Load() }

// Close frees the module and whatever instances are left.
func (m *Module) Close(ctx context.Context) error {
	err := m.TakeChecker().Close(ctx)
	if m.snapshot != nil {
		m.snapshot.image.Close()
	}
	return errors.Join(err, m.closeRuntime(ctx))
}

// closeRuntime frees the runtime, if there is one, with what was compiled in it.
func (m *Module) closeRuntime(ctx context.Context) error {
	if m.runtime == nil {
		return nil
	}
	err := m.runtime.Close(ctx)
	if m.cache != nil {
		err = errors.Join(err, m.cache.Close(ctx))
	}
	m.runtime, m.cache = nil, nil
	return err
}
