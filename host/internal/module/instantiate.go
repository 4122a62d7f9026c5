package module

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Instantiate makes an instance that is ready for tasks.
func (t *template) Instantiate(ctx context.Context) (*Instance, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, t.opts.InitTimeout, errTimeout)
	defer cancel()
	in, err := t.link(ctx)
	if err != nil {
		return nil, err
	}
	if t.snapshot != nil {
		err = in.adopt(t.snapshot)
	} else {
		err = in.ended(in.prepare(ctx, in.guest.Initialize))
	}
	if err == nil && t.opts.Interrupt == Runtime && ctx.Err() != nil {
		err = interrupted(ctx) // it may be closed any moment
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("instantiate: %w", err), in.Close())
	}
	in.usable = true
	return in, nil
}

// link makes an instance as wazero does it, which runs the modules' start
// functions and nothing else.
func (t *template) link(ctx context.Context) (_ *Instance, err error) {
	in := &Instance{
		template: t, parts: make([]linked, len(t.program.parts)),
		stdout: stdio{out: t.log, level: slog.LevelInfo, source: "stdout", hold: true},
		stderr: stdio{out: t.log, level: slog.LevelWarn, source: "stderr", hold: true},
	}
	in.call.in = in
	charge := in.watch.charge
	in.stdout.charge, in.stderr.charge = charge, charge
	in.watch.slice = smallestSlice // until it is known how long one takes: all of its memory may be untouched
	in.system = wasi.System{
		Stdout: &in.stdout, Stderr: &in.stderr, RealClock: t.opts.RealClock, RealRandom: t.opts.RealRandom,
		Charge: charge, Sleep: in.watch.sleep,
	}
	if in.quota, err = newQuota(t.opts.Budget, t.opts.MemoryLimit, t.initial); err != nil {
		return nil, err
	}
	in.guest = t.plugin.Guest(inside{in})
	if err := in.prepare(ctx, in.linkAll); err != nil {
		return nil, errors.Join(fmt.Errorf("instantiate: %w", err), in.Close())
	}
	for _, f := range in.functions {
		f.find()
	}
	if t.opts.Interrupt == Metered {
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
	of, p := &in.template.program.parts[i], &in.parts[i]
	own := uint64(0)
	if i == 0 {
		own = in.template.maxMemory
	}
	p.memory = in.quota.newLinear(own)
	// Names are left out so that a runtime can hold many instances, and start
	// functions so that their failures are told as any other call's.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	ctx = experimental.WithMemoryAllocator(ctx, p.memory)
	if p.mod, err = in.template.program.runtime.InstantiateModule(in.context(ctx), of.CompiledModule, config); err != nil {
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
	if i := in.template.libraryAt(name); i > 0 {
		return in.parts[i].mod
	}
	return nil // there may be a module of the host's
}
