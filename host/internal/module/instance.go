package module

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Instance is one instance of a module. It must not be used concurrently.
type Instance struct {
	module         *Module
	parts          []linked            // the guest, and then the libraries of its kind
	globals        []api.MutableGlobal // the programs' own, as in part.globals, of all parts
	dirty          []api.Global        // of each part
	guest          contract.Guest
	functions      []*function // of its modules, that its kind calls
	running        *function   // that the host calls; nil while none is
	quota          quota
	stackHeld      uint64 // of the budget, for the native stack
	system         wasi.System
	stdout, stderr stdio
	logged         []byte // the last error that the guest has logged in this call, or its beginning
	call           callContext
	watch          watch
	// usable is false from the beginning of a call until it has ended well.
	usable bool
}

// linked is a part of the program, of one instance.
type linked struct {
	mod    api.Module // nil before it is linked
	mem    api.Memory // likewise, and if it has none
	memory *linear
}

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
		in.watch.begin(ctx, &Limits{})
		err = in.ended(in.guest.Initialize(ctx))
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

// link makes an instance as wazero does it, which runs the modules' start
// functions and nothing else.
func (m *Module) link(ctx context.Context) (_ *Instance, err error) {
	in := &Instance{
		module: m, parts: make([]linked, len(m.program.parts)),
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
	if in.quota, err = m.newQuota(); err != nil {
		return nil, err
	}
	in.guest = m.plugin.Guest(inside{in})
	in.watch.begin(ctx, &Limits{})
	if err := in.linkAll(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("instantiate: %w", err), in.Close())
	}
	for _, f := range in.functions {
		f.find()
	}
	if m.opts.Interrupt == Metered {
		in.watch.watchOver(in.parts[0].mod)
	}
	return in, nil
}

// linkAll links the libraries, in their order, and the guest.
func (in *Instance) linkAll(ctx context.Context) error {
	if len(in.parts) > 1 {
		ctx = experimental.WithImportResolver(ctx, in.library)
		for i := range in.parts[1:] {
			if err := in.linkPart(ctx, i+1); err != nil {
				return err
			}
		}
	}
	return in.linkPart(ctx, 0)
}

// linkPart makes the instance's own of a part of the program.
func (in *Instance) linkPart(ctx context.Context, i int) (err error) {
	of, p := &in.module.program.parts[i], &in.parts[i]
	p.memory = in.quota.newLinear()
	// Names are left out so that a runtime can hold many instances, and start
	// functions so that their failures are told as any other call's.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	ctx = experimental.WithMemoryAllocator(ctx, p.memory)
	if p.mod, err = in.module.program.runtime.InstantiateModule(in.context(ctx), of.CompiledModule, config); err != nil {
		p.mod = nil
		return in.ended(in.fault(ctx, theStart, err))
	}
	if p.memory.made {
		p.mem = p.mod.Memory()
	}
	in.dirty = append(in.dirty, p.mod.ExportedGlobal(meter.DirtyExport))
	for _, name := range of.globals {
		in.globals = append(in.globals, p.mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	return nil
}

// library returns the instance's library that guests import by that name, nil if it has none.
func (in *Instance) library(name string) api.Module {
	if i := in.module.libraryAt(name); i > 0 {
		return in.parts[i].mod
	}
	return nil // there may be a module of the host's
}

// libraryAt returns which part a library is, -1 if there is none by that name.
func (m *Module) libraryAt(name string) int {
	i := slices.Index(m.libraries, name)
	if i < 0 {
		return -1
	}
	return i + 1
}

// Memory returns the size of the linear memory in bytes, of all memories if there are several.
func (in *Instance) Memory() uint64 { return in.quota.size }

// Usable reports whether the instance can run a task: every call so far has ended
// well.
func (in *Instance) Usable() bool { return in.usable }

// Close frees the instance.
func (in *Instance) Close() error {
	var errs []error
	for i := range in.parts {
		p := &in.parts[i]
		if p.mod != nil {
			errs = append(errs, p.mod.Close(context.Background()))
		}
		if p.memory != nil {
			p.memory.Free() // wazero may have left it out
		}
	}
	in.quota.leave()
	return errors.Join(errs...)
}
