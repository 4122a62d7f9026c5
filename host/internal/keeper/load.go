package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/state"
)

// job is a stream whose state is to be loaded, and by when.
type job[S any] struct {
	entry *stream.Entry[S]
	by    time.Time
}

// Load has the state of a stream loaded unless it is or somebody does that already. It does not
// wait. The caller has a use of the stream, and a place in the queue for its turn.
func (k *Keeper[S]) Load(e *stream.Entry[S]) {
	if !k.cfg.Streams.Load(e) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue = append(k.queue, job[S]{e, time.Now().Add(LoadTimeout)})
	if k.running < loaders {
		k.running++
		k.ended.Go(k.loadAll)
	}
}

// loadAll loads until there is nothing to load.
func (k *Keeper[S]) loadAll() {
	for {
		j, ok := k.next()
		if !ok {
			return
		}
		k.load(j)
	}
}

// next takes the next job. If there is none, the loader that asks has ended.
func (k *Keeper[S]) next() (j job[S], ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at == len(k.queue) {
		k.queue, k.at = k.queue[:0], 0
		k.running--
		return j, false
	}
	j, k.queue[k.at] = k.queue[k.at], j
	if k.at++; k.at > 1024 && k.at > len(k.queue)/2 { // or a queue that is never empty would grow for ever
		n := copy(k.queue, k.queue[k.at:])
		clear(k.queue[n:])
		k.queue, k.at = k.queue[:n], 0
	}
	return j, true
}

// load loads a stream's state, and has the stream's tasks go on or fail.
func (k *Keeper[S]) load(j job[S]) {
	key := recordKey(j.entry.Key())
	r, err := k.read(j.by, key)
	switch fault := state.FaultOf(err); fault {
	case "":
		k.locking(func() { k.stats.Loads++ })
	case state.FaultNotFound: // which the listing had
		k.locking(func() { k.stats.Lost++ })
		k.note("the state of a stream was stored and is not there any more; the stream begins anew", err)
	case state.FaultCorrupt, state.FaultNewer, state.FaultKey, state.FaultInvalid:
		k.locking(func() { k.stats.LoadFailures[fault]++ })
		k.note("the stored state of a stream cannot be read; its tasks fail, and the record stays", err)
		k.giveUp(j.entry, fmt.Errorf("%w: %w", ErrUnreadable, err), true)
		return
	default:
		k.notLoaded(fault, err)
		k.giveUp(j.entry, fmt.Errorf("%w: %w", ErrUnavailable, err), false)
		return
	}
	k.available()
	k.cfg.Streams.Loaded(j.entry, r.Data, r.Format, r.Changed)
	k.cfg.Vacate(&j.entry.Serial)
}

func (k *Keeper[S]) giveUp(e *stream.Entry[S], fault error, unreadable bool) {
	k.cfg.Streams.NotLoaded(e, fault, unreadable)
	k.cfg.Fail(&e.Serial, fault)
}

// errLate ends the loading of a state that takes too long.
var errLate = fmt.Errorf("the store did not answer within %v: %w", LoadTimeout, context.DeadlineExceeded)

func (k *Keeper[S]) read(by time.Time, key state.Key) (state.Record, error) {
	ctx, cancel := context.WithDeadlineCause(k.loads, by, errLate)
	defer cancel()
	if ctx.Err() != nil { // it has waited for others
		return state.Record{}, context.Cause(ctx)
	}
	r, err := k.cfg.Store.Load(ctx, key)
	switch {
	case err == nil && r.Key != key:
		return state.Record{}, &state.RecordError{Key: key, Reason: "the store has returned another record, " + r.Key.String(), Err: state.ErrCorrupt}
	case err == nil:
		err = r.Check()
	}
	return r, caused(ctx, err)
}

func (k *Keeper[S]) locking(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// notLoaded takes note that the store could not be read from.
func (k *Keeper[S]) notLoaded(fault state.Fault, err error) {
	k.telling.Lock()
	defer k.telling.Unlock()
	first := false
	k.locking(func() {
		k.stats.LoadFailures[fault]++
		first = k.loads.Err() == nil && k.loading.Begin()
	})
	if !first {
		return
	}
	k.cfg.Log.Error("states of streams cannot be loaded; tasks of streams that are stored fail until they can",
		"error", err, "fault", string(fault))
	k.tell(Outage{Loading: true, Err: err})
}

// available takes note that the store has answered.
func (k *Keeper[S]) available() {
	working := true
	if k.locking(func() { working = k.loading.Since().IsZero() }); working {
		return
	}
	k.telling.Lock()
	defer k.telling.Unlock()
	var lasted time.Duration
	ended := false
	if k.locking(func() { lasted, ended = k.loading.End() }); ended {
		k.cfg.Log.Info("states of streams are loaded again", "outage", lasted)
		k.tell(Outage{Loading: true, Ended: true, Lasted: lasted})
	}
}

// strange is what is wrong with single records, of which one a minute is logged. Keeper.telling guards
// it.
type strange struct {
	last   time.Time
	untold int
}

func (k *Keeper[S]) note(what string, err error) {
	k.telling.Lock()
	defer k.telling.Unlock()
	if now := time.Now(); k.strange.last.IsZero() || now.Sub(k.strange.last) >= time.Minute {
		k.cfg.Log.Error(what, "error", err, "untold", k.strange.untold)
		k.strange = strange{last: now}
		return
	}
	k.strange.untold++
}
