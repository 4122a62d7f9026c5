package wasi

import (
	"context"
	"time"
)

// sleep lets d pass. If the host does not let it, the guest's call ends: an errno
// would have Go's runtime crash, and let a hostile guest go on.
func (s *System) sleep(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	if !s.RealClock {
		s.now.clock.advance(d)
		return
	}
	sleep := s.Sleep
	if sleep == nil {
		sleep = s.real.sleep
	}
	if err := sleep(ctx, d); err != nil {
		if ctx.Err() != nil {
			interrupt(ctx)
		}
		panic(err)
	}
}

// sleep returns after d, or with ctx's error when that is done.
func (c *realClock) sleep(ctx context.Context, d time.Duration) error {
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-ctx.Done():
		c.timer.Stop()
		return ctx.Err()
	}
}
