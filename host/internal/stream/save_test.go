package stream_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
)

// clock is a time that a test moves on.
type clock struct{ now time.Time }

func (c *clock) tick() { c.now = c.now.Add(time.Second) }

// turn is a Serial that says whether somebody has it from the beginning.
type turn struct{ occupied bool }

// kept returns a store whose changes are to be saved, and its clock.
func kept(cfg stream.Config[turn]) (*stream.Store[turn], *clock) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	cfg.Now = func() time.Time { return c.now }
	cfg.Occupy = func(t *turn) { t.occupied = true }
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.Max == 0 {
		cfg.Max = 99
	}
	return stream.New(cfg), c
}

// put leaves state in a stream.
func put(s *stream.Store[turn], name, state string) {
	e, _ := s.Acquire(key(name))
	e.Set([]byte(state), 7)
	s.Done(e)
}

func take(s *stream.Store[turn], c *clock) []stream.Taken[turn] { return s.Take(nil, 99, c.now) }

// describe is changes as text: name=state, or -name of a deletion.
func describe(changes []stream.Taken[turn]) string {
	var list []string
	for i := range changes {
		t := &changes[i]
		if t.Delete() {
			list = append(list, "-"+t.Key.Name)
		} else {
			list = append(list, t.Key.Name+"="+string(t.State))
		}
	}
	return strings.Join(list, " ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestWhatChangedFirstIsTakenFirst(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	for _, name := range []string{"a", "b", "c"} {
		put(s, name, "1")
		c.tick()
	}
	put(s, "a", "2") // which keeps its place
	first := s.Take(nil, 2, c.now)
	want(t, "taken", describe(first), "a=2 b=1")
	if st := s.Stats(); st.Unsaved != 3 || !st.Oldest.Equal(time.Unix(1_000_000, 0)) {
		t.Errorf("stats %+v, want 3 unsaved, the oldest from the beginning", st)
	}
	c.tick()
	put(s, "b", "2") // while it is being saved
	s.Return(first)  // which failed
	want(t, "taken again", describe(take(s, c)), "a=2 b=2 c=1")
}

func TestChangesOfLaterAreNotTaken(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	put(s, "a", "1")
	until := c.now
	c.tick()
	put(s, "b", "1")
	got := s.Take(nil, 99, until)
	want(t, "taken", describe(got), "a=1")
	s.Saved(got)
	if st := s.Stats(); st.Unsaved != 1 || !st.Oldest.Equal(c.now) {
		t.Errorf("stats %+v, want b alone unsaved", st)
	}
}

// TestAStreamInUseIsTaken has a stream that is never idle.
func TestAStreamInUseIsTaken(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	waits, _ := s.Acquire(key("a"))
	defer s.Release(waits)
	put(s, "a", "1")
	got := take(s, c)
	want(t, "taken", describe(got), "a=1")
	put(s, "a", "2")
	s.Saved(got)
	want(t, "taken then", describe(take(s, c)), "a=2")
}

func TestWhatStaysTheSameIsNotSavedAgain(t *testing.T) {
	s, c := kept(stream.Config[turn]{MaxAge: 40 * time.Second})
	put(s, "a", "1")
	s.Saved(take(s, c))
	c.tick()
	put(s, "a", "1")
	want(t, "taken", describe(take(s, c)), "")
	c.now = c.now.Add(10 * time.Second) // a quarter of the age, or it would seem unused after a restart
	put(s, "a", "1")
	want(t, "taken later", describe(take(s, c)), "a=1")
}

func TestWhatGoesIsDeletedIfItMayBeStored(t *testing.T) {
	s, c := kept(stream.Config[turn]{Max: 2})
	put(s, "never saved", "1")
	put(s, "b", "1")
	put(s, "c", "1") // for which the first goes
	got := take(s, c)
	want(t, "taken", describe(got), "b=1 c=1")
	put(s, "b", "") // while it is being saved
	s.Return(got)   // which may have succeeded
	got = take(s, c)
	want(t, "taken then", describe(got), "-b c=1")
	if st := s.Stats(); st.Streams != 1 {
		t.Errorf("stats %+v, want 1 stream", st)
	}
	s.Saved(got)
	put(s, "d", "1")
	put(s, "e", "1") // for which c goes
	put(s, "c", "2") // for which d goes, unsaved
	got = take(s, c)
	want(t, "taken at last", describe(got), "e=1 c=2")
	s.Saved(got)
	if st := s.Stats(); st.Unsaved != 0 || !st.Oldest.IsZero() || st.Streams != 2 {
		t.Errorf("stats %+v, want 2 streams, none unsaved", st)
	}
}

func TestAStreamThatBeginsAnewWhileItIsDeleted(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	put(s, "a", "1")
	s.Saved(take(s, c))
	put(s, "a", "")
	got := take(s, c)
	want(t, "taken", describe(got), "-a")
	put(s, "a", "2")
	s.Saved(got)
	got = take(s, c)
	want(t, "taken then", describe(got), "a=2")
	s.Saved(got)
	put(s, "a", "")
	want(t, "taken at last", describe(take(s, c)), "-a")
}

// TestADeletionAndANewStateAreTakenAtOnce has a stream begin anew while changes are taken, and the clock
// stand, so that both are taken.
func TestADeletionAndANewStateAreTakenAtOnce(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	put(s, "a", "1")
	s.Saved(take(s, c))
	put(s, "a", "")
	both := take(s, c)
	put(s, "a", "2")
	both = s.Take(both, 99, c.now)
	want(t, "taken", describe(both), "-a a=2")
	s.Saved(both)
	put(s, "a", "")
	want(t, "taken at last", describe(take(s, c)), "-a")
}

// stored adds streams that are stored, whose states were changed a second after each other.
func stored(s *stream.Store[turn], c *clock, names ...string) {
	for _, name := range names {
		s.Add(stream.Stored{Key: key(name), Format: 7, Size: 3, Changed: c.now})
		c.tick()
	}
}

func TestLoad(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	stored(s, c, "a")
	if got, want := s.Formats("t")["t"], map[int]int{7: 3}; !maps.Equal(got, want) {
		t.Errorf("formats %v, want %v", got, want)
	}
	e, absent := s.Acquire(key("a"))
	again, absentStill := s.Acquire(key("a"))
	if !absent || !absentStill || e != again || !e.Serial.occupied {
		t.Fatalf("a stored stream is absent: %v, %v; occupied: %v", absent, absentStill, e.Serial.occupied)
	}
	if !s.Load(e) || s.Load(e) {
		t.Error("not one alone is to load the state")
	}
	s.Loaded(e, []byte("abc"), 7, c.now)
	want(t, "state", string(e.State()), "abc")
	s.Release(again)
	s.Release(e)
	if _, absent := s.Acquire(key("a")); absent {
		t.Error("a stream that was loaded is absent")
	}
	want(t, "taken", describe(take(s, c)), "")
}

func TestNotLoaded(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	stored(s, c, "a")
	e, _ := s.Acquire(key("a"))
	s.Load(e)
	fault := fmt.Errorf("away")
	s.NotLoaded(e, fault, false)
	if e.Fault() != fault { //nolint:errorlint // as it is
		t.Errorf("fault %v, want %v", e.Fault(), fault)
	}
	again, absent := s.Acquire(key("a"))
	if again == e || !absent || again.Fault() != nil || !again.Serial.occupied || !s.Load(again) {
		t.Error("the next user does not try again")
	}
	s.Release(e)
	s.Loaded(again, []byte("abc"), 7, c.now)
	s.Release(again)
	want(t, "taken", describe(take(s, c)), "")
	if st := s.Stats(); st.Streams != 1 {
		t.Errorf("stats %+v, want 1 stream", st)
	}
}

func TestWhatIsNotStoredAfterAll(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	stored(s, c, "a")
	e, _ := s.Acquire(key("a"))
	s.Load(e)
	s.Loaded(e, nil, 0, time.Time{})
	s.Release(e)
	want(t, "taken", describe(take(s, c)), "")
	if st := s.Stats(); st.Streams != 0 {
		t.Errorf("stats %+v, want no stream", st)
	}
}

func TestBoundsHoldForWhatIsStored(t *testing.T) {
	s, c := kept(stream.Config[turn]{Max: 2, MaxAge: time.Minute})
	stored(s, c, "a", "b", "c")
	got := take(s, c)
	want(t, "taken", describe(got), "-a")
	s.Saved(got)
	e, absent := s.Acquire(key("a"))
	if absent || e.Serial.occupied {
		t.Error("a stream that was evicted is absent")
	}
	s.Release(e)
	c.now = c.now.Add(time.Minute)
	s.Expire()
	got = take(s, c)
	want(t, "taken", describe(got), "-b -c")
	if st := s.Stats(); st.Evicted != 1 || st.Expired != 2 || st.Streams != 0 {
		t.Errorf("stats %+v, want 1 evicted, 2 expired and none left", st)
	}
	e, absent = s.Acquire(key("b")) // while it is being deleted
	if absent || e.Serial.occupied {
		t.Error("a stream that has expired is absent")
	}
	s.Release(e)
	s.Saved(got)
}

// TestWhatCannotBeReadIsNotDeleted has streams go for each reason there is.
func TestWhatCannotBeReadIsNotDeleted(t *testing.T) {
	s, c := kept(stream.Config[turn]{Max: 3, MaxAge: time.Minute})
	unreadable := func(name string) stream.Stored {
		return stream.Stored{Key: key(name), Format: stream.Unknown, Changed: c.now}
	}
	s.Evict(unreadable("a"))
	s.Add(unreadable("b"))
	stored(s, c, "c") // which can be read as far as its head
	e, _ := s.Acquire(key("c"))
	s.Load(e)
	s.NotLoaded(e, fmt.Errorf("damaged"), true)
	s.Release(e)
	stored(s, c, "d", "e") // for which none of these goes
	s.Add(unreadable("f"))
	s.Add(unreadable("g")) // for which b goes
	c.now = c.now.Add(time.Hour)
	s.Expire()
	got := take(s, c)
	want(t, "taken", describe(got), "-d -e")
	if st := s.Stats(); st.Evicted != 2 || st.Expired != 5 || st.Streams != 0 || st.Bytes != 0 {
		t.Errorf("stats %+v, want 2 evicted, 5 expired and none left", st)
	}
	s.Saved(got)
	put(s, "b", "1")
	want(t, "taken of one that begins anew", describe(take(s, c)), "b=1")
}

// TestATimeInTheFuture has a state that another clock says is of tomorrow: it expires as if it were
// of now, and so do those behind it.
func TestATimeInTheFuture(t *testing.T) {
	s, c := kept(stream.Config[turn]{MaxAge: time.Minute})
	s.Add(stream.Stored{Key: key("a"), Format: 7, Size: 3, Changed: c.now.Add(24 * time.Hour)})
	put(s, "b", "1")
	c.now = c.now.Add(time.Minute + time.Second)
	s.Expire()
	if st := s.Stats(); st.Expired != 2 || st.Streams != 0 {
		t.Errorf("stats %+v, want 2 expired and none left", st)
	}
}

// TestChangesOfOneMomentHaveAnOrder has a clock that stands while a stream changes, is taken, and changes.
func TestChangesOfOneMomentHaveAnOrder(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	put(s, "a", "1")
	got := take(s, c)
	put(s, "a", "2")
	got = s.Take(got, 99, c.now)
	want(t, "taken", describe(got), "a=1 a=2")
	if first, then := got[0].Order(), got[1].Order(); first >= then || !got[0].Since().Equal(got[1].Since()) {
		t.Errorf("orders %d and %d, want them in their order", first, then)
	}
}

// TestARecordThatIsSweptWhileItsStreamIsUsed has a stream begin without a record that there is.
func TestARecordThatIsSweptWhileItsStreamIsUsed(t *testing.T) {
	s, c := kept(stream.Config[turn]{})
	e, absent := s.Acquire(key("a"))
	if absent || !s.Sweep(key("a")) {
		t.Error("a stream that is used is absent, or swept")
	}
	s.Release(e) // its task has failed, and left no state
	put(s, "a", "1")
	put(s, "a", "")
	got := take(s, c)
	want(t, "taken", describe(got), "-a")
}

// TestDeletionsAreBounded has more records deleted than the store remembers.
func TestDeletionsAreBounded(t *testing.T) {
	const records = 3000
	s, c := kept(stream.Config[turn]{Max: 1})
	left := make(map[string]bool)
	for i := range records {
		s.Evict(stream.Stored{Key: key(strconv.Itoa(i))})
		left[strconv.Itoa(i)] = true
	}
	if st := s.Stats(); st.Evicted != records || st.Unsaved != records || st.Streams != 0 {
		t.Errorf("stats %+v, want %d evicted and as many unsaved", st, records)
	}
	for rounds := 0; len(left) > 0; rounds++ {
		got := s.Take(nil, records, c.now)
		if rounds > 3 || len(got) == 0 || len(got) > 1024 {
			t.Fatalf("round %d: %d changes, %d records are left", rounds, len(got), len(left))
		}
		for i := range got {
			delete(left, got[i].Key.Name)
		}
		s.Saved(got)
		if n := s.Strayed(); n != len(left) {
			t.Errorf("%d have strayed, want %d", n, len(left))
		}
		for _, name := range slices.Sorted(maps.Keys(left)) {
			s.Sweep(key(name))
		}
	}
}

// TestHammerSaving has users, a loader and one who saves at once, and compares what was saved last
// with what there is.
func TestHammerSaving(t *testing.T) {
	const users, loops, keys = 4, 3000, 20
	s := stream.New(stream.Config[sync.Mutex]{Max: 8, MaxBytes: 1 << 20, Occupy: func(m *sync.Mutex) { m.Lock() }})
	var mu sync.Mutex
	saved := make(map[string]string)
	rounds := 0
	save := func() {
		got := s.Take(nil, 5, time.Now())
		if rounds++; rounds%3 == 0 { // which fails
			s.Return(got)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range got {
			if saved[got[i].Key.Name] = string(got[i].State); got[i].Delete() {
				delete(saved, got[i].Key.Name)
			}
		}
		s.Saved(got)
	}
	start, ended := make(chan struct{}), make(chan struct{})
	var wg, saver sync.WaitGroup
	saver.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				save()
			}
		}
	})
	for u := range users {
		wg.Go(func() {
			<-start
			for i := range loops {
				e, _ := s.Acquire(key(strconv.Itoa((i*7 + u) % keys)))
				e.Serial.Lock()
				state := strings.Repeat("x", (len(e.State())+1)%4)
				e.Set([]byte(state), 0)
				s.Done(e)
				e.Serial.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	close(ended)
	saver.Wait()
	for s.Stats().Unsaved > 0 {
		save()
	}
	if got := s.Stats(); got.Streams != len(saved) {
		t.Errorf("stats %+v, and %d records are saved", got, len(saved))
	}
	for name, state := range saved {
		e, _ := s.Acquire(key(name))
		want(t, name, string(e.State()), state)
		s.Release(e)
	}
}
