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
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// Options bound what a plugin may do. All fields must be set.
type Options struct {
	// MemoryLimit is the most linear memory of one instance, in bytes.
	MemoryLimit uint64
	// Frames bounds what goes in and comes out.
	Frames FrameLimits
	// LogBytesPerSecond is how much the plugin may log.
	LogBytesPerSecond int
	// InitTimeout bounds the making of an instance, and the whole check of one
	// when the plugin is loaded.
	InitTimeout time.Duration
	// Interrupt compiles checks into the guest by which the end of a context
	// stops it. Without it a guest that does not return is never stopped.
	Interrupt bool
	// Interpret runs the guest in wazero's interpreter instead of compiling it.
	Interpret bool
	// Log receives what the plugin logs.
	Log *slog.Logger
}

// Module is a compiled version of a plugin that was seen to work. Its methods
// may be called concurrently.
type Module struct {
	opts     Options
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	log      *guestLog
	info     Info
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
}

// Load compiles a binary, checks it against the contract, and runs the
// self-tests of its manifest on an instance of its own.
func Load(ctx context.Context, wasm []byte, opts Options) (*Module, error) {
	if err := checkHeader(wasm); err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig()
	if opts.Interpret {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.WithCloseOnContextDone(opts.Interrupt).WithDebugInfoEnabled(false)
	m := &Module{
		opts:    opts,
		runtime: newRuntime(ctx, config),
		log:     newGuestLog(opts.Log, opts.LogBytesPerSecond),
	}
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

func (m *Module) load(ctx context.Context, wasm []byte) (err error) {
	if m.compiled, err = m.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	if err := m.checkLinks(); err != nil {
		return err
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	_, err = m.runtime.NewHostModuleBuilder(abi.ImportModule).
		NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(m.hostLog), []api.ValueType{i32, i32, i32}, nil).
		WithParameterNames("level", "ptr", "len").
		Export(abi.ImportLog).
		Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.opts.InitTimeout)
	defer cancel()
	in, err := m.Instantiate(ctx)
	if err != nil {
		return err
	}
	err = in.ended(m.examine(ctx, in))
	return errors.Join(err, in.Close(ctx))
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// links are the functions a plugin must export.
var links = []struct {
	name            string
	params, results []api.ValueType
	optional        bool
}{
	{name: abi.ExportInitialize, optional: true},
	{name: abi.ExportVersion, results: []api.ValueType{i32}},
	{name: abi.ExportDescribe, results: []api.ValueType{i64}},
	{name: abi.ExportAlloc, params: []api.ValueType{i32}, results: []api.ValueType{i32}},
	{name: abi.ExportRun, params: []api.ValueType{i32, i32, i32}, results: []api.ValueType{i64}},
}

// checkLinks checks all imports and exports, and joins all faults.
func (m *Module) checkLinks() error {
	var errs []error
	for _, f := range m.compiled.ImportedFunctions() {
		mod, name, _ := f.Import()
		m.info.Imports = append(m.info.Imports, mod+"."+signature(name, f.ParamTypes(), f.ResultTypes()))
		if mod != abi.ImportWASI && (mod != abi.ImportModule || name != abi.ImportLog) {
			errs = append(errs, fmt.Errorf("imports %s.%s, which the host does not grant", mod, name))
		}
	}
	for _, mem := range m.compiled.ImportedMemories() {
		mod, name, _ := mem.Import()
		errs = append(errs, fmt.Errorf("imports the memory %s.%s, which the host does not grant", mod, name))
	}
	exports := m.compiled.ExportedFunctions()
	for name, f := range exports {
		m.info.Exports = append(m.info.Exports, signature(name, f.ParamTypes(), f.ResultTypes()))
	}
	slices.Sort(m.info.Imports)
	slices.Sort(m.info.Exports)
	for _, l := range links {
		f := exports[l.name]
		if f == nil {
			if !l.optional {
				errs = append(errs, fmt.Errorf("does not export the function %s", signature(l.name, l.params, l.results)))
			}
			continue
		}
		if !slices.Equal(f.ParamTypes(), l.params) || !slices.Equal(f.ResultTypes(), l.results) {
			errs = append(errs, fmt.Errorf("exports %s, want %s",
				signature(l.name, f.ParamTypes(), f.ResultTypes()), signature(l.name, l.params, l.results)))
		}
	}
	mem := m.compiled.ExportedMemories()[abi.ExportMemory]
	if mem == nil {
		known := slices.Sorted(maps.Keys(m.compiled.ExportedMemories()))
		errs = append(errs, fmt.Errorf("does not export a memory called %q (has %q)", abi.ExportMemory, known))
	} else if need := uint64(mem.Min()) << 16; need > m.opts.MemoryLimit {
		errs = append(errs, fmt.Errorf("needs %d bytes of memory, the limit is %d", need, m.opts.MemoryLimit))
	}
	return errors.Join(errs...)
}

// signature writes a function as name(i32, i64) → i32, with () for no result.
func signature(name string, params, results []api.ValueType) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return strings.Join(names, ", ")
	}
	if len(results) == 1 {
		return name + "(" + list(params) + ") → " + list(results)
	}
	return name + "(" + list(params) + ") → (" + list(results) + ")"
}

// examine asks a fresh instance what it is, and runs its self-tests.
func (m *Module) examine(ctx context.Context, in *Instance) error {
	v, err := in.call(ctx, in.exports.version)
	if err != nil {
		return err
	}
	if uint32(v) != abi.Version {
		return fmt.Errorf("speaks version %d of the plugin contract, the host speaks %d", uint32(v), abi.Version)
	}
	if v, err = in.call(ctx, in.exports.describe); err != nil {
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
	if m.info.Manifest, err = manifest.Parse(doc); err != nil {
		return err
	}
	for i, c := range m.info.Manifest.SelfTests {
		if err := m.selfTest(ctx, in, c); err != nil {
			return fmt.Errorf("self-test %d %q of %s: %w", i, c.Name, c.Transform, err)
		}
	}
	m.info.Memory = in.Memory()
	return nil
}

func (m *Module) selfTest(ctx context.Context, in *Instance, c manifest.SelfTest) error {
	index := slices.IndexFunc(m.info.Manifest.Transforms, func(t manifest.Transform) bool { return t.Name == c.Transform })
	var got [1]abi.Result
	if err := in.Run(ctx, index, []abi.Item{{Payload: c.Input, State: c.State}}, got[:]); err != nil {
		return err
	}
	if got[0].Status != c.Status {
		return fmt.Errorf("status is %v, want %v", describe(got[0]), c.Status)
	}
	if c.Status == abi.StatusOK && !bytes.Equal(got[0].Payload, c.Output) {
		return differ(got[0].Payload, c.Output)
	}
	return nil
}

func describe(r abi.Result) string {
	if r.Status == abi.StatusOK {
		return r.Status.String()
	}
	return fmt.Sprintf("%v (%s)", r.Status, r.Payload)
}

// differ says where two payloads differ first.
func differ(got, want []byte) error {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
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
	return fmt.Errorf("output of %d bytes is %s from byte %d on, want %s of %d bytes", len(got), excerpt(got), at, excerpt(want), len(want))
}

// hostLog is resonhost.log.
func (m *Module) hostLog(_ context.Context, mod api.Module, stack []uint64) {
	level := slog.Level(api.DecodeI32(stack[0]))
	ptr, n := api.DecodeU32(stack[1]), api.DecodeU32(stack[2])
	msg, ok := mod.Memory().Read(ptr, n)
	if !ok {
		panic(abiFault("%s.%s was given bytes %d to %d of a memory of %d",
			abi.ImportModule, abi.ImportLog, ptr, uint64(ptr)+uint64(n), mod.Memory().Size()))
	}
	// Levels beyond the named ones are none that a handler knows.
	m.log.write(min(max(level, slog.LevelDebug), slog.LevelError), "log", string(msg[:min(len(msg), maxLine)]))
}

// Info returns what is known of the module. It must not be changed.
func (m *Module) Info() Info { return m.info }

// LogDropped returns how many bytes of the plugin's log were dropped.
func (m *Module) LogDropped() uint64 { return m.log.dropped.Load() }

// Close frees the module and whatever instances are left.
func (m *Module) Close(ctx context.Context) error { return m.runtime.Close(ctx) }

// Instantiate makes an instance and initialises it.
func (m *Module) Instantiate(ctx context.Context) (*Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, m.opts.InitTimeout)
	defer cancel()
	in := &Instance{
		module: m,
		memory: &memory{limit: m.opts.MemoryLimit},
		stdout: stdio{out: m.log, level: slog.LevelInfo, source: "stdout", hold: true},
		stderr: stdio{out: m.log, level: slog.LevelWarn, source: "stderr", hold: true},
	}
	// Names are left out so that a runtime can hold many instances, and start
	// functions so that their failures are told as any other call's. Clocks and
	// randomness stay wazero's own, which are deterministic; files, arguments
	// and environment are empty.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(&in.stdout).WithStderr(&in.stderr)
	mod, err := m.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, in.memory), m.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("instantiate: %w", in.ended(in.fault(ctx, "the module's start", err)))
	}
	in.mod = mod
	in.exports.version = mod.ExportedFunction(abi.ExportVersion)
	in.exports.describe = mod.ExportedFunction(abi.ExportDescribe)
	in.exports.alloc = mod.ExportedFunction(abi.ExportAlloc)
	in.exports.run = mod.ExportedFunction(abi.ExportRun)
	if init := mod.ExportedFunction(abi.ExportInitialize); init != nil {
		_, err := in.call(ctx, init)
		if err = in.ended(err); err != nil {
			return nil, errors.Join(fmt.Errorf("instantiate: %w", err), in.Close(context.WithoutCancel(ctx)))
		}
	}
	return in, nil
}

// Instance is one instance of a module. It must not be used concurrently.
type Instance struct {
	module         *Module
	mod            api.Module
	memory         *memory
	exports        struct{ version, describe, alloc, run api.Function }
	stdout, stderr stdio
	stack          [3]uint64
}

// Memory returns the size of the linear memory in bytes.
func (in *Instance) Memory() uint64 { return uint64(in.mod.Memory().Size()) }

// Close frees the instance.
func (in *Instance) Close(ctx context.Context) error { return in.mod.Close(ctx) }

// call calls an export with at most one result. Its errors are [*Fault]s.
func (in *Instance) call(ctx context.Context, fn api.Function, args ...uint64) (uint64, error) {
	copy(in.stack[:], args)
	if err := fn.CallWithStack(ctx, in.stack[:]); err != nil {
		return 0, in.fault(ctx, fn.Definition().ExportNames()[0], err)
	}
	return in.stack[0], nil
}

// Run runs items through the transform at that index and puts their results,
// copied out of the guest, into results, which must be of the same length.
//
// If Run returns a [*Fault], the instance must not be used again, and results
// have no meaning.
func (in *Instance) Run(ctx context.Context, transform int, items []abi.Item, results []abi.Result) error {
	return in.ended(in.run(ctx, transform, items, results))
}

// ended disposes of what the guest wrote during what ended with err, and returns
// err: none of it reaches the next task.
func (in *Instance) ended(err error) error {
	in.stdout.flush()
	if f := (*Fault)(nil); errors.As(err, &f) {
		f.addOutput(&in.stderr)
	}
	in.stderr.flush()
	return err
}

func (in *Instance) run(ctx context.Context, transform int, items []abi.Item, results []abi.Result) error {
	limits := &in.module.opts.Frames
	if err := limits.CheckInput(items); err != nil {
		return err
	}
	size := abi.InputSize(items)
	ptr, err := in.call(ctx, in.exports.alloc, uint64(size))
	if err != nil {
		return err
	}
	if ptr == 0 {
		return abiFault("%s refuses a frame of %d bytes", abi.ExportAlloc, size)
	}
	buf, ok := in.mod.Memory().Read(uint32(ptr), uint32(size))
	if !ok || ptr%8 != 0 {
		return abiFault("%s returned %d for %d bytes of a memory of %d", abi.ExportAlloc, ptr, size, in.Memory())
	}
	abi.AppendInput(buf[:0:size], items)
	out, err := in.call(ctx, in.exports.run, uint64(transform), ptr, uint64(size))
	if err != nil {
		return err
	}
	outPtr, n := abi.Unpack(out)
	if err := limits.checkOutput(n); err != nil {
		return err
	}
	frame, ok := in.mod.Memory().Read(outPtr, n)
	if !ok {
		return abiFault("%s returned bytes %d to %d of a memory of %d", abi.ExportRun, outPtr, uint64(outPtr)+uint64(n), in.Memory())
	}
	maxState := 0
	if m := in.module.info.Manifest; m != nil {
		maxState = m.Transforms[transform].StateBytes
	}
	return limits.ReadResults(frame, maxState, results)
}
