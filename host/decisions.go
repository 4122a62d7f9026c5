package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/resonhost/resonhost/host/internal/store"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/state"
)

const (
	// decisionFormat is the number of the form of stored decisions, which is the JSON of store.Record.
	decisionFormat = 1
	// decisionTimeout is how long what decides waits for the store. Then the decision is saved later.
	decisionTimeout = 2 * time.Second
)

// errDeferred is a decision that is not saved yet. That is told, once an outage.
var errDeferred = errors.New("decisions about plugins wait for the store of states")

// errUnread is of a stored record that cannot be read, and so is not saved over.
var errUnread = errors.New("the stored record cannot be read, and stays until an operator changes the plugin, such as by a reload, or deletes the record")

// decisions keeps in Config.State what was decided about plugins: which version serves, which one was
// rolled back or is on trial, and who is paused. The methods of a nil one do nothing.
type decisions struct {
	state state.Store
	log   *slog.Logger

	damaged int // records that could not be read when the host started

	saving chan struct{} // has a token while a save goes on, which keeps them in order

	mu      sync.Mutex              // guards the rest
	known   map[string]store.Record // as stored, or as they are to be, by the plugin's source
	unsaved map[string]bool         // sources whose record is to be saved, or deleted if none is known
	unread  map[string]bool         // sources whose stored record cannot be read; true while it stays
	outage  outage.Outage
}

// openDecisions reads what was decided; nil without Config.State.
func openDecisions(ctx context.Context, cfg *Config) (*decisions, error) {
	if cfg.State == nil {
		return nil, nil
	}
	d := &decisions{state: cfg.State, log: cfg.Logger, saving: make(chan struct{}, 1), known: make(map[string]store.Record), unsaved: make(map[string]bool), unread: make(map[string]bool)}
	var tally state.Tally
	err := cfg.State.List(ctx, state.Filter{Kind: state.KindPlugin, Data: true}, func(r state.Record) error {
		of, err := parseDecision(&r)
		tally.Note(err)
		if err != nil {
			d.log.Error("what was decided about a plugin cannot be read; the record stays until an operator changes the plugin, such as by a reload", "plugin", r.Key.Name, "error", err)
			if r.Key.Tenant == "" { // else it is not where the plugin's own is saved
				d.unread[r.Key.Name] = true
			}
			return nil
		}
		d.known[r.Key.Name] = of
		return nil
	})
	if err == nil {
		err = tally.KeyFault("records of plugins")
	}
	if err != nil {
		return nil, fmt.Errorf("what was decided about plugins is not known: %w", err)
	}
	d.damaged = tally.Unreadable
	return d, nil
}

func parseDecision(r *state.Record) (store.Record, error) {
	fault := func(err error, form string, args ...any) (store.Record, error) {
		return store.Record{}, &state.RecordError{Key: r.Key, Reason: fmt.Sprintf(form, args...), Err: err}
	}
	switch {
	case r.Err != nil:
		return store.Record{}, r.Err
	case r.Format > decisionFormat:
		return fault(state.ErrNewer, "it has format %d, and this program reads %d", r.Format, decisionFormat)
	}
	of, err := store.ParseRecord(r.Data)
	switch {
	case err != nil:
		return fault(state.ErrCorrupt, "it is no decision: %v", err)
	case of.Plugin != r.Key.Name || r.Key.Tenant != "":
		return fault(state.ErrCorrupt, "it is about the plugin of another key")
	}
	return of, nil
}

// of returns what was decided about a source.
func (d *decisions) of(source string) (r store.Record, ok bool) {
	if d == nil {
		return r, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok = d.known[source]
	return r, ok
}

// replace has the next save of a source replace also a record that cannot be read, as an operator has
// decided. It reports whether there is such a record, which had stayed until now.
func (d *decisions) replace(source string) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	stayed := d.unread[source]
	if stayed {
		d.unread[source] = false
	}
	return stayed
}

// note notes what was decided about a source, nil for nothing any more, for [decisions.settle] to save. A record
// that cannot be read stays.
func (d *decisions) note(source string, r *store.Record) error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.known[source]
	stays, unread := d.unread[source]
	switch {
	case stays:
		return errUnread
	case r == nil && (ok || unread):
		delete(d.known, source)
	case r != nil && (!ok || known != *r):
		d.known[source] = *r
	default: // it is stored, or waits
		return nil
	}
	delete(d.unread, source)
	d.unsaved[source] = true
	return nil
}

// settle saves what was noted. If that fails, or has failed, it is tried again by each save of the host,
// until it succeeds.
func (d *decisions) settle(ctx context.Context) error {
	n, since := d.waiting()
	switch {
	case n == 0:
		return nil
	case !since.IsZero():
		return fmt.Errorf("%w, which has failed since %s", errDeferred, since.UTC().Format(time.RFC3339))
	}
	return d.flush(ctx)
}

// flush saves what is not saved.
func (d *decisions) flush(ctx context.Context) error {
	select {
	case d.saving <- struct{}{}:
		defer func() { <-d.saving }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errDeferred, context.Cause(ctx))
	}
	changes, sources := d.changes()
	if len(changes) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, decisionTimeout)
	defer cancel()
	switch err := d.state.Save(bounded, changes); {
	case err != nil && ctx.Err() != nil: // which says nothing of the store
		return fmt.Errorf("%w: %w", errDeferred, context.Cause(ctx))
	case err != nil:
		return d.failed(err)
	}
	d.saved(sources)
	return nil
}

// decided is what was decided about a plugin; not there if nothing is any more.
type decided struct {
	record store.Record
	there  bool
}

// changes returns what is to be saved, and of which sources it is.
func (d *decisions) changes() (changes []state.Change, sources map[string]decided) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sources = make(map[string]decided)
	for source := range d.unsaved {
		c := state.Change{Record: state.Record{Key: state.Key{Kind: state.KindPlugin, Name: source}, Format: decisionFormat, Changed: time.Now()}}
		r, ok := d.known[source]
		if c.Delete = !ok; ok {
			c.Data, _ = json.Marshal(r) // texts and times, which cannot fail
		}
		changes, sources[source] = append(changes, c), decided{r, ok}
	}
	return changes, sources
}

func (d *decisions) saved(sources map[string]decided) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for source, was := range sources {
		if r, ok := d.known[source]; (decided{r, ok}) == was { // else a newer decision waits
			delete(d.unsaved, source)
		}
	}
	if lasted, ended := d.outage.End(); ended {
		d.log.Info("what was decided about plugins is saved again", "outage", lasted)
	}
}

func (d *decisions) failed(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outage.Begin() {
		d.log.Error("what was decided about plugins is not saved; each save tries it again", "error", err, "fault", string(state.FaultOf(err)))
	}
	return fmt.Errorf("%w: %w", errDeferred, err)
}

// mark says of each plugin whether what was decided about it waits to be saved.
func (d *decisions) mark(list []Plugin) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range list {
		list[i].Unsaved = d.unsaved[list[i].Source]
	}
}

// waiting returns how many decisions are not saved, and for how long that has failed.
func (d *decisions) waiting() (n int, since time.Time) {
	if d == nil {
		return 0, since
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.unsaved), d.outage.Since()
}
