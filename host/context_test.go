package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestSharedContext(t *testing.T) {
	var (
		first  = errors.New("the first has gone")
		second = errors.New("the second has gone")
	)
	for name, c := range map[string]struct {
		do    func(cancel []context.CancelCauseFunc)
		after time.Duration
		want  error // nil if it is not done
	}{
		"one leaves":      {func(c []context.CancelCauseFunc) { c[0](first) }, sharedPatience - 1, nil},
		"and it hangs":    {func(c []context.CancelCauseFunc) { c[0](first) }, sharedPatience, first},
		"all leave":       {func(c []context.CancelCauseFunc) { c[0](first); synctest.Wait(); c[1](second) }, 0, second},
		"nobody does":     {func([]context.CancelCauseFunc) {}, time.Hour, nil},
		"another is late": {func(c []context.CancelCauseFunc) { time.Sleep(time.Hour); c[1](second) }, sharedPatience, second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, cancelOne := context.WithCancelCause(t.Context())
				defer cancelOne(nil)
				other, cancelOther := context.WithCancelCause(t.Context())
				defer cancelOther(nil)
				ctx, stop := sharedContext([]*job{{ctx: one}, {ctx: other}})
				defer stop()
				c.do([]context.CancelCauseFunc{cancelOne, cancelOther})
				time.Sleep(c.after)
				synctest.Wait()
				if got := context.Cause(ctx); !errors.Is(got, c.want) {
					t.Errorf("cause %v, want %v", got, c.want)
				}
			})
		})
	}
}
