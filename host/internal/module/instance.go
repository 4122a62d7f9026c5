package module

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Instance is one instance of a module. It must not be used concurrently.
type Instance struct {
	module         *Module
	mod            api.Module
	memory         *linear
	exports        struct{ version, describe, alloc, run export }
	running        *export             // that the host calls; nil while none is
	stackHeld      uint64              // of the budget, for the native stack
	globals        []api.MutableGlobal // the guest's own, as in Module.globals
	dirty          api.Global          // nil unless instances can be reset
	system         wasi.System
	stdout, stderr stdio
	logged         []byte // the last error that the guest has logged in this call, or its beginning
	stack          [3]uint64
	call           callContext
	watch          watch
	room           room
	// usable is false from the beginning of a call until it has ended well.
	usable bool
}

// room is where the guest takes input frames of size bytes at most; none at first.
type room struct{ ptr, size uint32 }

// context returns the context to call the guest with.
func (in *Instance) context(ctx context.Context) context.Context {
	if in.module.opts.Interrupt == Runtime {
		// A goroutine of wazero's may look at it when the call is over already.
		return &callContext{ctx, in}
	}
	in.call.Context = ctx //nolint:fatcontext // it is replaced, not wrapped
	return &in.call
}

// callContext is the context that a guest is called with: it leads host functions
// to the instance, and takes no allocation.
type callContext struct {
	context.Context //nolint:containedctx // it is one

	in *Instance
}

// instanceKey is that of the instance in a [callContext].
type instanceKey struct{}

func (c *callContext) Value(key any) any {
	if key == (instanceKey{}) {
		return c.in
	}
	return c.Context.Value(key)
}

// caller returns the instance that called a host function.
func caller(ctx context.Context) *Instance { return ctx.Value(instanceKey{}).(*Instance) }

// Instantiate makes an instance that is ready for tasks.
func (m *Module) Instantiate(ctx context.Context) (*Instance, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.opts.InitTimeout, errTimeout)
	defer cancel()
	in, err := m.link(ctx)
	if err != nil {
		return nil, err
	}
	if m.snapshot != nil {
		err = in.adopt(m.snapshot)
	} else {
		err = in.ended(in.initialize(ctx))
	}
	if err == nil && m.opts.Interrupt == Runtime && ctx.Err() != nil {
		err = interrupted(ctx) // it may be closed any moment
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("instantiate: %w", err), in.Close())
	}
	in.usable = true
	return in, nil
}

// theStart is what messages call the function that wazero calls as it makes an instance.
const theStart = "the module's start"

// link makes an instance as wazero does it, which runs the module's start
// function and nothing else.
func (m *Module) link(ctx context.Context) (_ *Instance, err error) {
	in := &Instance{
		module: m,
		stdout: stdio{out: m.log, level: slog.LevelInfo, source: "stdout", hold: true},
		stderr: stdio{out: m.log, level: slog.LevelWarn, source: "stderr", hold: true},
	}
	in.call.in = in
	charge := in.charge
	in.stdout.charge, in.stderr.charge = charge, charge
	in.watch.slice = smallestSlice // until it is known how long one takes: all of its memory may be untouched
	in.system = wasi.System{
		Stdout: &in.stdout, Stderr: &in.stderr, RealClock: m.opts.RealClock, RealRandom: m.opts.RealRandom,
		Charge: charge, Sleep: in.sleep,
	}
	if in.memory, err = m.newLinear(); err != nil {
		return nil, err
	}
	// Names are left out so that a runtime can hold many instances, and start
	// functions so that their failures are told as any other call's.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	in.watch.begin(ctx, &Limits{})
	in.mod, err = m.runtime.InstantiateModule(in.context(experimental.WithMemoryAllocator(ctx, in.memory)), m.compiled, config)
	if err != nil {
		err = in.ended(in.fault(ctx, theStart, err))
		in.memory.Free()
		return nil, fmt.Errorf("instantiate: %w", err)
	}
	in.exports.version, in.exports.describe = in.export(abi.ExportVersion), in.export(abi.ExportDescribe)
	in.exports.alloc, in.exports.run = in.export(abi.ExportAlloc), in.export(abi.ExportRun)
	in.dirty = in.mod.ExportedGlobal(meter.DirtyExport)
	for _, name := range m.globals {
		in.globals = append(in.globals, in.mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	if m.opts.Interrupt == Metered {
		in.watch.watchOver(in.mod)
	}
	return in, nil
}

func (in *Instance) initialize(ctx context.Context) error {
	init := in.export(abi.ExportInitialize)
	if init.fn == nil {
		return nil
	}
	in.watch.begin(ctx, &Limits{})
	_, err := in.invoke(ctx, &init)
	return err
}

// Memory returns the size of the linear memory in bytes.
func (in *Instance) Memory() uint64 { return uint64(in.mod.Memory().Size()) }

// Usable reports whether the instance can run a task: every call so far has ended
// well.
func (in *Instance) Usable() bool { return in.usable }

// Close frees the instance.
func (in *Instance) Close() error {
	err := in.mod.Close(context.Background())
	in.memory.Free() // wazero may have left it out
	return err
}

// invoke calls an export with at most one result. Its errors are [*Fault]s.
func (in *Instance) invoke(ctx context.Context, e *export, args ...uint64) (uint64, error) {
	copy(in.stack[:], args)
	in.running = e
	err := e.fn.CallWithStack(in.context(ctx), in.stack[:])
	in.running = nil
	in.letGo(e)
	if err != nil {
		return 0, in.fault(ctx, e.name, err)
	}
	return in.stack[0], nil
}

// Call is a crossing into the guest.
type Call struct {
	// Transform is the index of what is to be run.
	Transform int
	Items     []abi.Item
	// Results, of the same length, take the outcome, copied out of the guest.
	Results []abi.Result
	// Behind is whether payloads go behind those that Results have.
	Behind bool
	// Stateless is whether nobody wants the states of Results, which are nil then.
	Stateless bool
	Limits
}

// Run runs items through a transform and returns how much fuel that took, 0
// unless the module is [Metered].
//
// After a [*Fault] the results have no meaning, and the instance is not [Instance.Usable]
// unless it is of the task alone.
func (in *Instance) Run(ctx context.Context, c Call) (fuel uint64, err error) {
	if err := in.module.opts.Frames.CheckInput(c.Items); err != nil {
		return 0, err
	}
	in.usable = false
	in.memory.forget()
	if in.module.opts.Interrupt == Runtime {
		var cancel context.CancelFunc
		ctx, cancel = c.context(ctx)
		defer cancel()
	}
	in.watch.begin(ctx, &c.Limits)
	err = in.ended(in.run(ctx, &c))
	// With Runtime, a context that ends as the guest returns may still close the
	// instance.
	in.usable = (err == nil || errors.Is(err, ErrOutputSum) || ofTask(err)) && (in.module.opts.Interrupt != Runtime || ctx.Err() == nil)
	fuel = in.watch.used()
	in.watch.end()
	in.call.Context = nil //nolint:fatcontext // it is the caller's, and let go of
	return fuel, err
}

// makeRoom has the guest make room for a frame, and for those after it that are no larger.
func (in *Instance) makeRoom(ctx context.Context, size uint32) error {
	in.room = room{} // what there was is the guest's again
	ptr, err := in.invoke(ctx, &in.exports.alloc, uint64(size))
	if err != nil {
		return err
	}
	if uint32(ptr) == 0 {
		f := abiFault("%s refuses a frame of %d bytes", abi.ExportAlloc, size)
		f.Task = true
		return f
	}
	in.room = room{uint32(ptr), size}
	return nil
}

func (in *Instance) run(ctx context.Context, c *Call) error {
	size := uint32(abi.InputSize(c.Items))
	if size > in.room.size {
		if err := in.makeRoom(ctx, size); err != nil {
			return err
		}
	}
	ptr := in.room.ptr
	buf, ok := in.mod.Memory().Read(ptr, size)
	if !ok || ptr%8 != 0 {
		return abiFault("%s returned %d for %d bytes of a memory of %d", abi.ExportAlloc, ptr, size, in.Memory())
	}
	abi.AppendInput(buf[:0:size], c.Items)
	out, err := in.invoke(ctx, &in.exports.run, uint64(c.Transform), uint64(ptr), uint64(size))
	if err != nil {
		return err
	}
	limits := &in.module.opts.Frames
	outPtr, n := abi.Unpack(out)
	if err := limits.checkOutput(n, len(c.Results)); err != nil {
		return err
	}
	frame, ok := in.mod.Memory().Read(outPtr, n)
	if !ok {
		return abiFault("%s returned bytes %d to %d of a memory of %d", abi.ExportRun, outPtr, uint64(outPtr)+uint64(n), in.Memory())
	}
	maxState := 0
	if m := in.module.info.Manifest; m != nil {
		maxState = m.Transforms[c.Transform].StateBytes
	}
	return limits.ReadResults(frame, maxState, c)
}

// ended disposes of what the guest wrote during what ended with err, and returns
// err: none of it reaches the next task.
func (in *Instance) ended(err error) error {
	if err != nil {
		if f := (*Fault)(nil); errors.As(err, &f) {
			in.addOutput(f)
		}
	}
	in.stdout.flush()
	in.stderr.flush()
	in.logged = in.logged[:0]
	return err
}
