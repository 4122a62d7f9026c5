package keeper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/state"
)

// Open adds what is stored to the streams. No task runs yet. That all of it has another key is an error:
// somebody has given the wrong one, and streams would fail one by one.
func (k *Keeper[S]) Open(ctx context.Context) error {
	l := &listing[S]{k: k, opened: time.Now()}
	if err := k.cfg.Store.List(ctx, state.Filter{Kind: state.KindStream}, l.visit); err != nil {
		return fmt.Errorf("the states of streams that are stored cannot be listed: %w", err)
	}
	if err := l.KeyFault("states of streams"); err != nil {
		return err
	}
	l.sort()
	for _, of := range append(l.newest, l.unread...) {
		k.cfg.Streams.Add(of)
	}
	k.tellForgotten()
	if l.Unreadable > 0 {
		k.NoteUnreadable(state.KindStream, l.Unreadable)
		k.cfg.Log.Error("records in the store cannot be read; they stay, and tasks of their streams fail", "records", l.Unreadable, "first", l.First)
	}
	return nil
}

// tellForgotten tells of what is stored and is not kept.
func (k *Keeper[S]) tellForgotten() {
	st := k.cfg.Streams.Stats()
	if st.Expired > 0 {
		k.cfg.Log.Warn("the stored states of streams that were unused for too long are forgotten, and deleted from the store (StreamAge, --stream-age)", "streams", st.Expired)
	}
	if st.Evicted > 0 {
		k.cfg.Log.Warn("there are more stored streams than are kept; those unused for longest are forgotten, and deleted from the store (MaxStreams, --max-streams)", "streams", st.Evicted)
	}
}

// listing is what is stored. Of more than the streams that are kept it has the newest. Of what cannot be read
// it has as many besides, of which nobody knows the newest: they take no place of what can be read.
type listing[S any] struct {
	state.Tally

	k              *Keeper[S]
	opened         time.Time
	newest, unread []stream.Stored
}

func (l *listing[S]) visit(r state.Record) error {
	of := stream.Stored{Key: streamKey(r.Key), Format: r.Format, Size: r.Size, Changed: r.Changed}
	l.Note(r.Err)
	if r.Err != nil {
		if r.Key == (state.Key{}) {
			return nil
		}
		of.Format, of.Changed = stream.Unknown, l.opened // when it was changed is not known
		if len(l.unread) < l.k.cfg.Max {
			l.unread = append(l.unread, of)
		} else {
			l.k.cfg.Streams.Evict(of)
		}
		return nil
	}
	if l.newest = append(l.newest, of); len(l.newest) >= 2*l.k.cfg.Max+1024 {
		l.sort()
		old := len(l.newest) - l.k.cfg.Max
		for _, of := range l.newest[:old] {
			l.k.cfg.Streams.Evict(of)
		}
		l.newest = slices.Delete(l.newest, 0, old)
	}
	return nil
}

func (l *listing[S]) sort() {
	slices.SortStableFunc(l.newest, func(a, b stream.Stored) int { return a.Changed.Compare(b.Changed) })
}

// sweep finds the records that are to be deleted and were too many to be remembered. It reports
// whether there were some, for the caller to save again.
func (k *Keeper[S]) sweep(caller context.Context) (again bool, err error) {
	if k.cfg.Streams.Strayed() == 0 && !k.unswept {
		return false, nil
	}
	k.unswept = true
	ctx, cancel := context.WithTimeoutCause(caller, SweepTimeout, errSweep)
	defer cancel()
	err = k.cfg.Store.List(ctx, state.Filter{Kind: state.KindStream}, func(r state.Record) error {
		if r.Err == nil { // what cannot be read stays
			k.cfg.Streams.Sweep(streamKey(r.Key))
		}
		return nil
	})
	if err != nil {
		return false, k.failed(caller, fmt.Errorf("records to be deleted cannot be listed: %w", caused(ctx, err)))
	}
	k.unswept = false
	return true, nil
}
