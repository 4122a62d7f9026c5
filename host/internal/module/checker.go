package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/resonhost/resonhost/abi"
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
	of      *template // which it checks
	second  *template // the same for the interpreter
	in      *Instance
	renew   bool // whether each call begins with a new instance: none can be put back
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

// Check does a call again that compiled code has answered so, with that much fuel. Its error is
// a [*Mismatch], or wraps [ErrUnchecked]. Where fuel is 0 it is not compared. Of the call,
// its Results and Limits do not matter, but for Limits.Timeout and Limits.Stop.
func (c *Checker) Check(ctx context.Context, call Call, compiled []abi.Result, fuel uint64) error {
	if c.broken {
		return fmt.Errorf("%w: its answer may depend on an earlier self-test that is not compared", ErrUnchecked)
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
	burnt, err := c.in.Run(ctx, &call)
	c.fuel -= min(burnt, c.fuel)
	starved := c.in.Starved()
	if c.second.snapshot != nil && !c.in.Reset() || c.renew || !c.in.Usable() {
		err = errors.Join(err, c.release())
	}
	if starved {
		return errors.Join(ErrStarved, err)
	}
	if f := (*Fault)(nil); errors.As(err, &f) && !errors.Is(err, errAgain) {
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
	c.second.snapshot, c.second.initial = c.of.snapshot, c.of.initial
	c.renew = c.of.snapshot == nil
	c.ordered, c.broken = false, false
	return c.release()
}

func newChecker(ctx context.Context, of *template, binaries []*rewritten) (*Checker, error) {
	opts := of.opts
	opts.Interpret, opts.Verify, opts.Cache = true, false, nil
	opts.Budget = NewBudget(opts.MemoryLimit + growing*2*opts.StackLimit)
	if opts.Interrupt == Off { // it has to end
		opts.Interrupt = Runtime
	}
	s := &template{
		opts: opts, again: true, imports: of.imports, plugin: of.plugin, libraries: of.libraries, linked: of.linked, initial: of.linked,
		manifest: of.manifest, log: newGuestLog(slog.New(slog.DiscardHandler), opts.LogBytesPerSecond),
	}
	c := &Checker{of: of, second: s}
	var err error
	if s.program, err = compile(ctx, binaries, opts.compiling(), nil); err == nil {
		err = s.provide(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}
