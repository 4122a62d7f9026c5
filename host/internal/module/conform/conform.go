// Package conform holds a plugin to the contract of its kind, beyond what it takes to be loaded: it
// is for authors of guests and of kits.
package conform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/native"
)

// Check is what came of one check.
type Check struct {
	// Name says what is checked, and Section is the part of the plugin contract that asks for it: "" if
	// the plugin is of a kind with another contract.
	Name, Section string
	// Fault is what is wrong, and Skipped why it could not be checked; both "" of a check that passed.
	Fault, Skipped string
}

// Sections of the plugin contract.
const (
	exports  = "Exports"
	frames   = "Frames"
	document = "Manifest"
	manners  = "Good manners"
	checks   = "What a host checks"
)

// loading are the checks that loading a plugin is, in its order.
var loading = []struct {
	step          module.Step
	name, section string
}{
	{module.StepInspect, "is a module within the limits", checks},
	{module.StepLink, "imports and exports what it may and must", exports},
	{module.StepCompile, "compiles", checks},
	{module.StepInstantiate, "initialises", exports},
	{module.StepDescribe, "describes itself by a valid manifest", document},
	{module.StepSelfTest, "passes its self-tests", document},
}

// Options are what a plugin is checked with.
type Options struct {
	Module module.Options
	// Timeout is how long a task may run.
	Timeout time.Duration
	// Held is what a manifest's schemas say of its self-tests.
	Held func(*manifest.Manifest) error
}

// Run loads a plugin and checks it. The error is of the host, or the context's.
func Run(ctx context.Context, wasm []byte, o Options) (kind string, all []Check, err error) {
	kind, all, err = run(ctx, wasm, o)
	if kind != "" && kind != (native.Kind{}).Name() {
		for i := range all {
			all[i].Section = ""
		}
	}
	return kind, all, err
}

func run(ctx context.Context, wasm []byte, o Options) (kind string, all []Check, err error) {
	opts := &o.Module
	p := new(probe)
	kinds := make([]contract.Kind, len(opts.Kinds))
	for i, k := range opts.Kinds {
		kinds[i] = probed{k, p}
	}
	opts.Kinds, opts.Verify = kinds, false
	m, err := module.Load(ctx, wasm, *opts)
	if ctx.Err() != nil {
		return "", nil, context.Cause(ctx)
	}
	at := (*module.StepError)(nil)
	if err != nil && !errors.As(err, &at) {
		return "", nil, err
	}
	for _, of := range loading {
		c := Check{Name: of.name, Section: of.section}
		if at != nil && at.Step == of.step {
			c.Fault = at.Error()
			return p.kind, append(all, c), nil
		}
		if of.step == module.StepSelfTest && err == nil && len(m.Info().Manifest.SelfTests) == 0 {
			c.Skipped = string(errUntested)
		}
		all = append(all, c)
	}
	if at != nil {
		return p.kind, append(all, Check{Name: string(at.Step), Section: checks, Fault: at.Error()}), nil
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	s := &subject{Module: m, probe: p, opts: &o}
	for _, c := range s.checks() {
		if c.native && m.Info().Kind != (native.Kind{}).Name() {
			continue
		}
		made := Check{Name: c.name, Section: c.section}
		fault := c.check(ctx)
		if ctx.Err() != nil {
			return "", nil, context.Cause(ctx)
		}
		if skip := (skipped("")); errors.As(fault, &skip) {
			made.Skipped = string(skip)
		} else if fault != nil {
			made.Fault = fault.Error()
		}
		all = append(all, made)
	}
	return m.Info().Kind, all, nil
}

// skipped is why a check could not be made.
type skipped string

func (s skipped) Error() string { return string(s) }

const errUntested = skipped("it has no self-tests")

// probe gives its kinds' instances away.
type probe struct {
	kind string
	last *probedGuest // of the instance that was made last
}

// probed is a kind whose instances can be asked for what no host asks for.
type probed struct {
	contract.Kind

	probe *probe
}

// Open implements [contract.Kind].
func (k probed) Open(b contract.Binary) (contract.Plugin, error) {
	k.probe.kind = k.Name()
	p, err := k.Kind.Open(b)
	made := p.Guest
	p.Guest = func(in contract.Instance) contract.Guest {
		g := &probedGuest{Guest: made(in), in: in}
		k.probe.last = g
		return g
	}
	return p, err
}

// Imports implements [contract.Kind]: the kind's functions find its own guests.
func (k probed) Imports(b contract.Binary) contract.Imports {
	imports := k.Kind.Imports(b)
	functions := make([]contract.HostFunction, len(imports.Functions))
	for i, f := range imports.Functions {
		do := f.Do
		f.Do = func(ctx context.Context, in contract.Instance, mod api.Module, stack []uint64) {
			do(ctx, unprobed{in}, mod, stack)
		}
		functions[i] = f
	}
	imports.Functions = functions
	return imports
}

// unprobed is an instance as its own kind knows it.
type unprobed struct{ contract.Instance }

// Guest implements [contract.Instance].
func (u unprobed) Guest() contract.Guest {
	if g, ok := u.Instance.Guest().(*probedGuest); ok {
		return g.Guest
	}
	return u.Instance.Guest()
}

// probedGuest is the kind's part of an instance, which does something else in place of a task if there
// is anything.
type probedGuest struct {
	contract.Guest

	in      contract.Instance
	instead func(ctx context.Context, in contract.Instance) error
}

// Run implements [contract.Guest].
func (g *probedGuest) Run(ctx context.Context, c *contract.Call) error {
	if g.instead != nil {
		return g.instead(ctx, g.in)
	}
	return g.Guest.Run(ctx, c)
}

// instance is one with its guest.
type instance struct {
	*module.Instance

	guest *probedGuest
}

// subject is a plugin that is checked.
type subject struct {
	*module.Module

	probe *probe
	opts  *Options
}

// with has a check use an instance of its own.
func (s *subject) with(ctx context.Context, f func(in instance) error) error {
	in, err := s.Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("a further instance: %w", err)
	}
	defer func() { _ = in.Close() }()
	return f(instance{in, s.probe.last})
}

// raw calls exports as they are, under the limits of a task.
func (s *subject) raw(ctx context.Context, in instance, f func(ctx context.Context, in contract.Instance) error) error {
	in.guest.instead = f
	defer func() { in.guest.instead = nil }()
	_, err := in.Run(ctx, &module.Call{Limits: module.Limits{Timeout: s.opts.Timeout}})
	return err
}
