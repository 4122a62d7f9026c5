package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/state"
)

// turn is a Serial whose users learn what became of the loading.
type turn struct {
	sync.Mutex // of those who use the state once it is loaded

	loaded chan error
}

// wait returns what became of the loading.
func (t *turn) wait() error {
	err := <-t.loaded
	t.loaded <- err // for others
	return err
}

// faulty is a store that fails as a test has it.
type faulty struct {
	*state.Memory

	mu    sync.Mutex
	save  func(context.Context) error
	load  func(context.Context, state.Key) (state.Record, error)
	list  error
	lists func(context.Context) error
	tries []time.Time // of saving
	first []state.Key // that each of these had first
}

func (f *faulty) Save(ctx context.Context, changes []state.Change) error {
	f.mu.Lock()
	if len(changes) > 0 {
		f.tries, f.first = append(f.tries, time.Now()), append(f.first, changes[0].Key)
	}
	fails := f.save
	f.mu.Unlock()
	if fails != nil {
		if err := fails(ctx); err != nil {
			return err
		}
	}
	return f.Memory.Save(ctx, changes)
}

func (f *faulty) Load(ctx context.Context, key state.Key) (state.Record, error) {
	f.mu.Lock()
	fails := f.load
	f.mu.Unlock()
	if fails != nil {
		return fails(ctx, key)
	}
	return f.Memory.Load(ctx, key)
}

func (f *faulty) List(ctx context.Context, filter state.Filter, visit func(state.Record) error) error {
	if f.list != nil {
		return f.list
	}
	if f.lists != nil {
		return f.lists(ctx)
	}
	return f.Memory.List(ctx, filter, visit)
}

func (f *faulty) fail(save func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.save = save
}

// fixture is a keeper with what it keeps, and what it told.
type fixture struct {
	*keeper.Keeper[turn]

	t       *testing.T
	store   *faulty
	streams *stream.Store[turn]
	log     bytes.Buffer
	saved   []keeper.Report
	outages []string
}

func newFixture(t *testing.T, store *faulty, most int) *fixture {
	t.Helper()
	f := &fixture{t: t, store: store}
	f.streams = stream.New(stream.Config[turn]{
		Max: most, MaxBytes: 1 << 30, MaxAge: time.Hour, Occupy: func(t *turn) { t.loaded = make(chan error, 1) },
	})
	f.Keeper = keeper.New(keeper.Config[turn]{
		Store: store, Streams: f.streams, Max: most, Interval: interval,
		Vacate: func(t *turn) { t.loaded <- nil },
		Fail:   func(t *turn, err error) { t.loaded <- err },
		Log:    slog.New(slog.NewTextHandler(&f.log, nil)),
		Saved:  func(r keeper.Report) { f.saved = append(f.saved, r) },
		Told: func(o keeper.Outage) {
			f.outages = append(f.outages, fmt.Sprintf("loading %v, ended %v, unsaved %d", o.Loading, o.Ended, o.Unsaved))
		},
	})
	return f
}

func memory() *faulty { return &faulty{Memory: state.NewMemory()} }

func key(name string) state.Key {
	return state.Key{Kind: state.KindStream, Tenant: "acme", Transform: "t", Name: name}
}

func streamKey(name string) stream.Key {
	return stream.Key{Tenant: "acme", Transform: "t", Name: name}
}

// put leaves a state in a stream that is loaded.
func (f *fixture) put(name, left string) {
	f.t.Helper()
	e, absent := f.streams.Acquire(streamKey(name))
	if absent {
		f.t.Errorf("stream %s is not loaded", name)
	}
	e.Set([]byte(left), 3)
	f.streams.Done(e)
}

// get uses a stream, which is loaded if need be.
func (f *fixture) get(name string) (string, error) {
	e, absent := f.streams.Acquire(streamKey(name))
	defer f.streams.Release(e)
	if absent {
		f.Load(e)
		if err := e.Serial.wait(); err != nil {
			return "", err
		}
	}
	return string(e.State()), nil
}

// stored returns what is stored of a stream, "" for nothing.
func (f *fixture) stored(name string) string {
	f.t.Helper()
	r, err := f.store.Memory.Load(context.Background(), key(name))
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		f.t.Error(err)
	}
	return string(r.Data)
}

func (f *fixture) want(what, got, want string) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (f *fixture) close() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Error(err)
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// recorded returns a store that has records of those names.
func recorded(t *testing.T, names ...string) *faulty {
	t.Helper()
	f := memory()
	for i, name := range names {
		r := state.Record{Key: key(name), Format: 3, Data: []byte("state of " + name), Changed: time.Now().Add(time.Duration(i-len(names)) * time.Second)}
		if err := f.Memory.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	if err := f.Open(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// listsStrangers has the store list strangers.
func (f *fixture) listsStrangers() {
	f.Keeper = keeper.New(keeper.Config[turn]{
		Store: &strangers{faulty: f.store}, Streams: f.streams, Max: 99, Interval: interval,
		Vacate: func(t *turn) { t.loaded <- nil }, Fail: func(t *turn, err error) { t.loaded <- err },
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
}

// add adds a letter to the state of a stream.
func (f *fixture) add(name string) error {
	e, absent := f.streams.Acquire(streamKey(name))
	if absent {
		f.Load(e)
		if err := e.Serial.wait(); err != nil {
			f.streams.Release(e)
			return err
		}
	}
	e.Serial.Lock()
	defer e.Serial.Unlock()
	e.Set(append(bytes.Clone(e.State()), 'x'), 3)
	f.streams.Done(e)
	return nil
}
