package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/stream"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const interval = 10 * time.Second

func TestSavesEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		f.Start()
		pass(interval / 2)
		f.put("a", "1")
		f.want("stored at once", f.stored("a"), "")
		f.put("a", "2")
		pass(interval / 2)
		f.want("stored after the interval", f.stored("a"), "2")
		f.put("a", "")
		pass(interval)
		f.want("stored after the state has gone", f.stored("a"), "")
		f.put("b", "1")
		if err := f.Save(t.Context()); err != nil {
			t.Error(err)
		}
		f.want("stored once it was asked for", f.stored("b"), "1")
		f.put("b", "2")
		f.Wake()
		synctest.Wait()
		f.want("stored once it was woken", f.stored("b"), "2")
		f.put("b", "3")
		f.close()
		f.want("stored at the end", f.stored("b"), "3")
		if st := f.Stats(); st.Saved != 4 || st.Deleted != 1 || st.SavedBytes != 4 || len(f.saved) != 5 {
			t.Errorf("stats %+v and %d saves told, want 4 saved, 1 deleted and 5 told", st, len(f.saved))
		}
	})
}

// TestTheOldestChangeIsNoOlderThanTheIntervalAndASave has a slow store.
func TestTheOldestChangeIsNoOlderThanTheIntervalAndASave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 3 * time.Second
		f := newFixture(t, memory(), 99)
		f.store.save = func(context.Context) error { time.Sleep(took); return nil }
		f.Start()
		for range 100 {
			f.put("a", time.Now().String())
			pass(500 * time.Millisecond)
			if st := f.streams.Stats(); !st.Oldest.IsZero() && time.Since(st.Oldest) > interval+took {
				t.Fatalf("a change is unsaved for %v", time.Since(st.Oldest))
			}
		}
		f.close()
	})
}

// TestASaveHasTimeUnlessSomebodyWaits has a store that yields until it is to hurry.
func TestASaveHasTimeUnlessSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		f.store.save = func(ctx context.Context) error {
			for began := time.Now(); ; began = time.Now() {
				if state.Yield(ctx); time.Since(began) == 0 {
					return nil
				}
			}
		}
		f.Start()
		f.put("a", "1")
		pass(3 * interval / 2)
		f.put("a", "2")
		if err := f.Save(t.Context()); err != nil {
			t.Error(err)
		}
		if len(f.saved) != 2 || f.saved[0].Took < interval/2 || f.saved[0].Took > interval/2+time.Millisecond || f.saved[1].Took != 0 {
			t.Errorf("saves %+v, want one of half the interval, and one at once", f.saved)
		}
		f.put("a", "3")
		f.Wake()
		pass(interval / 8)
		f.put("a", "4")
		began := time.Now()
		f.close()
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("the last save took %v behind one that had time", took)
		}
		f.want("stored", f.stored("a"), "4")
	})
}

func TestAnOutageIsToldOnceAndAllIsSavedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 9999)
		f.Start()
		f.store.fail(func(context.Context) error { return state.ErrFull })
		began := time.Now()
		for i := range 3000 {
			f.put("early "+strconv.Itoa(i), "1")
		}
		for i := range 60 {
			pass(time.Second)
			f.put("late", strconv.Itoa(i))
		}
		var gaps []string
		for i, at := range f.store.tries {
			gaps = append(gaps, at.Sub(began).Round(time.Second).String()) // sorting takes naps
			if !strings.HasPrefix(f.store.first[i].Name, "early") {
				t.Errorf("try %d begins with %s, want what came first", i, f.store.first[i].Name)
			}
		}
		f.want("tries", fmt.Sprint(gaps), "[10s 11s 13s 17s 25s 35s 45s 55s]")
		if st := f.streams.Stats(); st.Unsaved != 3001 || time.Since(st.Oldest) < time.Minute {
			t.Errorf("stats %+v, want 3001 unsaved for a minute", st)
		}
		f.store.fail(nil)
		pass(interval)
		f.want("the last that was stored", f.stored("early 2999")+f.stored("late"), "159")
		if st := f.streams.Stats(); st.Unsaved != 0 || !st.Oldest.IsZero() {
			t.Errorf("stats %+v, want none unsaved", st)
		}
		if st := f.Stats(); st.SaveFailures[state.FaultFull] != 8 || !st.Saving.IsZero() {
			t.Errorf("stats %+v, want 8 failures for want of room, and no outage", st)
		}
		f.want("outages", strings.Join(f.outages, "; "), "loading false, ended false, unsaved 3001; loading false, ended true, unsaved 0")
		if n := strings.Count(f.log.String(), "\n"); n != 2 {
			t.Errorf("%d lines are logged, want one at the beginning and one at the end:\n%s", n, f.log.String())
		}
		f.close()
	})
}

// waits blocks until its context ends, as a store does that was stopped.
func waits(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestALostStoreIsToldThoughNothingIsUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		f.open()
		f.Start()
		f.put("a", "1")
		pass(interval)
		f.store.fail(func(context.Context) error { return fmt.Errorf("emptied: %w", state.ErrLost) })
		if err := f.Save(t.Context()); state.FaultOf(err) != state.FaultLost {
			t.Errorf("a save that is asked for: error %v", err)
		}
		pass(interval)
		st := f.Stats()
		if n := st.SaveFailures[state.FaultLost]; n < 2 || st.Saved != 1 {
			t.Errorf("%d failures, one asked for and those of intervals; stats %+v", n, st)
		}
		f.want("outages", strings.Join(f.outages, "; "), "loading false, ended false, unsaved 0")
		if err := f.Close(); state.FaultOf(err) != state.FaultLost {
			t.Errorf("the last save: error %v", err)
		}
	})
}

func TestASaveThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, memory(), 99)
		f.store.fail(waits)
		f.Start()
		f.put("a", "1")
		pass(interval + keeper.SaveTimeout)
		if st := f.Stats(); st.SaveFailures[state.FaultTimeout] != 1 {
			t.Errorf("stats %+v, want a timeout", st)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := f.Save(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a save whose caller has gone: %v, want that it was cancelled", err)
		}
		f.Hurry()
		began := time.Now()
		if err := f.Close(); err == nil || time.Since(began) != keeper.Grace {
			t.Errorf("closing took %v with error %v, want %v and an error", time.Since(began), err, keeper.Grace)
		}
	})
}

func TestLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, recorded(t, "a", "b"), 99)
		f.open()
		for _, name := range []string{"a", "b", "a"} {
			got, err := f.get(name)
			if err != nil {
				t.Error(err)
			}
			f.want(name, got, "state of "+name)
		}
		if got, err := f.get("new"); got != "" || err != nil {
			t.Errorf("a stream that is not stored has %q, %v", got, err)
		}
		if st := f.Stats(); st.Loads != 2 {
			t.Errorf("stats %+v, want 2 loads", st)
		}
		f.close()
		if len(f.store.tries) != 0 {
			t.Error("what was only loaded is saved")
		}
	})
}

func TestALoadThatFailsIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		load  func(context.Context, state.Key) (state.Record, error)
		want  error
		fault state.Fault
		took  time.Duration
	}{
		"away":   {func(context.Context, state.Key) (state.Record, error) { return state.Record{}, state.ErrUnavailable }, keeper.ErrUnavailable, state.FaultUnavailable, 0},
		"hangs":  {func(ctx context.Context, _ state.Key) (state.Record, error) { return state.Record{}, waits(ctx) }, keeper.ErrUnavailable, state.FaultTimeout, keeper.LoadTimeout},
		"broken": {func(context.Context, state.Key) (state.Record, error) { return state.Record{}, errors.New("disk") }, keeper.ErrUnavailable, state.FaultIO, 0},
		"corrupt": {func(_ context.Context, k state.Key) (state.Record, error) {
			return state.Record{}, &state.RecordError{Key: k, Err: state.ErrCorrupt}
		}, keeper.ErrUnreadable, state.FaultCorrupt, 0},
		"newer": {func(_ context.Context, k state.Key) (state.Record, error) {
			return state.Record{}, &state.RecordError{Key: k, Err: state.ErrNewer}
		}, keeper.ErrUnreadable, state.FaultNewer, 0},
		"another": {func(context.Context, state.Key) (state.Record, error) {
			return state.Record{Key: key("b"), Data: []byte("b")}, nil
		}, keeper.ErrUnreadable, state.FaultCorrupt, 0},
		"garbage": {func(_ context.Context, k state.Key) (state.Record, error) {
			return state.Record{Key: k, Format: -5}, nil
		}, keeper.ErrUnreadable, state.FaultInvalid, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, recorded(t, "a"), 99)
				f.open()
				f.store.load = c.load
				for range 2 {
					began := time.Now()
					if got, err := f.get("a"); got != "" || !errors.Is(err, c.want) || time.Since(began) != c.took {
						t.Errorf("state %q, error %v after %v; want %v after %v", got, err, time.Since(began), c.want, c.took)
					}
				}
				if st := f.Stats(); st.LoadFailures[c.fault] != 2 {
					t.Errorf("stats %+v, want 2 of %s", st, c.fault)
				}
				if n := strings.Count(f.log.String(), "\n"); n != 1 {
					t.Errorf("%d lines are logged, want 1:\n%s", n, f.log.String())
				}
				f.store.load = nil
				got, err := f.get("a")
				if err != nil {
					t.Error(err)
				}
				f.want("a", got, "state of a")
				f.close()
				f.want("stored", f.stored("a"), "state of a")
			})
		})
	}
}

// TestManyLoadsThatHangEndInTime has more than are loaded at once.
func TestManyLoadsThatHangEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 100 {
			names = append(names, strconv.Itoa(i))
		}
		f := newFixture(t, recorded(t, names...), 999)
		f.open()
		f.store.load = func(ctx context.Context, _ state.Key) (state.Record, error) { return state.Record{}, waits(ctx) }
		began := time.Now()
		var wg sync.WaitGroup
		for _, name := range names {
			wg.Go(func() {
				if _, err := f.get(name); !errors.Is(err, keeper.ErrUnavailable) || time.Since(began) > keeper.LoadTimeout {
					t.Errorf("error %v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		f.close()
	})
}

func TestAStateThatIsNotThereAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, recorded(t, "a"), 99)
		f.open()
		if err := f.store.Memory.Save(t.Context(), []state.Change{{Record: state.Record{Key: key("a")}, Delete: true}}); err != nil {
			t.Fatal(err)
		}
		if got, err := f.get("a"); got != "" || err != nil {
			t.Errorf("state %q, error %v", got, err)
		}
		if st := f.Stats(); st.Lost != 1 || !strings.Contains(f.log.String(), "begins anew") {
			t.Errorf("stats %+v, log %s; want 1 lost and told", st, f.log.String())
		}
		f.close()
	})
}

func TestOpenKeepsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stored, most = 5000, 10
		var names []string
		for i := range stored {
			names = append(names, strconv.Itoa(i))
		}
		f := newFixture(t, recorded(t, names...), most)
		f.open()
		if st := f.streams.Stats(); st.Evicted+st.Expired != stored-most || st.Streams != most {
			t.Errorf("stats %+v, want %d gone and %d left", st, stored-most, most)
		}
		got, err := f.get(strconv.Itoa(stored - 1))
		if err != nil {
			t.Error(err)
		}
		f.want("the newest", got, "state of 4999")
		f.close()
		st, err := f.store.Stats(t.Context())
		if err != nil || st.Records != most {
			t.Errorf("%d records are left, error %v; want %d", st.Records, err, most)
		}
	})
}

// TestOpenTellsWhatItForgets has records that are too old, and more than there may be.
func TestOpenTellsWhatItForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := recorded(t, "a", "b", "c")
		time.Sleep(2 * time.Hour)
		for name, told := range map[string]string{"a": "unused for too long", "b": "more stored streams than are kept"} {
			f := newFixture(t, store, 1)
			if name == "b" {
				f = newFixture(t, recorded(t, "a", "b", "c"), 1)
			}
			f.open()
			if log := f.log.String(); strings.Count(log, told) != 1 || !strings.Contains(log, "--") {
				t.Errorf("log %s; want %q once, with its flag", log, told)
			}
			f.close()
		}
	})
}

// stuck is a log whose reader takes nothing.
type stuck struct{ writing, taken chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	s.writing <- struct{}{}
	<-s.taken
	return len(p), nil
}

// TestNoTaskWaitsForTheLog has a store that fails, and nobody who reads that.
func TestNoTaskWaitsForTheLog(t *testing.T) {
	f := newFixture(t, recorded(t, "a", "b"), 99)
	log := stuck{make(chan struct{}), make(chan struct{})}
	f.Keeper = keeper.New(keeper.Config[turn]{
		Store: f.store, Streams: f.streams, Max: 99, Interval: interval,
		Vacate: func(t *turn) { t.loaded <- nil }, Fail: func(t *turn, err error) { t.loaded <- err },
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	f.open()
	f.store.load = func(context.Context, state.Key) (state.Record, error) { return state.Record{}, state.ErrUnavailable }
	var tasks sync.WaitGroup
	tasks.Go(func() { _, _ = f.get("a") })
	<-log.writing
	e, _ := f.streams.Acquire(streamKey("b"))
	f.Load(e) // which returns
	f.Stats()
	close(log.taken)
	tasks.Wait()
	_ = e.Serial.wait()
	f.streams.Release(e)
	f.close()
}

// TestASweepThatHangsIsGivenUp has more records than the keeper remembers to delete.
func TestASweepThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 3000 {
			names = append(names, strconv.Itoa(i))
		}
		f := newFixture(t, recorded(t, names...), 1)
		f.open()
		f.store.lists = waits
		f.Start()
		pass(interval + keeper.SweepTimeout + time.Second)
		if log := f.log.String(); f.Stats().SaveFailures[state.FaultTimeout] == 0 || !strings.Contains(log, "did not list its records within") {
			t.Errorf("failures %v, log %s", f.Stats().SaveFailures, log)
		}
		f.put("new", "1")
		pass(2 * (interval + keeper.SweepTimeout))
		f.want("stored while the sweep hangs", f.stored("new"), "1")
		f.store.lists = nil
		f.close()
	})
}

func TestOpenGoesOnWithRecordsThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &faulty{Memory: state.NewMemory()}, 99)
		f.listsStrangers()
		f.open()
		if st := f.Stats(); st.Unreadable[state.KindStream] != 2 || !strings.Contains(f.log.String(), "records=2") {
			t.Errorf("stats %+v, log %s; want 2 that cannot be read", st, f.log.String())
		}
		if formats := f.streams.Formats("t")["t"]; len(formats) != 0 {
			t.Errorf("formats %v, want none", formats)
		}
		f.store.load = func(_ context.Context, k state.Key) (state.Record, error) {
			return state.Record{}, &state.RecordError{Key: k, Err: state.ErrNewer}
		}
		if _, err := f.get("a"); !errors.Is(err, keeper.ErrUnreadable) {
			t.Errorf("error %v", err)
		}
		f.close()
		if len(f.store.tries) != 0 {
			t.Error("what cannot be read is written over")
		}
	})
}

// TestWhatCannotBeReadStays has records expire that are of another key, or a newer version: another
// start may read them.
func TestWhatCannotBeReadStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, recorded(t, "a"), 99)
		f.listsStrangers()
		f.open()
		f.put("good", "1")
		pass(time.Hour + time.Minute)
		if st := f.streams.Stats(); st.Streams != 0 || st.Expired != 2 {
			t.Errorf("stats %+v, want 2 streams expired and none left", st)
		}
		for i := range 3000 { // more than are remembered, so that a listing finds what is to be deleted
			f.streams.Evict(stream.Stored{Key: streamKey(strconv.Itoa(i))})
		}
		f.close()
		f.want("what cannot be read", f.stored("a"), "state of a")
		f.want("a stream that has expired", f.stored("good"), "")
	})
}

// half is a store in which so many records cannot be read, besides those that can.
type half struct {
	*faulty

	unreadable int
}

func (h *half) List(ctx context.Context, filter state.Filter, visit func(state.Record) error) error {
	for i := range h.unreadable {
		of := key(fmt.Sprint("unreadable ", i))
		if err := visit(state.Record{Key: of, Err: &state.RecordError{Key: of, Reason: "sealed", Err: state.ErrKey}}); err != nil {
			return err
		}
	}
	return h.faulty.List(ctx, filter, visit)
}

// TestWhatCannotBeReadTakesNoPlace has as many records that can be read as are kept, and others that cannot. All
// that can are kept, whatever is used.
func TestWhatCannotBeReadTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4
		f := newFixture(t, recorded(t, "a", "b", "c", "d"), most)
		f.store.load = func(ctx context.Context, k state.Key) (state.Record, error) {
			if strings.HasPrefix(k.Name, "unreadable") {
				return state.Record{}, &state.RecordError{Key: k, Err: state.ErrKey}
			}
			return f.store.Memory.Load(ctx, k)
		}
		f.Keeper = keeper.New(keeper.Config[turn]{
			Store: &half{f.store, 3 * most}, Streams: f.streams, Max: most, Interval: interval,
			Vacate: func(t *turn) { t.loaded <- nil }, Fail: func(t *turn, err error) { t.loaded <- err },
			Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		})
		f.open()
		if st := f.streams.Stats(); st.Streams != 2*most || st.Evicted != 2*most {
			t.Errorf("stats %+v, want %d streams and %d gone", st, 2*most, 2*most)
		}
		for i := range most {
			if _, err := f.get(fmt.Sprint("unreadable ", i)); !errors.Is(err, keeper.ErrUnreadable) {
				t.Errorf("error %v", err)
			}
			if _, err := f.get("d"); err != nil {
				t.Error(err)
			}
		}
		if err := f.Save(t.Context()); err != nil {
			t.Error(err)
		}
		if st, err := f.store.Memory.Stats(t.Context()); err != nil || st.Records != most {
			t.Errorf("%d records are left, error %v; want %d", st.Records, err, most)
		}
		pass(time.Hour + time.Minute)
		if st := f.streams.Stats(); st.Streams != 0 || st.Bytes != 0 || st.Expired != 2*most {
			t.Errorf("stats %+v, want all expired", st)
		}
		f.close()
	})
}

// strangers is a store that lists a record that cannot be read, and one without a key.
type strangers struct{ *faulty }

func (s *strangers) List(_ context.Context, _ state.Filter, visit func(state.Record) error) error {
	err := &state.RecordError{Key: key("a"), Err: state.ErrNewer}
	return errors.Join(visit(state.Record{Key: key("a"), Err: err}), visit(state.Record{Err: err}))
}

func TestOpenFailsIfAllHasAnotherKey(t *testing.T) {
	keys := func() state.Codec {
		c, err := state.ParseKeys([]byte(state.NewKey()))
		if err != nil {
			t.Fatal(err)
		}
		return state.Codec{Cipher: c}
	}
	dir, mine := t.TempDir(), keys()
	open := func(codec state.Codec) error {
		t.Helper()
		store, err := bolt.Open(t.Context(), dir, bolt.Options{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, memory(), 99)
		k := keeper.New(keeper.Config[turn]{
			Store: store, Streams: f.streams, Max: 99, Interval: interval, Log: slog.New(slog.DiscardHandler),
			Vacate: func(*turn) {}, Fail: func(*turn, error) {},
		})
		err = k.Open(t.Context())
		return errors.Join(k.Close(), store.Close(), err)
	}
	save := func(codec state.Codec, names ...string) {
		t.Helper()
		store, err := bolt.Open(t.Context(), dir, bolt.Options{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		var changes []state.Change
		for _, name := range names {
			changes = append(changes, state.Change{Record: state.Record{Key: key(name), Changed: time.Now().Truncate(time.Millisecond), Data: []byte("x")}})
		}
		if err := errors.Join(store.Save(t.Context(), changes), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(mine); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	save(mine, "a", "b")
	if err := open(mine); err != nil {
		t.Errorf("with its key: %v", err)
	}
	for name, other := range map[string]state.Codec{"another key": keys(), "no key": {}} {
		if err := open(other); !errors.Is(err, state.ErrKey) || !strings.Contains(err.Error(), "none of the 2 stored states") || !strings.Contains(err.Error(), "--state-key") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	other := keys()
	save(other, "c")
	if err := open(other); err != nil {
		t.Errorf("a key of some: %v", err)
	}
}

func TestOpenFailsWithTheStore(t *testing.T) {
	f := newFixture(t, memory(), 99)
	f.store.list = state.ErrUnavailable
	if err := f.Open(t.Context()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error %v, want %v", err, state.ErrUnavailable)
	}
	f.close()
}

// TestHammer has users of streams while all goes on, and compares at the end.
func TestHammer(t *testing.T) {
	const users, loops, keys = 4, 400, 50
	f := newFixture(t, recorded(t, "0", "1", "2"), 20)
	f.open()
	fails := 0
	f.store.save = func(context.Context) error { // which fails every third time
		if fails++; fails%3 == 0 {
			return state.ErrUnavailable
		}
		return nil
	}
	f.Start()
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for i := range loops {
				name := strconv.Itoa((i*7 + u) % keys)
				if err := f.add(name); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					_ = f.Save(t.Context()) // which may fail
				}
			}
		})
	}
	wg.Wait()
	f.store.fail(nil)
	f.close()
	st, err := f.store.Stats(t.Context())
	if err != nil || st.Records != f.streams.Stats().Streams {
		t.Errorf("%d records, %d streams, error %v", st.Records, f.streams.Stats().Streams, err)
	}
	for i := range keys {
		e, _ := f.streams.Acquire(streamKey(strconv.Itoa(i)))
		f.want("stored of "+strconv.Itoa(i), f.stored(strconv.Itoa(i)), string(e.State()))
		f.streams.Release(e)
	}
}
