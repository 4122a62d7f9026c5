package host

import (
	"context"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	frames "github.com/resonhost/resonhost/host/internal/module/kind/native"
)

// Native is a plugin that is compiled into the program, such as a
// guest.Plugin of package abi/guest. The host never calls it concurrently.
type Native interface {
	// Manifest returns the plugin's JSON manifest.
	Manifest() string
	// Run runs an input frame of package abi and returns the output frame,
	// valid until the next call.
	Run(index uint32, input []byte) ([]byte, error)
}

// inline is the engine of ModeInline. Its one worker keeps it from being called
// concurrently.
type inline struct {
	code     Native
	manifest *manifest.Manifest
	limits   module.FrameLimits
	input    []byte
}

// TryBorrow implements engine.
func (n *inline) TryBorrow() instance { return n }

// Borrow implements engine.
func (n *inline) Borrow(context.Context) (instance, error) { return n, nil }

// Return implements instance.
func (n *inline) Return() {}

// Starved implements instance.
func (n *inline) Starved() bool { return false }

// Run implements instance. What a native plugin gets wrong is a defect of the
// program it is part of, so its answers are trusted as far as their form.
func (n *inline) Run(ctx context.Context, c *module.Call) (fuel uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := n.limits.CheckInput(c.Items); err != nil {
		return 0, err
	}
	n.input = abi.AppendInput(n.input[:0], c.Items)
	output, err := n.code.Run(uint32(c.Transform), n.input)
	if err != nil {
		return 0, err
	}
	return 0, frames.ReadResults(output, &n.limits, n.manifest.Transforms[c.Transform].StateBytes, c)
}

// Close implements engine.
func (n *inline) Close(context.Context) error { return nil }
