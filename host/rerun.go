package host

import (
	"context"
	"errors"

	"github.com/resonhost/resonhost/abi"
)

// alone runs the task in a crossing of its own. What a canary fails, or a version that
// had to end, the version beside it or after it does: transforms are pure, so that it
// does no harm.
func (t *task) alone(ctx context.Context, a *args, x *crossing) (fuel uint64, fault *Error) {
	blamed := t.blamed
	for {
		burnt, fault := t.once(ctx, a, x)
		fuel += burnt
		failed := fault != nil || x.results[0].Status != abi.StatusOK
		if !failed && blamed != nil {
			blamed.Failed()
		}
		replaced := fault != nil && errors.Is(fault, errReplaced)
		if !failed || !t.canary && !replaced || ctx.Err() != nil || t.r.ctx.Err() != nil {
			return fuel, fault
		}
		ran := t.version
		t.giveBack()
		if t.canary {
			t.noCanary = true
			if !noRoom(fault) {
				blamed = t.trial
			}
		}
		if t.choose(); t.version == ran { // nothing has come after it
			return fuel, fault
		}
		t.r.rerun.Add(1)
	}
}
