// Package module runs one version of a plugin: it checks a WebAssembly binary
// against the contract of its kind (package contract), compiles it, makes instances
// and calls them. It is, with the packages below it, the only importer of wazero, and
// trusts nothing that comes from a guest.
package module

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
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
	// Log receives what the plugin logs.
	Log *slog.Logger
}

// Module is a compiled version of a plugin that was seen to work. Its methods
// may be called concurrently.
type Module struct {
	opts    Options
	kind    contract.Kind
	imports contract.Imports
	plugin  contract.Plugin
	// libraries are the names of those of its kind, as parts of the program behind the guest.
	libraries []string
	program   *program
	// linked is how much memory an instance begins with before it is initialised, and initial how
	// much a new one gets, in bytes.
	linked, initial uint64
	snapshot        *snapshot
	checker         *Checker // for Options.Tests, until it is taken
	verdict         string   // the cache's entry for what was verified; "" if there is none to be made
	log             *guestLog
	info            Info
}

// Info is what is known of a module.
type Info struct {
	Manifest *manifest.Manifest
	// Kind is the kind of guest, and Claim which import or export showed that.
	Kind, Claim string
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
	// Single is whether a frame has one item and instances are never shared, see
	// [contract.Plugin].
	Single bool
	// Growing are transforms of which a common task may grow its instance's memory: an empty one
	// did, or a frame of those that share one. Those that have self-tests are not tried.
	Growing []string
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

// Load compiles a binary, checks it against the contract of its kind, and runs the
// self-tests of its manifest on an instance of its own.
func Load(ctx context.Context, wasm []byte, opts Options) (*Module, error) {
	m := &Module{opts: opts, log: newGuestLog(opts.Log, opts.LogBytesPerSecond)}
	sum := sha256.Sum256(wasm)
	m.info.Hash, m.info.Size = hex.EncodeToString(sum[:]), len(wasm)
	if err := m.load(ctx, wasm); err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

func (m *Module) load(ctx context.Context, wasm []byte) error {
	if err := checkHeader(wasm); err != nil {
		return StepInspect.in(err)
	}
	if err := m.inspect(wasm); err != nil { // before the expensive steps
		return err
	}
	binaries, err := m.rewrite(wasm)
	if err != nil {
		return StepInspect.in(err)
	}
	if err := m.compile(ctx, binaries); err != nil {
		return StepCompile.in(fmt.Errorf("compile: %w", err))
	}
	if err := m.provide(ctx); err != nil {
		return StepInstantiate.in(fmt.Errorf("link: %w", err))
	}
	answers, err := m.prepare(ctx)
	if err != nil {
		return err
	}
	if err := m.try(ctx); err != nil {
		return StepSelfTest.in(err)
	}
	return StepVerify.in(m.verify(ctx, binaries, answers))
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

// rewrite rewrites the binary and the libraries of its kind.
func (m *Module) rewrite(wasm []byte) ([]*rewritten, error) {
	return rewriteAll(wasm, m.imports.Libraries, m.opts.compiling(), m.opts.Cache)
}

// compile compiles what was rewritten, within the time for it.
func (m *Module) compile(ctx context.Context, binaries []*rewritten) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.CompileTimeout, errCompileTimeout)
	defer cancel()
	if f := m.opts.Compiling; f != nil && !m.opts.Interpret && !m.opts.Cache.compiled(binaries, m.opts.Interrupt) {
		f()
	}
	if m.program, err = compile(ctx, binaries, m.opts.compiling(), m.opts.Cache); err != nil {
		return err
	}
	m.info.Compiling = m.program.took
	return nil
}

var errCompileTimeout = fmt.Errorf("takes longer than its compile timeout: %w", context.DeadlineExceeded)

// prepare makes the instance that all others begin with, and takes its snapshot. It returns the
// answers to the self-tests, see [Module.warmUp] and [Module.testCold].
func (m *Module) prepare(ctx context.Context) (answers []abi.Result, err error) {
	in, err := m.Instantiate(ctx)
	if err != nil {
		return nil, StepInstantiate.in(err)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, m.opts.InitTimeout, errTimeout)
	defer cancel()
	cold := m.plugin.WarmUp.Turns == 0
	err = StepDescribe.in(m.describe(bounded, in))
	if err == nil && !cold {
		answers, err = m.warmUp(bounded, in)
		err = StepSelfTest.in(err)
	}
	err = in.ended(err)
	if err == nil {
		m.info.Memory = in.Memory()
		m.initial = m.info.Memory
		m.snapshot, m.info.NoReset = in.capture()
	}
	if err := errors.Join(err, in.Close()); err != nil || !cold {
		return answers, err
	}
	answers, err = m.testCold(bounded)
	return answers, StepSelfTest.in(err)
}

// Info returns what is known of the module. It must not be changed.
func (m *Module) Info() Info { return m.info }

// LogDropped returns how many bytes of the plugin's log were dropped.
func (m *Module) LogDropped() uint64 { return m.log.dropped.Load() }

// Close frees the module and whatever instances are left.
func (m *Module) Close(ctx context.Context) error {
	err := m.TakeChecker().Close(ctx)
	m.snapshot.close()
	return errors.Join(err, m.program.close(ctx))
}
