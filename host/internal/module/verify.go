package module

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/store"
)

const (
	// verifyFuel is how much fuel the self-tests of a version burn at most in the interpreter, all
	// together, which takes some seconds, and verifyTime is how long they take at most.
	verifyFuel = 100_000_000
	verifyTime = 5 * time.Second
)

// Checker runs calls once more in wazero's interpreter: the same rewritten binary, from the
// state that compiled instances begin with. It must not be used concurrently.
//
// It has an instance of its own, beside the budget of others. Close frees all of it.
type Checker struct {
	of      *Module
	second  *Module
	in      *Instance
	bounded bool
	fuel    uint64        // left, if it is bounded and guests are metered
	left    time.Duration // if it is bounded
	// ordered is whether a call begins with what those before it left, and broken whether one of
	// those was not done, so that nothing can be said of the next.
	ordered, broken bool
}

// ErrUnchecked is wrapped by the error of a call that the interpreter could not do: it took more
// fuel or time than it may, or more room than the interpreter has.
var ErrUnchecked = errors.New("not checked")

// ErrStarved is the [ErrUnchecked] of a call that went otherwise than it might have, since memory
// was denied to the guest that others have.
var ErrStarved = fmt.Errorf("%w: the guest was denied memory that others have, and its answer may depend on that", ErrUnchecked)

// Answer is what became of a call.
type Answer struct {
	Status         abi.Status
	Payload, State []byte
	// Fuel is what it burnt, 0 where that is not counted or no use to compare.
	Fuel uint64
	// Fault is what befell the guest instead; "" if it answered.
	Fault string
}

// Mismatch is a call that compiled code and the interpreter have answered differently.
//
//nolint:errname // it is one among the errors of a check
type Mismatch struct{ Compiled, Interpreted Answer }

func (e *Mismatch) Error() string {
	c, i := &e.Compiled, &e.Interpreted
	const intro = "compiled code and wazero's interpreter answer differently: "
	switch {
	case i.Fault != "":
		return intro + fmt.Sprintf("status %v compiled, %s interpreted", c.Status, i.Fault)
	case c.Status != i.Status:
		return intro + fmt.Sprintf("status %v compiled, %v interpreted", c.Status, i.Status)
	case !bytes.Equal(c.Payload, i.Payload):
		return intro + "the output " + apart(c.Payload, i.Payload) + nanNote(c.Payload, i.Payload)
	case !bytes.Equal(c.State, i.State):
		return intro + "the state " + apart(c.State, i.State) + nanNote(c.State, i.State)
	}
	return intro + fmt.Sprintf("the answer is the same, and took %d of fuel compiled, %d interpreted", c.Fuel, i.Fuel)
}

// apart says where two answers part.
func apart(compiled, interpreted []byte) string {
	at, c, i := firstDifference(compiled, interpreted)
	return fmt.Sprintf("of %d bytes is %s from byte %d on compiled, %s of %d bytes interpreted", len(compiled), c, at, i, len(interpreted))
}

// nanNote is what is to be said of two byte strings that differ in bits of NaNs alone.
func nanNote(a, b []byte) string {
	if !sameButNaNs(a, b) {
		return ""
	}
	return "; they differ in the bits of NaNs alone, which depend on the engine and the processor: have the transform write one NaN for all"
}

// sameButNaNs reports whether two byte strings differ only in numbers, at multiples of their
// size, that are NaNs in both.
func sameButNaNs(a, b []byte) bool {
	if len(a) != len(b) || bytes.Equal(a, b) {
		return false
	}
	return sameWords(a, b, 8, isNaN64) || sameWords(a, b, 4, isNaN32)
}

func sameWords(a, b []byte, size int, isNaN func([]byte) bool) bool {
	for ; len(a) >= size; a, b = a[size:], b[size:] {
		if x, y := a[:size], b[:size]; !bytes.Equal(x, y) && (!isNaN(x) || !isNaN(y)) {
			return false
		}
	}
	return bytes.Equal(a, b)
}

func isNaN64(b []byte) bool { return math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(b))) }

func isNaN32(b []byte) bool {
	f := math.Float32frombits(binary.LittleEndian.Uint32(b))
	return f != f // so it is a NaN
}

// Check does a call again that compiled code has answered so, with that much fuel. Its error is
// a [*Mismatch], or wraps [ErrUnchecked]. Where fuel is 0 it is not compared. Of the call,
// its Results and Limits do not matter, but for Limits.Timeout and Limits.Stop.
func (c *Checker) Check(ctx context.Context, call Call, compiled []abi.Result, fuel uint64) error {
	if c.broken {
		return fmt.Errorf("%w: its answer may depend on a self-test before it that was not", ErrUnchecked)
	}
	err := c.check(ctx, call, compiled, fuel)
	c.broken = c.ordered && errors.Is(err, ErrUnchecked)
	return err
}

func (c *Checker) check(ctx context.Context, call Call, compiled []abi.Result, fuel uint64) error {
	began, left := time.Now(), c.left
	defer func() { c.left = left - time.Since(began) }()
	if c.in == nil {
		var err error
		if c.in, err = c.second.Instantiate(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnchecked, err)
		}
	}
	timeout := left - time.Since(began)
	if c.bounded && (c.fuel == 0 || timeout <= 0) { // of which 0 would be no bound
		return fmt.Errorf("%w: the self-tests before it took all the fuel and time that they have together", ErrUnchecked)
	}
	got := make([]abi.Result, len(compiled))
	call.Results, call.Behind = got, false
	call.Limits = Limits{Timeout: call.Timeout, Stop: call.Stop}
	if c.bounded {
		call.Limits = Limits{Timeout: timeout, Fuel: c.fuel, Stop: call.Stop}
	}
	burnt, err := c.in.Run(ctx, call)
	c.fuel -= min(burnt, c.fuel)
	starved := c.in.Starved()
	if c.second.snapshot != nil && !c.in.Reset() || c.second.info.NoReset != nil || !c.in.Usable() {
		err = errors.Join(err, c.release())
	}
	if starved {
		return errors.Join(ErrStarved, err)
	}
	if f := (*Fault)(nil); errors.As(err, &f) {
		if f.Engine || f.Kind != Trap && f.Kind != Exit && f.Kind != ABI {
			return fmt.Errorf("%w: %w", ErrUnchecked, err)
		}
		return &Mismatch{Compiled: answer(&compiled[0], fuel), Interpreted: Answer{Fault: f.Error()}}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	if fuel == 0 || c.second.opts.Interrupt != Metered {
		fuel, burnt = 0, 0
	}
	for i := range got {
		a, b := answer(&compiled[i], fuel), answer(&got[i], burnt)
		if a.Status != b.Status || a.Fuel != b.Fuel || !bytes.Equal(a.Payload, b.Payload) || !bytes.Equal(a.State, b.State) {
			return &Mismatch{Compiled: a, Interpreted: b}
		}
	}
	return nil
}

func answer(r *abi.Result, fuel uint64) Answer {
	return Answer{Status: r.Status, Payload: r.Payload, State: r.State, Fuel: fuel}
}

// release frees the instance.
func (c *Checker) release() error {
	if c.in == nil {
		return nil
	}
	in := c.in
	c.in = nil
	return in.Close()
}

// Close frees the interpreter's module, and the instance.
func (c *Checker) Close(ctx context.Context) error {
	if c == nil || c.second == nil {
		return nil
	}
	err := errors.Join(c.release(), c.second.program.close(ctx))
	c.second = nil
	return err
}

// settle has further calls begin with the module's snapshot, each by itself.
func (c *Checker) settle() error {
	c.second.snapshot, c.second.info, c.second.initial = c.of.snapshot, c.of.info, c.of.initial
	c.ordered, c.broken = false, false
	return c.release()
}

// NewChecker returns what checks calls of the module's instances, for as long as the module is
// there. wasm is the module's binary, as it was.
func (m *Module) NewChecker(ctx context.Context, wasm []byte) (*Checker, error) {
	binaries, err := m.rewrite(wasm)
	if err != nil {
		return nil, err
	}
	c, err := m.newChecker(ctx, binaries)
	if err != nil {
		return nil, err
	}
	err = c.settle()
	return c, err
}

func (m *Module) newChecker(ctx context.Context, binaries []*rewritten) (*Checker, error) {
	opts := m.opts
	opts.Interpret, opts.Verify, opts.Cache = true, false, nil
	opts.Budget = NewBudget(opts.MemoryLimit + growing*2*opts.StackLimit)
	if opts.Interrupt == Off { // it has to end
		opts.Interrupt = Runtime
	}
	s := &Module{
		opts: opts, kind: m.kind, imports: m.imports, plugin: m.plugin, libraries: m.libraries, linked: m.linked, initial: m.linked,
		log: newGuestLog(slog.New(slog.DiscardHandler), opts.LogBytesPerSecond),
	}
	c := &Checker{of: m, second: s}
	var err error
	if s.program, err = compile(ctx, binaries, opts.compiling(), nil); err == nil {
		err = s.provide(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
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

// verify compares the answers to the manifest's self-tests with the interpreter's. The latter's
// instance initialises itself, so that this is compared as well. There are fewer answers than
// self-tests if the instance was [Instance.Starved].
//
// The checker is made when all else is done, and not beside the compiling: that has all processors,
// and wazero's interpreter reads a binary to its end whatever becomes of the context.
func (m *Module) verify(ctx context.Context, binaries []*rewritten, answers []abi.Result) error {
	if !m.opts.Verify || m.opts.Interpret {
		return nil
	}
	if cache := m.opts.Cache; cache != nil && cache.build != "" {
		m.verdict = cache.named("verified", cache.build, hashOfAll(binaries), m.opts.Interrupt, m.opts.RealClock, m.opts.RealRandom,
			hashOf(m.opts.Tests), hashOf(m.opts.Companion))
		if cache.has(m.verdict) {
			m.info.Verified.Cached, m.verdict = true, ""
			return nil
		}
	}
	began := time.Now()
	defer func() { m.info.Verified.Took = time.Since(began) }()
	c, err := m.newChecker(ctx, binaries)
	if err != nil {
		if ctx.Err() == nil {
			m.Unchecked(fmt.Errorf("%w: %w", ErrUnchecked, err))
			err = nil
		}
		return err
	}
	m.checker = c // which Close frees
	c.bounded, c.fuel, c.left, c.ordered = true, verifyFuel, verifyTime, true
	c.second.info.Manifest = m.info.Manifest
	if m.plugin.WarmUp.Turns == 0 { // each was run by itself
		if err := c.settle(); err != nil {
			return err
		}
	}
	for i, t := range m.info.Manifest.SelfTests {
		if i >= len(answers) {
			m.Unchecked(ErrStarved)
			break
		}
		call := Call{Transform: m.index(t.Transform), Items: []abi.Item{{Payload: t.Input, State: t.State}}}
		compiled := answers[i]
		if m.opts.RealClock || m.opts.RealRandom {
			call.Stateless, compiled.State = true, nil // which may depend on the time
		}
		if err := m.Verify(ctx, c, call, []abi.Result{compiled}, 0); err != nil {
			return ofTest(i, &t, err)
		}
	}
	if err := c.settle(); err != nil {
		return err
	}
	if len(m.opts.Tests) > 0 { // there are more to come
		return nil
	}
	m.Remember()
	return m.TakeChecker().Close(context.WithoutCancel(ctx))
}

// Verify is [Checker.Check] of a self-test, which takes note of what is not checked in place
// of an error.
func (m *Module) Verify(ctx context.Context, c *Checker, call Call, compiled []abi.Result, fuel uint64) error {
	err := c.Check(ctx, call, compiled, fuel)
	switch {
	case errors.Is(err, ErrUnchecked) && ctx.Err() == nil:
		m.Unchecked(err)
	case err != nil:
		return err
	default:
		m.info.Verified.Tests++
	}
	return nil
}

// Unchecked takes note of why a self-test was not compared.
func (m *Module) Unchecked(err error) {
	if len(m.info.Verified.Unchecked) == 0 {
		m.opts.Log.Warn("not all self-tests are compared with the interpreter", "error", err)
	}
	m.info.Verified.Unchecked = append(m.info.Verified.Unchecked, err)
}

// TakeChecker returns the checker for Options.Tests, which is the caller's then; nil if they
// need none.
func (m *Module) TakeChecker() *Checker {
	c := m.checker
	m.checker = nil
	return c
}

// Remember has hosts with the same cache know that all tests were compared, if they were.
func (m *Module) Remember() {
	if m.verdict == "" || len(m.info.Verified.Unchecked) > 0 {
		return
	}
	cache := m.opts.Cache
	made, err := os.MkdirTemp(cache.dir, store.TempPattern)
	if err == nil {
		defer func() { _ = os.RemoveAll(made) }() // where it was not put in its place
		if err = store.WriteFile(filepath.Join(made, verifiedFile), []byte(m.info.Hash)); err == nil {
			err = cache.put(made, m.verdict)
		}
	}
	if err != nil {
		cache.log.Warn("that a plugin was verified is not kept in the cache", "error", err)
	}
}

// verifiedFile has the hash of a binary whose self-tests were compared.
const verifiedFile = "verified"
