package keeper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/internal/keeper"
)

// TestAnotherSaveThatHangsIsGivenUp has streams saved again once the time of what was added has passed.
func TestAnotherSaveThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		var cause error
		remove := f.Add(func(ctx context.Context) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return cause
		})
		f.Start()
		pass(interval + time.Second) // it hangs
		f.put("a", "1")
		pass(keeper.OtherTimeout + interval)
		f.want("stored", f.stored("a"), "1")
		if !errors.Is(cause, context.DeadlineExceeded) {
			t.Errorf("it was given up with %v", cause)
		}
		remove()
		if err := f.Save(t.Context()); err != nil {
			t.Error(err)
		}
		f.close()
	})
}
