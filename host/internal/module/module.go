// Package module runs one version of a plugin: it checks a WebAssembly binary
// against the contract of its kind (package contract), compiles it, makes instances
// and calls them. It is, with the packages below it, the only importer of wazero, and
// trusts nothing that comes from a guest.
package module

import (
	"context"
	"errors"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
)

// Module is a compiled version of a plugin that was seen to work. Its methods
// may be called concurrently.
type Module struct {
	template

	info    Info
	checker *Checker // for Options.Tests, until it is taken
	verdict string   // the cache's entry for what was verified; "" if there is none to be made
}

// Info is what is known of a module.
type Info struct {
	Manifest *manifest.Manifest
	// Kind is the kind of guest, and Claim which import or export showed that.
	Kind, Claim string
	// Hash is what [Hash] returns for it.
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
	// NoReset is why instances cannot be put back, and there is no snapshot; nil if they can.
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

// Verified is what came of the comparison with the interpreter.
type Verified struct {
	// Tests is how many self-tests were compared, and Unchecked why others were not.
	Tests     int
	Unchecked []error
	// Cached is whether that was done before, by a host with the same cache.
	Cached bool
	// Took is how much longer loading took for it.
	Took time.Duration
}

// TakeChecker returns the checker for Options.Tests, which is the caller's then; nil if they
// need none.
func (m *Module) TakeChecker() *Checker {
	c := m.checker
	m.checker = nil
	return c
}
