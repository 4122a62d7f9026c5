package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	frames "github.com/resonhost/resonhost/host/internal/module/kind/native"
)

// native is the engine of mode Inline. Its one worker keeps it from being called
// concurrently.
type native struct {
	plugin   Native
	manifest *manifest.Manifest
	limits   module.FrameLimits
	frame    []byte
}

func (h *Host) openNative(n Native) (*version, error) {
	doc := n.Manifest()
	m, err := manifest.Parse([]byte(doc))
	if err != nil {
		return nil, err
	}
	// There is no binary to tell versions apart by; the manifest is the next
	// best.
	sum := sha256.Sum256([]byte(doc))
	p := h.newPlugin(m.Name)
	cfg := &p.cfg
	// Native code cannot be interrupted. Its tasks share no crossing, so that one
	// that fails harms no other; the crossing is a call.
	cfg.Interrupt, cfg.Isolation, cfg.BreakAfter = InterruptOff, IsolationPristine, 0
	h.mu.Lock()
	if h.plugins[p.source] == nil {
		h.plugins[p.source] = p
	} // else another has the name, and Start says so
	h.mu.Unlock()
	e := &native{plugin: n, manifest: m, limits: frameLimits(*cfg)}
	return h.newVersion(p, record{source: Source{Name: m.Name}, hash: hex.EncodeToString(sum[:])}, m, e, *cfg), nil
}

// TryBorrow implements engine.
func (n *native) TryBorrow() instance { return n }

// Borrow implements engine.
func (n *native) Borrow(context.Context) (instance, error) { return n, nil }

// Return implements instance.
func (n *native) Return() {}

// Starved implements instance.
func (n *native) Starved() bool { return false }

// Run implements instance. What a native plugin gets wrong is a defect of the
// program it is part of, so its answers are trusted as far as their form.
func (n *native) Run(ctx context.Context, c module.Call) (fuel uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := n.limits.CheckInput(c.Items); err != nil {
		return 0, err
	}
	n.frame = abi.AppendInput(n.frame[:0], c.Items)
	frame, err := n.plugin.Run(uint32(c.Transform), n.frame)
	if err != nil {
		return 0, err
	}
	return 0, frames.ReadResults(frame, &n.limits, n.manifest.Transforms[c.Transform].StateBytes, &c)
}

// Close implements engine.
func (n *native) Close(context.Context) error { return nil }
