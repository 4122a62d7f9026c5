package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/state"
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

// TestAnotherSaveThatTakesTooLongIsTold has a save end by its time, and then by its caller and its owner, who
// know of that.
func TestAnotherSaveThatTakesTooLongIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		slow := true
		remove := f.Add(func(ctx context.Context) error {
			if !slow {
				return nil
			}
			<-ctx.Done()
			return ctx.Err() // and tells nothing
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Save(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its caller's time has passed: error %v", err)
		}
		f.want("log", f.log.String(), "")
		for range 2 {
			if err := f.Save(t.Context()); err == nil || !strings.Contains(err.Error(), "not saved within 1m0s") {
				t.Errorf("error %v", err)
			}
		}
		if log := f.log.String(); strings.Count(log, "not all networks or results of jobs are saved") != 1 || strings.Count(log, "\n") != 1 {
			t.Errorf("it is not told once:\n%s", log)
		}
		if n := f.Stats().SaveFailures[state.FaultTimeout]; n != 2 {
			t.Errorf("%d failures, want 2", n)
		}
		slow = false
		if err := f.Save(t.Context()); err != nil || strings.Count(f.log.String(), "saved in time again") != 1 {
			t.Errorf("error %v; log:\n%s", err, f.log.String())
		}
		slow = true
		f.Start()
		pass(interval + time.Second)
		remove()
		f.close()
		if log := f.log.String(); strings.Count(log, "\n") != 2 || f.Stats().SaveFailures[state.FaultTimeout] != 2 {
			t.Errorf("what its owner has ended is told:\n%s", log)
		}
	})
}
