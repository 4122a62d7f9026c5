package extism

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// guest implements [contract.Guest].
type guest struct {
	in           contract.Instance
	of           *plugin
	kernel       contract.Module
	grow         contract.Function // of the kernel
	initializers []contract.Function
	exports      []contract.Function // of the transforms
	stack        [1]uint64
	variables    variables
	response     response
	// failed is why a host function ended the call, "" if none did.
	failed string
}

func newGuest(in contract.Instance, of *plugin) *guest {
	g := &guest{in: in, of: of, kernel: in.Library(envModule)}
	g.grow = g.kernel.Function("input")
	for _, name := range of.initializers() {
		g.initializers = append(g.initializers, in.Function(name))
	}
	for i := range of.transforms {
		g.exports = append(g.exports, in.Function(of.transforms[i].Export))
	}
	return g
}

// heap is the kernel's memory, which may have grown since.
func (g *guest) heap() heap { return heap{g.kernel.Memory()} }

// Initialize implements [contract.Guest]: runtimes are initialised as Extism's SDKs do it, and always.
func (g *guest) Initialize(ctx context.Context) error {
	for _, call := range g.initializers {
		var stack [2]uint64
		if err := call.Call(ctx, stack[:]); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements [contract.Guest].
func (g *guest) Describe(context.Context) (*manifest.Manifest, error) { return g.of.manifest, nil }

// Run implements [contract.Guest].
func (g *guest) Run(ctx context.Context, c *contract.Call) error {
	for i := range c.Items {
		if err := g.runItem(ctx, c, i); err != nil {
			return err
		}
		if err := g.of.binary.Frames.CheckSum(c); err != nil {
			return err
		}
	}
	return nil
}

func (g *guest) runItem(ctx context.Context, c *contract.Call, item int) error {
	if err := g.begin(ctx, c, item); err != nil {
		if errors.As(err, new(*contract.Fault)) {
			return err
		}
		c.Answer(item, &abi.Result{Status: abi.StatusFailed, Payload: []byte(err.Error())})
		return nil
	}
	g.stack[0] = 0
	err := g.exports[c.Transform].Call(ctx, g.stack[:])
	if err != nil && !g.ends(err, len(c.Items)) {
		return err
	}
	return g.answer(c, item)
}

// begin has the guest begin a task.
func (g *guest) begin(ctx context.Context, c *contract.Call, item int) error {
	g.failed = ""
	g.response.forget()
	g.variables.limit = g.of.variableBytes(c.Transform)
	g.variables.clear()
	if state := c.Items[item].State; len(state) > 0 && !c.Stateless {
		if err := g.variables.adopt(state); err != nil {
			return err
		}
	}
	h, input := g.heap(), c.Items[item].Payload
	if len(input) > 0 {
		if pages := h.room(len(input)); pages > 0 {
			g.stack[0] = uint64(pages)
			if err := g.grow.Call(ctx, g.stack[:]); err != nil {
				return err
			}
			h = g.heap()
		}
	}
	h.begin(input)
	return nil
}

// ends reports whether the fault of a call is an answer for all that: the guest ended itself as a
// program does that is done, or a function of the host's found that its task fails. The instance goes
// then, as the guest was in the midst of its work. Other items of the frame need another.
func (g *guest) ends(err error, items int) bool {
	f := (*contract.Fault)(nil)
	done := errors.As(err, &f) && f.Kind == contract.Exit && f.ExitCode == 0
	if g.failed == "" && !done || items > 1 {
		return false
	}
	if !g.of.single {
		g.in.Spend()
	}
	return true
}

// answer answers an item with what the guest left.
func (g *guest) answer(c *contract.Call, item int) error {
	export := g.of.transforms[c.Transform].Export
	h := g.heap()
	failure := h.failure()
	switch {
	case g.failed != "":
		failure = []byte(g.failed)
	case len(failure) == 0 && uint32(g.stack[0]) != 0:
		failure = fmt.Appendf(nil, "%s returned %d", export, int32(uint32(g.stack[0])))
	}
	if len(failure) > 0 {
		c.Answer(item, &abi.Result{Status: abi.StatusFailed, Payload: failure})
		return nil
	}
	at, n := h.output()
	if n == 0 {
		at = 0
	}
	if err := g.of.binary.Frames.CheckOutput(export, n, len(c.Items)); err != nil {
		return err
	}
	if at > math.MaxUint32 {
		return outside(at, n, h)
	}
	output, ok := h.mem.Read(uint32(at), uint32(n))
	if !ok {
		return outside(at, n, h)
	}
	r := abi.Result{Payload: output}
	if !c.Stateless {
		r.State = g.variables.state()
	}
	c.Answer(item, &r)
	return nil
}

func outside(at, n uint64, h heap) error {
	return contract.Broken("output_set was given %d bytes at the offset %d, of a memory of %d", n, at, h.mem.Size())
}

// Save implements [contract.Guest]: a task begins with nothing of those before it, see begin.
func (g *guest) Save() any { return nil }

// Restore implements [contract.Guest].
func (g *guest) Restore(any) {
	g.variables.clear()
	g.response.forget()
}

// variableBytes is how large the variables of a transform's tasks may become.
func (p *plugin) variableBytes(transform int) int {
	limit := variableBytes(p.binary.Companion)
	if n := p.transforms[transform].StateBytes; n > 0 {
		limit = min(limit, n)
	}
	return limit
}

// variableBytes is how large variables may become by a companion file, which may be nil.
func variableBytes(f *companion.File) int {
	if f.Limits.MaxVariableBytes == nil {
		return defaultVariables
	}
	return *f.Limits.MaxVariableBytes
}
