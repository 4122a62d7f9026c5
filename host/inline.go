package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// native is the engine of mode Inline. Its one worker keeps it from being called
// concurrently.
type native struct {
	plugin Native
	frame  []byte
}

func openNative(n Native) (*plugin, error) {
	doc := n.Manifest()
	m, err := manifest.Parse([]byte(doc))
	if err != nil {
		return nil, err
	}
	// There is no binary to tell versions apart by; the manifest is the next
	// best.
	sum := sha256.Sum256([]byte(doc))
	return &plugin{
		source: m.Name, hash: hex.EncodeToString(sum[:]), manifest: m, engine: &native{plugin: n},
		cfg: PluginConfig{MaxInstances: 1, MaxInput: DefaultMaxInput},
	}, nil
}

// Borrow implements engine.
func (n *native) Borrow(context.Context) (instance, error) { return n, nil }

// Return implements instance.
func (n *native) Return(error) {}

// Run implements instance. What a native plugin gets wrong is a defect of the
// program it is part of, so its answers are trusted as far as their form.
func (n *native) Run(ctx context.Context, transform int, items []abi.Item, results []abi.Result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.frame = abi.AppendInput(n.frame[:0], items)
	frame, err := n.plugin.Run(uint32(transform), n.frame)
	if err != nil {
		return err
	}
	r, err := abi.ReadOutput(frame)
	if err != nil {
		return err
	}
	if r.Len() != len(results) {
		return fmt.Errorf("%d results for %d items", r.Len(), len(results))
	}
	for i := range results {
		got, err := r.Next()
		if err != nil {
			return err
		}
		results[i].Status = got.Status
		results[i].Payload = append(make([]byte, 0, len(got.Payload)), got.Payload...)
		if got.Status == abi.StatusOK { // else the state is to stay as it was
			results[i].State = append(results[i].State[:0], got.State...)
		}
	}
	return nil
}

// Close implements engine.
func (n *native) Close(context.Context) error { return nil }
