// Package calls runs the calls of a store in goroutines, so that each ends with its context though
// what it waits for does not heed one, such as a disk.
package calls

import (
	"context"
	"sync"

	"github.com/resonhost/resonhost/state"
)

// Group has the calls of a store. The zero Group is ready to use.
type Group struct {
	mu     sync.Mutex // guards what is below
	closed bool
	failed error
	wg     sync.WaitGroup // none is added once closed is set
}

// Run calls f in a goroutine and waits for it, or until the context ends. Then f goes on for itself,
// and what it returns is lost. Once the group is closed or has failed, it returns an error instead.
func (g *Group) Run(ctx context.Context, f func() error) error {
	if err := g.Begin(ctx); err != nil {
		return err
	}
	return g.Wait(ctx, f)
}

// Begin enters a call. If it returns nil, Wait must follow.
func (g *Group) Begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return state.ErrClosed
	case g.failed != nil:
		return g.failed
	}
	g.wg.Add(1)
	return nil
}

// Wait does the second half of Run.
func (g *Group) Wait(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer g.wg.Done()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Fail has all calls that come later return an error, the first that is given.
func (g *Group) Fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

// Close refuses further calls and waits for those that are under way. It returns false if the group
// was closed before, and what Fail was given.
func (g *Group) Close() (first bool, failed error) {
	g.mu.Lock()
	first = !g.closed
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return first, g.failed
}
