package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	keeping "github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/state"
)

// diary answers with all earlier inputs of its stream.
func diary() host.Native {
	return guest.New(`{"name": "diary", "version": "1", "transforms": [
		{"name": "diary", "input": "text/plain", "output": "text/plain", "state_bytes": 1000}]}`,
		func(t *guest.Task) error {
			t.NextState = append(append([]byte(nil), t.State...), t.Input...)
			t.Output = append(t.Output, t.NextState...)
			return nil
		})
}

// diarist starts a host with a diary that keeps its states in the store.
func diarist(t *testing.T, store state.Store, change func(*host.Config)) *host.Host {
	t.Helper()
	cfg := host.Config{Mode: host.ModeInline, Native: []host.Native{diary()}, State: store}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(t, cfg)
}

// wantEntry has a task in a stream, and checks what it answers.
func wantEntry(t *testing.T, h *host.Host, tenant, key, input, want string) {
	t.Helper()
	out, err := h.Client(tenant, host.PriorityNormal).Stream(key).Run(t.Context(), "diary", []byte(input))
	if err != nil || string(out) != want {
		t.Errorf("stream %s of %q: %q, %v; want %q", key, tenant, out, err, want)
	}
}

func closeHost(t *testing.T, h *host.Host) {
	t.Helper()
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStatesOutliveTheHost(t *testing.T) {
	store := state.NewMemory()
	h := diarist(t, store, nil)
	wantEntry(t, h, "", "s", "a", "a")
	wantEntry(t, h, "acme", "s", "x", "x")
	closeHost(t, h)
	h = diarist(t, store, nil)
	if st := h.Stats(); st.Streams != 2 || st.State.Unsaved != 0 {
		t.Errorf("stats %+v, want 2 streams, all saved", *st.State)
	}
	wantEntry(t, h, "", "s", "b", "ab")
	wantEntry(t, h, "acme", "s", "y", "xy")
	wantEntry(t, h, "acme", "other", "z", "z")
	if st := h.Stats().State; st.Loads != 2 || st.Unsaved != 3 || st.UnsavedFor <= 0 {
		t.Errorf("stats %+v, want 2 loads and 3 unsaved", st)
	}
	if err := h.SaveState(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 { // the second has nothing to save
		if st := h.Stats().State; st.Unsaved != 0 || st.Saved != 3 || st.LastBytes != 5 {
			t.Errorf("stats %+v, want 3 saved of 5 bytes", st)
		}
		if err := h.SaveState(t.Context()); err != nil {
			t.Error(err)
		}
	}
	closeHost(t, h)
	if err := h.SaveState(t.Context()); !errors.Is(err, host.ErrClosed) {
		t.Errorf("saving in a host that is closed: %v", err)
	}
}

func TestSaveStateWithoutAStore(t *testing.T) {
	h, _ := inline(t, nil)
	if err := h.SaveState(t.Context()); !errors.Is(err, host.ErrNoState) {
		t.Errorf("error %v, want %v", err, host.ErrNoState)
	}
}

// failingStore is a store that fails, or blocks, as a test has it.
type failingStore struct {
	state.Store

	mu               sync.Mutex
	save, load, list func(context.Context) error
}

func (s *failingStore) set(change func(*failingStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *failingStore) try(ctx context.Context, of func(*failingStore) func(context.Context) error) error {
	s.mu.Lock()
	f := of(s)
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx)
}

func (s *failingStore) Save(ctx context.Context, changes []state.Change) error {
	if err := s.try(ctx, func(s *failingStore) func(context.Context) error { return s.save }); err != nil {
		return err
	}
	return s.Store.Save(ctx, changes)
}

func (s *failingStore) Load(ctx context.Context, key state.Key) (state.Record, error) {
	if err := s.try(ctx, func(s *failingStore) func(context.Context) error { return s.load }); err != nil {
		return state.Record{}, err
	}
	return s.Store.Load(ctx, key)
}

func (s *failingStore) List(ctx context.Context, f state.Filter, visit func(state.Record) error) error {
	if err := s.try(ctx, func(s *failingStore) func(context.Context) error { return s.list }); err != nil {
		return err
	}
	return s.Store.List(ctx, f, visit)
}

// blocks waits until its context ends.
func blocks(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func fails(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// storedDiary returns a store in which stream s of the diary has the state a.
func storedDiary(t *testing.T) *failingStore {
	t.Helper()
	store := &failingStore{Store: state.NewMemory()}
	h := diarist(t, store, nil)
	wantEntry(t, h, "", "s", "a", "a")
	closeHost(t, h)
	return store
}

func TestTasksFailWhileTheirStateCannotBeLoaded(t *testing.T) {
	for _, c := range []struct {
		load error
		kind host.Kind
		is   error
		text string
	}{
		{&state.RecordError{Reason: "10.0.0.7:6379 is away", Err: state.ErrUnavailable}, host.KindStateUnavailable, host.ErrStateUnavailable, "diary: state_unavailable: the stream's stored state cannot be loaded now (unavailable)"},
		{&state.RecordError{Reason: "of its sum", Err: state.ErrCorrupt}, host.KindStateUnreadable, host.ErrStateUnreadable, "diary: state_unreadable: the stream's stored state cannot be read (corrupt)"},
		{&state.RecordError{Reason: "of its version", Err: state.ErrNewer}, host.KindStateUnreadable, host.ErrStateUnreadable, "diary: state_unreadable: the stream's stored state cannot be read (newer)"},
	} {
		t.Run(string(state.FaultOf(c.load)), func(t *testing.T) {
			store := storedDiary(t)
			h := diarist(t, store, nil)
			store.set(func(s *failingStore) { s.load = fails(c.load) })
			s := h.Stream("s")
			_, err := s.Run(t.Context(), "diary", []byte("b"))
			if host.KindOf(err) != c.kind || !errors.Is(err, c.is) || !errors.Is(err, c.load) || err.Error() != c.text {
				t.Errorf("error %v (%s), want %s", err, host.KindOf(err), c.text)
			}
			_, err = s.Submit(t.Context(), "diary", []byte("b")).Wait()
			if host.KindOf(err) != c.kind {
				t.Errorf("error %v of a task that was submitted, want %s", err, c.kind)
			}
			wantEntry(t, h, "", "other", "x", "x")
			store.set(func(s *failingStore) { s.load = nil })
			wantEntry(t, h, "", "s", "b", "ab")
			if st := h.Stats(); st.State.LoadFailures[state.FaultOf(c.load)] != 2 || st.Plugins[0].Transforms[0].Errors[c.kind] != 2 {
				t.Errorf("stats %+v, want 2 failures", *st.State)
			}
		})
	}
}

// TestAStoreThatHangsHoldsUpNobodyElse has tasks of a stream that is stored wait, and others run.
func TestAStoreThatHangsHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storedDiary(t)
		h := diarist(t, store, nil)
		store.set(func(s *failingStore) { s.save, s.load = blocks, blocks })
		began := time.Now()
		waits := h.Stream("s").Submit(t.Context(), "diary", []byte("b"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hurried := h.Stream("s").Submit(ctx, "diary", []byte("c"))
		wantEntry(t, h, "", "other", "x", "x")
		saved := make(chan error)
		go func() { saved <- h.SaveState(t.Context()) }()
		synctest.Wait() // until it hangs
		wantEntry(t, h, "", "other", "y", "xy")
		wantEntry(t, h, "", "another", "z", "z")
		if st := h.Stats().State; st.Unsaved != 3 { // it does not wait either
			t.Errorf("%d changes are unsaved, want 3", st.Unsaved)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("tasks of others took %v", took)
		}
		if _, err := hurried.Wait(); host.KindOf(err) != host.KindTimeout || time.Since(began) != time.Second {
			t.Errorf("a task with a deadline of a second: %v after %v", err, time.Since(began))
		}
		if _, err := waits.Wait(); host.KindOf(err) != host.KindStateUnavailable || time.Since(began) != keeping.LoadTimeout {
			t.Errorf("a task without one: %v after %v", err, time.Since(began))
		}
		if err := <-saved; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != keeping.SaveTimeout {
			t.Errorf("the save: %v after %v", err, time.Since(began))
		}
		store.set(func(s *failingStore) { s.save, s.load = nil, nil })
	})
}

func TestCloseSavesWithinItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storedDiary(t)
		h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{diary()}, State: store})
		if err == nil {
			err = h.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		store.set(func(s *failingStore) { s.save, s.load = blocks, blocks })
		wantEntry(t, h, "", "other", "x", "x")
		waits := h.Stream("s").Submit(t.Context(), "diary", []byte("b")) // for its state
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err = h.Close(ctx)
		if took := time.Since(began); took != 3*time.Second+keeping.Grace {
			t.Errorf("closing took %v", took)
		}
		if err == nil || !strings.Contains(err.Error(), "states of streams are not saved") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that states are not saved", err)
		}
		if _, err := waits.Wait(); host.KindOf(err) != host.KindStateUnavailable {
			t.Errorf("a task that waited for its state: %v", err)
		}
	})
}

func TestStartNeedsTheStore(t *testing.T) {
	store := storedDiary(t)
	store.list = fails(state.ErrUnavailable)
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{diary()}, State: store})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Start(t.Context())
	if want := "the states of streams that are stored cannot be listed: store is unavailable"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestOutagesAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.New(0)
		sub := bus.Subscribe(0, event.KindStateSaved, event.KindStateOutage)
		store := storedDiary(t)
		h := diarist(t, store, func(c *host.Config) { c.Events = bus })
		next := func() event.Body {
			t.Helper()
			e, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return e.Body
		}
		store.set(func(s *failingStore) { s.save = fails(state.ErrFull) })
		wantEntry(t, h, "", "s", "b", "ab")
		got := next()
		if want := (event.StateOutage{Unsaved: 1, Detail: "states of streams are not saved: store is full"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if st := h.Stats().State; !st.SavingFails || st.LoadingFails || st.SaveFailures[state.FaultFull] != 1 {
			t.Errorf("stats %+v, want that saving fails", st)
		}
		store.set(func(s *failingStore) { s.save = nil })
		if got, want := next(), (event.StateOutage{Ended: true, Lasted: time.Second}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if got, want := next(), (event.StateSaved{Records: 1, Bytes: 2, Until: time.Now()}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		closeHost(t, h)
		if err := bus.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestVersionsReadWhatIsStored has versions load, and come, after the host that left states has gone.
func TestVersionsReadWhatIsStored(t *testing.T) {
	const bytes16 = `, "state_bytes": 16`
	v1, v2 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2")
	stored := func(t *testing.T) *state.Memory {
		t.Helper()
		store := state.NewMemory()
		h := swapHost(t, func(c *host.Config) {
			c.Plugins, c.State = []host.Source{stateful(t, "v1", bytes16+`, "state_version": 1`)}, store
		})
		answers(t, h.Stream("a"), "", v1)
		closeHost(t, h)
		return store
	}
	with := func(store state.Store, s host.Source, rule host.StateRule) func(*host.Config) {
		return func(c *host.Config) {
			c.Plugins, c.State, c.Defaults.StateRule = []host.Source{s}, store, rule
		}
	}
	newer := stateful(t, "v2", bytes16+`, "state_version": 2`)
	t.Run("a start is refused", func(t *testing.T) {
		cfg := host.Config{Workers: 2}
		with(stored(t), newer, host.StateRefuse)(&cfg)
		h, err := host.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		var load *host.LoadError
		if !errors.As(err, &load) || load.Step != host.StepState || !strings.Contains(err.Error(), "streams of transform swap have states of format 1, and version v2 reads [2]") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a deployment is refused", func(t *testing.T) {
		h := swapHost(t, with(stored(t), stateful(t, "v1", bytes16+`, "state_version": 1`), host.StateRefuse))
		if _, err := h.Deploy(t.Context(), newer); err == nil || !strings.Contains(err.Error(), "streams of transform swap have states of format 1") {
			t.Errorf("error %v", err)
		}
		answers(t, h.Stream("a"), "", v1+v1)
	})
	t.Run("it reads them", func(t *testing.T) {
		h := swapHost(t, with(stored(t), stateful(t, "v2", bytes16+`, "state_version": 2, "state_reads": [1]`), host.StateRefuse))
		answers(t, h.Stream("a"), "", v2+v1)
		answers(t, h.Stream("a"), "", v2+v2)
	})
	t.Run("it resets them", func(t *testing.T) {
		h := swapHost(t, with(stored(t), newer, host.StateReset))
		answers(t, h.Stream("a"), "", v2)
		if n := h.Stats().StreamsReset; n != 1 {
			t.Errorf("%d streams reset, want 1", n)
		}
	})
	t.Run("they are saved before it resets them", func(t *testing.T) {
		store := stored(t)
		h := swapHost(t, with(store, stateful(t, "v1", bytes16+`, "state_version": 1`), host.StateReset))
		answers(t, h.Stream("b"), "", v1)
		deploy(t, h, newer, host.DeploySwapped)
		r, err := store.Load(t.Context(), state.Key{Kind: state.KindStream, Transform: "swap", Name: "b"})
		if err != nil || r.Format != 1 || string(r.Data) != v1 {
			t.Errorf("stored is %+v, %v; want what the version before has left", r, err)
		}
		answers(t, h.Stream("b"), "", v2)
	})
}

// TestStreamAllocations has a task of a stream allocate no more with a store than without.
func TestStreamAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself")
		return
	}
	measure := func(store state.Store) float64 {
		h := swapHost(t, func(c *host.Config) { c.State = store })
		s := h.Stream("a")
		return testing.AllocsPerRun(1000, func() {
			if _, err := s.Run(context.Background(), "swap", nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	without, with := measure(nil), measure(state.NewMemory())
	if with > without || without > 2 { // the output and the state
		t.Errorf("%v allocations with a store, and %v without; want 2", with, without)
	}
}
