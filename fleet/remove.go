package fleet

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Remove has the fleet forget a plugin: it wants nothing of it any more. A host that took a version in a first roll-out which was
// stopped still goes back. Hosts that serve a version go on until they end, and begin with what their directories have. The files go with a later push. While
// a roll-out is under way the error wraps [ErrRolling]. Without the plugin it wraps [ErrNotPushed].
func (c *Control) Remove(ctx context.Context, plugin string) (*Wanted, error) {
	w, err := c.Plugin(ctx, plugin)
	if err != nil {
		return nil, err
	}
	if w.rolling() {
		return w, fmt.Errorf("%w: stop it first (resonhost fleet rollback %s)", ErrRolling, plugin)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch err := c.wanted.Purge(ctx, pluginKey+plugin, jetstream.LastRevision(w.revision)); {
	case changed(err):
		return w, fmt.Errorf("plugin %s: %w", plugin, ErrConflict)
	case err != nil:
		return w, fmt.Errorf("plugin %s: %w", plugin, err)
	}
	return w, nil
}
