package keeper

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// errOther ends a call that takes too long, during which no stream is saved.
var errOther = fmt.Errorf("it was not saved within %v: %w", OtherTimeout, context.DeadlineExceeded)

// other is what is saved besides streams.
type other struct {
	save  func(context.Context) error
	ended context.Context // once it is removed

	running sync.Mutex // held while save runs
}

// Add has save called by each save, after the streams, with a context that ends after OtherTimeout at most. It
// tells by itself what fails. remove ends that: it has the context of a call that is under way end, and waits
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

// run saves it, unless it is removed.
func (o *other) run(ctx context.Context) error {
	o.running.Lock()
	defer o.running.Unlock()
	if o.ended.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, OtherTimeout, errOther)
	defer cancel()
	defer context.AfterFunc(o.ended, cancel)()
	if err := o.save(ctx); err != nil && o.ended.Err() == nil {
		return err
	}
	return nil // else its last save is its owner's
}
