package native

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// plugin is what all instances of one have in common.
type plugin struct {
	frames      contract.FrameLimits
	initialized bool // whether the guest has what initializes it
	file        *companion.File
}

// guest implements [contract.Guest].
type guest struct {
	in                                        contract.Instance
	plugin                                    *plugin
	initialize, version, describe, alloc, run contract.Function // initialize is nil if the guest has none
	room                                      room
	stack                                     [3]uint64
	result                                    []byte // of a function that the guest has called, until it takes it
}

// room is where the guest takes input frames of size bytes at most; none at first.
type room struct{ ptr, size uint32 }

func newGuest(in contract.Instance, of *plugin) *guest {
	g := &guest{
		in: in, plugin: of,
		version: in.Function(abi.ExportVersion), describe: in.Function(abi.ExportDescribe),
		alloc: in.Function(abi.ExportAlloc), run: in.Function(abi.ExportRun),
	}
	if of.initialized {
		g.initialize = in.Function(abi.ExportInitialize)
	}
	return g
}

// Initialize implements [contract.Guest].
func (g *guest) Initialize(ctx context.Context) error {
	if g.initialize == nil {
		return nil
	}
	return g.initialize.Call(ctx, nil)
}

// Describe implements [contract.Guest]: it asks the guest for its version of the contract and its
// manifest.
func (g *guest) Describe(ctx context.Context) (*manifest.Manifest, error) {
	if err := g.version.Call(ctx, g.stack[:1]); err != nil {
		return nil, err
	}
	if v := uint32(g.stack[0]); v != abi.Version {
		return nil, fmt.Errorf("speaks version %d of the plugin contract, the host speaks %d", v, abi.Version)
	}
	if err := g.describe.Call(ctx, g.stack[:1]); err != nil {
		return nil, err
	}
	ptr, n := abi.Unpack(g.stack[0])
	if n > manifest.MaxBytes {
		return nil, fmt.Errorf("its manifest has %d bytes, the limit is %d", n, manifest.MaxBytes)
	}
	doc, err := read(g.in.Memory(), abi.ExportDescribe, ptr, n)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return nil, err
	}
	m.SelfTests = append(m.SelfTests, g.plugin.file.SelfTests...)
	return m, g.plugin.file.Check(m)
}

// read returns what an export says that it returned.
func read(mem api.Memory, export string, ptr, n uint32) ([]byte, error) {
	b, ok := mem.Read(ptr, n)
	if !ok {
		return nil, contract.Broken("%s returned bytes %d to %d of a memory of %d", export, ptr, uint64(ptr)+uint64(n), mem.Size())
	}
	return b, nil
}

// makeRoom has the guest make room for a frame, and for those after it that are no larger.
func (g *guest) makeRoom(ctx context.Context, size uint32) error {
	g.room = room{} // what there was is the guest's again
	g.stack[0] = uint64(size)
	if err := g.alloc.Call(ctx, g.stack[:1]); err != nil {
		return err
	}
	ptr := uint32(g.stack[0])
	if ptr == 0 {
		f := contract.Broken("%s refuses a frame of %d bytes", abi.ExportAlloc, size)
		f.Task = true
		return f
	}
	g.room = room{ptr, size}
	return nil
}

// Run implements [contract.Guest].
func (g *guest) Run(ctx context.Context, c *contract.Call) error {
	g.result = nil
	size := uint32(abi.InputSize(c.Items))
	if size > g.room.size {
		if err := g.makeRoom(ctx, size); err != nil {
			return err
		}
	}
	ptr := g.room.ptr
	mem := g.in.Memory()
	buf, ok := mem.Read(ptr, size)
	switch {
	case !ok:
		return contract.Broken("%s returned bytes %d to %d for a frame, of a memory of %d", abi.ExportAlloc, ptr, uint64(ptr)+uint64(size), mem.Size())
	case ptr%8 != 0:
		return contract.Broken("%s returned %d, and must return a multiple of 8", abi.ExportAlloc, ptr)
	}
	abi.AppendInput(buf[:0:size], c.Items)
	g.stack = [3]uint64{uint64(c.Transform), uint64(ptr), uint64(size)}
	if err := g.run.Call(ctx, g.stack[:]); err != nil {
		return err
	}
	g.result = nil
	outPtr, n := abi.Unpack(g.stack[0])
	if err := g.plugin.frames.CheckOutput(abi.ExportRun, uint64(n), len(c.Results)); err != nil {
		return err
	}
	frame, err := read(mem, abi.ExportRun, outPtr, n)
	if err != nil {
		return err
	}
	maxState := 0
	if m := g.in.Manifest(); m != nil {
		maxState = m.Transforms[c.Transform].StateBytes
	}
	return ReadResults(frame, &g.plugin.frames, maxState, c)
}

// Save implements [contract.Guest]: the room is for the largest frame of the self-tests.
func (g *guest) Save() any { return g.room }

// Restore implements [contract.Guest].
func (g *guest) Restore(saved any) { g.room, g.result = saved.(room), nil }

// ReadResults checks an output frame and copies it into a call's results, as that says. A
// state of more than maxState bytes is a fault, as is any number of results but that
// wanted. Its errors are [*contract.Fault]s or [contract.ErrOutputSum], after which results have no
// meaning.
func ReadResults(frame []byte, limits *contract.FrameLimits, maxState int, c *contract.Call) error {
	if err := limits.CheckOutput(abi.ExportRun, uint64(len(frame)), len(c.Results)); err != nil {
		return err
	}
	r, err := abi.ReadOutput(frame)
	if err != nil {
		return contract.Broken("%s: %v", abi.ExportRun, err)
	}
	if r.Len() != len(c.Results) {
		return contract.Broken("%s returned %d results for %d items", abi.ExportRun, r.Len(), len(c.Results))
	}
	for i := range c.Results {
		got, err := r.Next()
		if err != nil {
			return contract.Broken("%s: %v", abi.ExportRun, err)
		}
		if len(got.State) > maxState {
			return contract.Broken("%s: item %d has a state of %d bytes, the manifest states %d", abi.ExportRun, i, len(got.State), maxState)
		}
		c.Answer(i, &got)
	}
	return nil
}
