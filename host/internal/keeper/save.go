package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/state"
)

// errSweep ends a listing that takes too long.
var errSweep = fmt.Errorf("the store did not list its records within %v: %w", SweepTimeout, context.DeadlineExceeded)

// errSlow ends the saving of a batch that takes too long.
var errSlow = fmt.Errorf("the store did not answer within %v: %w", SaveTimeout, context.DeadlineExceeded)

// saveAll saves the streams, and then what else there is, also if the streams could not be. The caller has
// the turn.
func (k *Keeper[S]) saveAll(ctx context.Context) error {
	err := k.flush(ctx)
	for _, o := range k.rest() {
		err = errors.Join(err, k.runOther(ctx, o))
	}
	switch {
	case err == nil:
		k.retries = 0
	case ctx.Err() == nil:
		k.retries++
	}
	return err
}

// flush saves the streams that have changed until now. The caller has the turn.
func (k *Keeper[S]) flush(ctx context.Context) error {
	began := time.Now()
	k.cfg.Streams.Expire()
	r := Report{Until: began}
	for again := true; again; {
		for until := time.Now(); ; {
			// Not under the lock of the streams, where new memory has tasks wait.
			k.window = slices.Grow(k.window[:0], min(k.cfg.Streams.Stats().Unsaved, windowRecords))
			k.window = k.cfg.Streams.Take(k.window, windowRecords, until)
			if len(k.window) == 0 {
				break
			}
			if err := k.saveWindow(ctx, &r); err != nil {
				return err
			}
		}
		var err error
		if again, err = k.sweep(ctx); err != nil {
			return err
		}
	}
	if r.Records+r.Deleted == 0 { // whether the store is lost is told, though it missed nothing
		k.batch = k.batch[:0]
		if err := k.save(ctx); err != nil {
			return k.failed(ctx, err)
		}
	}
	r.Took = time.Since(began)
	k.succeeded(r)
	return nil
}

// saveWindow saves what was taken, in batches. What could not be saved it gives back.
func (k *Keeper[S]) saveWindow(ctx context.Context, r *Report) error {
	defer func() { clear(k.window) }() // it keeps no state alive
	rest := k.window
	slices.SortFunc(rest, yielding(ctx, compareTaken[S]))
	for len(rest) > 0 {
		n := k.fill(rest)
		err := k.save(ctx)
		if err != nil {
			// What came first is to come first again.
			slices.SortFunc(rest, yielding(ctx, func(a, b *stream.Taken[S]) int { return a.Since().Compare(b.Since()) }))
			k.cfg.Streams.Return(rest)
			return k.failed(ctx, err)
		}
		k.cfg.Streams.Saved(rest[:n])
		for i := range rest[:n] {
			if rest[i].Delete() {
				r.Deleted++
			} else {
				r.Records, r.Bytes = r.Records+1, r.Bytes+int64(len(rest[i].State))
			}
		}
		rest = rest[n:]
	}
	return nil
}

// yieldAfter is after how many comparisons of changes tasks get the processor, which a sort would keep for
// tens of milliseconds. They are some 80 µs.
const yieldAfter = 2048

// yielding returns what compares changes, for a sort that lets tasks come in between.
func yielding[S any](ctx context.Context, compare func(a, b *stream.Taken[S]) int) func(a, b stream.Taken[S]) int {
	n := 0
	return func(a, b stream.Taken[S]) int {
		if n++; n%yieldAfter == 0 {
			state.Yield(ctx)
		}
		return compare(&a, &b)
	}
}

// compareTaken has changes of a stream stay in their order.
func compareTaken[S any](a, b *stream.Taken[S]) int {
	if c := compareKeys(&a.Key, &b.Key); c != 0 {
		return c
	}
	return cmp.Compare(a.Order(), b.Order())
}

func compareKeys(a, b *stream.Key) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	if c := strings.Compare(a.Transform, b.Transform); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// fill makes a batch of the first of what was taken, and returns of how many.
func (k *Keeper[S]) fill(from []stream.Taken[S]) (n int) {
	k.batch = k.batch[:0]
	bytes := 0
	for n < len(from) && n < batchRecords {
		t := &from[n]
		if bytes += len(t.State); n > 0 && bytes > batchBytes {
			break
		}
		k.batch = append(k.batch, state.Change{
			Record: state.Record{Key: recordKey(t.Key), Format: t.Format, Changed: t.Changed, Data: t.State},
			Delete: t.Delete(),
		})
		n++
	}
	return n
}

func recordKey(key stream.Key) state.Key {
	return state.Key{Kind: state.KindStream, Tenant: key.Tenant, Transform: key.Transform, Name: key.Name}
}

func streamKey(key state.Key) stream.Key {
	return stream.Key{Tenant: key.Tenant, Transform: key.Transform, Name: key.Name}
}

// save saves the batch.
func (k *Keeper[S]) save(ctx context.Context) error {
	defer func() { clear(k.batch) }()
	ctx, cancel := context.WithTimeoutCause(ctx, SaveTimeout, errSlow)
	defer cancel()
	return caused(ctx, k.cfg.Store.Save(ctx, k.batch))
}

// caused has an error of a call that its context has ended say why.
func caused(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

func notSaved(err error) error { return fmt.Errorf("states of streams are not saved: %w", err) }

// failed takes note that the store could not be written to. What ends since its caller has gone says
// nothing of the store.
func (k *Keeper[S]) failed(ctx context.Context, err error) error {
	err = notSaved(err)
	if ctx.Err() != nil {
		return err
	}
	st := k.cfg.Streams.Stats()
	k.telling.Lock()
	defer k.telling.Unlock()
	first := false
	k.locking(func() {
		k.stats.SaveFailures[state.FaultOf(err)]++
		first = k.saving.Begin()
	})
	if !first {
		return err
	}
	k.cfg.Log.Error("states of streams are not saved; changes wait, and are tried again until they are (Config.State, --state-dir, --state-url)",
		"error", err, "fault", string(state.FaultOf(err)), "unsaved", st.Unsaved)
	k.tell(Outage{Err: err, Unsaved: st.Unsaved})
	return err
}

// succeeded takes note of a save.
func (k *Keeper[S]) succeeded(r Report) {
	k.telling.Lock()
	defer k.telling.Unlock()
	var lasted time.Duration
	ended := false
	k.locking(func() {
		k.stats.saved(r)
		lasted, ended = k.saving.End()
	})
	if ended {
		k.cfg.Log.Info("states of streams are saved again", "records", r.Records, "deleted", r.Deleted, "outage", lasted)
		k.tell(Outage{Ended: true, Lasted: lasted})
	}
	if k.cfg.Saved != nil && r.Records+r.Deleted > 0 {
		k.cfg.Saved(r)
	}
}

func (k *Keeper[S]) tell(o Outage) {
	if k.cfg.Told != nil {
		k.cfg.Told(o)
	}
}
