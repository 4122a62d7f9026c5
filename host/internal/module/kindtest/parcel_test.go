package kindtest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// parcel is a kind as unlike the native one as it can be. Each function () → i32 of its guests is a
// transform, for one item at a time. Input and output lie in the memory of a library, and the
// manifest comes from the exports and a companion file. The host has state of its own for each
// instance.
type parcel struct {
	kernel []byte
	warmUp contract.WarmUp
	single bool
}

func (parcel) Name() string { return "parcel" }

func (parcel) Claims(links *meter.Links) string {
	for _, l := range links.Imports {
		if l.Module == "parcel" {
			return "imports parcel." + meter.Plain(l.Name)
		}
	}
	return ""
}

func (parcel) Needs() string { return "a parcel imports parcel" }

func (p parcel) Imports(contract.Binary) contract.Imports {
	of := func(name string, params, results []api.ValueType, do func(*parcelGuest, contract.Instance, []uint64)) contract.HostFunction {
		return contract.HostFunction{
			Module: "parcel:host", Name: name, Params: params, Results: results,
			Do: func(_ context.Context, in contract.Instance, _ api.Module, stack []uint64) {
				do(in.Guest().(*parcelGuest), in, stack)
			},
		}
	}
	return contract.Imports{
		Functions: []contract.HostFunction{
			of("item", nil, []api.ValueType{i32}, func(g *parcelGuest, _ contract.Instance, stack []uint64) { stack[0] = uint64(g.item) }),
			of("remember", []api.ValueType{i32}, []api.ValueType{i32}, func(g *parcelGuest, _ contract.Instance, stack []uint64) {
				g.remembered, stack[0] = stack[0], g.remembered
			}),
			of("bill", []api.ValueType{i32}, nil, func(_ *parcelGuest, in contract.Instance, stack []uint64) { in.Charge(int(stack[0])) }),
		},
		Libraries: []contract.Library{{Name: "parcel", WASM: p.kernel}},
	}
}

func (p parcel) Open(b contract.Binary) (contract.Plugin, error) {
	file := b.Companion
	var exports []string
	var errs []error
	if file.Name == "" {
		errs = append(errs, errors.New("has no companion file"))
	}
	for _, l := range b.Links.Exports {
		switch {
		case l.Kind != meter.KindFunction:
		case contract.SameType(l, nil, []api.ValueType{i32}):
			exports = append(exports, l.Name)
		default:
			errs = append(errs, fmt.Errorf("exports %s, want %s() → i32", contract.Signature(l), meter.Plain(l.Name)))
		}
	}
	return contract.Plugin{
		WarmUp: p.warmUp, Single: p.single,
		Guest: func(in contract.Instance) contract.Guest {
			kernel := in.Library("parcel")
			g := &parcelGuest{file: file, exports: exports, frames: b.Frames, kernel: kernel, begin: kernel.Function("begin"), output: kernel.Function("output")}
			for _, name := range exports {
				g.run = append(g.run, in.Function(name))
			}
			return g
		},
	}, errors.Join(errs...)
}

// parcelGuest implements [contract.Guest].
type parcelGuest struct {
	file          *companion.File
	exports       []string
	frames        contract.FrameLimits
	kernel        contract.Module
	begin, output contract.Function // of the kernel
	run           []contract.Function
	item          int
	remembered    uint64
}

func (g *parcelGuest) Initialize(context.Context) error { return nil }

func (g *parcelGuest) Describe(context.Context) (*manifest.Manifest, error) {
	m := manifest.Manifest{Name: g.file.Name, Version: "1", SelfTests: g.file.SelfTests}
	for _, name := range g.exports {
		m.Transforms = append(m.Transforms, manifest.Transform{
			Name: g.file.Name + "." + name, Input: manifest.MediaTypeBytes, Output: manifest.MediaTypeBytes,
		})
	}
	return &m, m.Validate()
}

func (g *parcelGuest) Run(ctx context.Context, c *contract.Call) error {
	for g.item = range c.Items {
		if err := g.runItem(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (g *parcelGuest) runItem(ctx context.Context, c *contract.Call) error {
	input := c.Items[g.item].Payload
	stack := []uint64{uint64(len(input))}
	if err := g.begin.Call(ctx, stack); err != nil {
		return err
	}
	if !g.kernel.Memory().Write(uint32(stack[0]), input) {
		return contract.Broken("begin returned %d", stack[0])
	}
	name := g.exports[c.Transform]
	if err := g.run[c.Transform].Call(ctx, stack); err != nil {
		return err
	}
	status := abi.StatusOK
	if stack[0] != 0 {
		status = abi.StatusFailed
	}
	if err := g.output.Call(ctx, stack); err != nil {
		return err
	}
	ptr, n := abi.Unpack(stack[0])
	if err := g.frames.CheckOutput(name, uint64(n), len(c.Items)); err != nil {
		return err
	}
	output, ok := g.kernel.Memory().Read(ptr, n)
	if !ok {
		return contract.Broken("%s left an output outside its memory", name)
	}
	c.Answer(g.item, &abi.Result{Status: status, Payload: output})
	return nil
}

func (g *parcelGuest) Save() any { return g.remembered }

func (g *parcelGuest) Restore(saved any) { g.remembered = saved.(uint64) }
