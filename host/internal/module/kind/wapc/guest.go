package wapc

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// shape is what all instances of a plugin have in common.
type shape struct {
	frames     contract.FrameLimits
	starts     []string // what initialises a guest
	manifest   *manifest.Manifest
	operations [][]byte // of the transforms
}

// guest implements [contract.Guest].
type guest struct {
	*shape

	in    contract.Instance
	call  contract.Function
	start []contract.Function
	stack [2]uint64
	// task is what runs, and item which item of it; nil while nothing does.
	task *contract.Call
	item int
	// room is what the caller gave for the item's payload, and before how long the outputs of the
	// items before it are together.
	room   []byte
	before int
	// answered is whether the guest has given an output, and failed whether it has given an error,
	// which is the item's payload then. oversized is the error of an output that is too long.
	answered, failed bool
	oversized        error
	host             reply
}

// reply is what came of the guest's last call of the host.
type reply struct {
	response, err []byte
}

func newGuest(in contract.Instance, s *shape) *guest {
	g := &guest{shape: s, in: in, call: in.Function(guestCall)}
	for _, name := range s.starts {
		g.start = append(g.start, in.Function(name))
	}
	return g
}

// Initialize implements [contract.Guest].
func (g *guest) Initialize(ctx context.Context) error {
	for i, f := range g.start {
		err := f.Call(ctx, nil)
		if fault := (*contract.Fault)(nil); errors.As(err, &fault) && fault.Kind == contract.Exit && g.starts[i] == "_start" {
			return fmt.Errorf("%w: its _start ends the guest, which has to stay for its tasks: build a reactor, such as with -buildmode=c-shared or -mexec-model=reactor", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Describe implements [contract.Guest].
func (g *guest) Describe(context.Context) (*manifest.Manifest, error) { return g.manifest, nil }

// Run implements [contract.Guest].
func (g *guest) Run(ctx context.Context, c *contract.Call) error {
	g.task, g.before = c, 0
	var err error
	for g.item = range c.Items {
		if err = g.runItem(ctx); err != nil {
			break
		}
	}
	g.task, g.room, g.host = nil, nil, reply{}
	return err
}

// runItem does one item. An error text is a failure whatever the guest returns, as is a return of
// anything but 1 whatever the text.
func (g *guest) runItem(ctx context.Context) error {
	r := &g.task.Results[g.item]
	g.room, g.answered, g.failed, g.oversized, g.host = r.Payload, false, false, nil, reply{}
	g.stack = [2]uint64{uint64(len(g.operations[g.task.Transform])), uint64(len(g.task.Items[g.item].Payload))}
	if err := g.call.Call(ctx, g.stack[:]); err != nil {
		return err
	}
	switch {
	case g.failed:
		return nil
	case uint32(g.stack[0]) != 1:
		g.fail([]byte("the operation was not successful, and the guest gave no reason"))
		return nil
	case g.oversized != nil:
		return g.oversized
	case !g.answered:
		g.answer(nil)
	}
	g.before += len(r.Payload) - len(g.room)
	return nil
}

// answer makes an output the item's. The last one counts.
func (g *guest) answer(output []byte) {
	g.task.Results[g.item].Payload = g.room
	g.task.Answer(g.item, &abi.Result{Payload: output})
	g.answered = true
}

// fail makes a message the item's error.
func (g *guest) fail(message []byte) {
	g.task.Results[g.item].Payload = g.room
	g.task.Answer(g.item, &abi.Result{Status: abi.StatusFailed, Payload: message})
	g.failed = true
}

// Save implements [contract.Guest]: there is nothing between two tasks.
func (g *guest) Save() any { return nil }

// Restore implements [contract.Guest].
func (g *guest) Restore(any) {}
