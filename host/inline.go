package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
)

// native is the engine of mode Inline. Its one worker keeps it from being called
// concurrently.
type native struct {
	plugin   Native
	manifest *manifest.Manifest
	limits   module.FrameLimits
	frame    []byte
}

func openNative(n Native, c Config) (*plugin, error) {
	doc := n.Manifest()
	m, err := manifest.Parse([]byte(doc))
	if err != nil {
		return nil, err
	}
	// There is no binary to tell versions apart by; the manifest is the next
	// best.
	sum := sha256.Sum256([]byte(doc))
	cfg := c.pluginConfig(m.Name)
	cfg.Interrupt = InterruptOff // native code cannot be interrupted
	return &plugin{
		source: m.Name, hash: hex.EncodeToString(sum[:]), manifest: m, cfg: cfg,
		engine: &native{plugin: n, manifest: m, limits: frameLimits(cfg)},
	}, nil
}

// Borrow implements engine.
func (n *native) Borrow(context.Context) (instance, error) { return n, nil }

// Return implements instance.
func (n *native) Return() {}

// Discard implements instance: native code that failed is called again.
func (n *native) Discard() {}

// Run implements instance. What a native plugin gets wrong is a defect of the
// program it is part of, so its answers are trusted as far as their form.
func (n *native) Run(ctx context.Context, transform int, items []abi.Item, results []abi.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.limits.CheckInput(items); err != nil {
		return err
	}
	n.frame = abi.AppendInput(n.frame[:0], items)
	frame, err := n.plugin.Run(uint32(transform), n.frame)
	if err != nil {
		return err
	}
	return n.limits.ReadResults(frame, n.manifest.Transforms[transform].StateBytes, results)
}

// Close implements engine.
func (n *native) Close(context.Context) error { return nil }
