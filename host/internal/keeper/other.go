package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/state"
)

// errOther ends a call that takes too long, during which no stream is saved.
var errOther = fmt.Errorf("it was not saved within %v: %w", OtherTimeout, context.DeadlineExceeded)

// other is what is saved besides streams.
type other struct {
	save  func(context.Context) error
	ended context.Context // once it is removed

	running sync.Mutex    // held while save runs
	late    outage.Outage // while it takes too long; who runs it has it
}

// Add has save called by each save, after the streams, with a context that ends after OtherTimeout at most. It
// tells by itself what fails, but for the end of that context, which the keeper tells. remove ends that: it has the context of a call that is under way end, and waits
// for the call. So save must call neither remove nor [Keeper.Save].
func (k *Keeper[S]) Add(save func(context.Context) error) (remove func()) {
	ended, end := context.WithCancel(context.Background())
	o := &other{save: save, ended: ended}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.others = append(k.others, o)
	return func() {
		end()
		o.running.Lock()
		defer o.running.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.others = slices.DeleteFunc(k.others, func(there *other) bool { return there == o })
	}
}

// rest returns what is saved besides streams.
func (k *Keeper[S]) rest() []*other {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.others)
}

// runOther saves something else, unless it is removed.
func (k *Keeper[S]) runOther(ctx context.Context, o *other) error {
	o.running.Lock()
	defer o.running.Unlock()
	if o.ended.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, OtherTimeout, errOther)
	defer cancel()
	defer context.AfterFunc(o.ended, cancel)()
	err := o.save(ctx)
	switch {
	case err == nil:
		if lasted, ended := o.late.End(); ended {
			k.cfg.Log.Info("networks or results of jobs are all saved in time again", "outage", lasted)
		}
	case o.ended.Err() != nil:
		return nil // its last save is its owner's
	case errors.Is(context.Cause(ctx), errOther):
		err = caused(ctx, err)
		k.locking(func() { k.stats.SaveFailures[state.FaultOf(err)]++ })
		if o.late.Begin() {
			k.cfg.Log.Error("not all networks or results of jobs are saved, as the store is too slow; each save tries again: see whether its disk or server is busy, or have fewer or smaller networks", "error", err)
		}
	}
	return err
}
