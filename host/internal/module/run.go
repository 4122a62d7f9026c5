package module

import (
	"context"
	"errors"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Run runs items through a transform and returns how much fuel that took, 0
// unless the module is [Metered].
//
// After a [*Fault] the results have no meaning, and the instance is not [Instance.Usable]
// unless it is of the task alone.
func (in *Instance) Run(ctx context.Context, c *Call) (fuel uint64, err error) {
	if err := in.template.opts.Frames.CheckInput(c.Items); err != nil {
		return 0, err
	}
	c.Begin()
	in.usable = false
	in.quota.forget()
	if in.template.opts.Interrupt == Runtime {
		var cancel context.CancelFunc
		ctx, cancel = within(ctx, c.Stop, c.Deadline())
		defer cancel()
	}
	in.watch.begin(ctx, &c.Limits)
	err = in.ended(in.guest.Run(ctx, c))
	// With Runtime, a context that ends as the guest returns may still close the
	// instance.
	in.usable = (err == nil || errors.Is(err, ErrOutputSum) || ofTask(err)) && !in.spent && (in.template.opts.Interrupt != Runtime || ctx.Err() == nil)
	fuel = in.watch.used()
	in.watch.end()
	in.call.Context = nil //nolint:fatcontext // it is the caller's, and let go of
	return fuel, err
}

// Call implements [contract.Function].
func (f *function) Call(ctx context.Context, stack []uint64) error {
	if f.fn == nil {
		return contract.Broken("%s is no function that can be called", f.name)
	}
	in := f.in
	if in.running != nil { // its context would become its own parent
		return contract.Broken("%s is called while %s runs: a host function must not call its instance", f.name, in.running.name)
	}
	in.running = f
	err := f.fn.CallWithStack(in.context(ctx), stack)
	in.running = nil
	in.letGo(f, err != nil)
	if err != nil {
		return in.fault(ctx, f.name, err)
	}
	return nil
}

// inside is an instance as its kind sees it. It implements [contract.Instance].
type inside struct{ *Instance }

var _ contract.Instance = inside{}

// Function implements [contract.Module].
func (in inside) Function(name string) contract.Function { return in.function(0, name) }

// Memory implements [contract.Module].
func (in inside) Memory() api.Memory { return in.parts[0].mem }

// Library implements [contract.Instance].
func (in inside) Library(name string) contract.Module {
	return library{in.Instance, in.template.libraryAt(name)}
}

// Guest implements [contract.Instance].
func (in inside) Guest() contract.Guest { return in.guest }

// Manifest implements [contract.Instance].
func (in inside) Manifest() *manifest.Manifest { return in.template.manifest }

// Embedder implements [contract.Instance].
func (in inside) Embedder() *contract.Embedder { return &in.template.opts.Embedder }

// System implements [contract.Instance].
func (in inside) System() *wasi.System { return &in.system }

// Charge implements [contract.Instance].
func (in inside) Charge(bytes int) { in.watch.charge(bytes) }

// Outside implements [contract.Instance].
func (in inside) Outside(f func(context.Context) error) error { return in.outside(f) }

// Spend implements [contract.Instance].
func (in inside) Spend() { in.spent = true }

// Log implements [contract.Instance].
func (in inside) Log(level slog.Level, msg []byte) { in.log(level, msg) }

// library is a library of an instance's. It implements [contract.Module].
type library struct {
	in   *Instance
	part int
}

// Function implements [contract.Module].
func (l library) Function(name string) contract.Function { return l.in.function(l.part, name) }

// Memory implements [contract.Module].
func (l library) Memory() api.Memory { return l.in.parts[l.part].mem }

// function returns an export of a part of the instance.
func (in *Instance) function(part int, name string) *function {
	f := &function{in: in, part: part, name: name}
	if in.parts[part].mod != nil {
		f.find()
	}
	in.functions = append(in.functions, f)
	return f
}
