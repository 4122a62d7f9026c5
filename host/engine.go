package host

import (
	"context"

	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/registry"
)

// engine lends instances, of a guest or of native code.
type engine interface {
	// TryBorrow returns nil if no instance is idle. Borrow makes one, or waits for
	// one until ctx is done; once the engine is closed its error is
	// registry.ErrClosed.
	TryBorrow() instance
	Borrow(ctx context.Context) (instance, error)
	// Close waits for what is lent out.
	Close(ctx context.Context) error
}

// instance runs items, as module.Instance.Run does. Its borrower gives it back by
// Return, whatever became of it.
type instance interface {
	Run(ctx context.Context, c *module.Call) (fuel uint64, err error)
	Return()
	// Starved reports whether a guest's answer may depend on memory that was denied to it.
	Starved() bool
}

// sandbox is the engine of a guest.
type sandbox struct{ *registry.Plugin }

// TryBorrow implements engine.
func (s sandbox) TryBorrow() instance {
	if in := s.Plugin.TryBorrow(); in != nil {
		return in
	}
	return nil
}

// Borrow implements engine.
func (s sandbox) Borrow(ctx context.Context) (instance, error) {
	in, err := s.Plugin.Borrow(ctx)
	if err != nil {
		return nil, err // not a nil *registry.Instance, which would be an instance
	}
	return in, nil
}
