package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, opt redis.Options) *redis.Store {
	tb.Helper()
	s, err := redis.Open(tb.Context(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func shut(tb testing.TB, s state.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

func urlOf(s *redistest.Server, query string) string { return "redis://" + s.Addr + "?" + query }

var names atomic.Int64

// subject is a store of its own name in a server, whose records are kept by a codec.
func subject(server *redistest.Server, codec state.Codec) statetest.Subject {
	last := ""
	open := func(tb testing.TB) state.Store {
		tb.Helper()
		return open(tb, redis.Options{URL: urlOf(server, "name="+last), Codec: codec})
	}
	return statetest.Subject{
		New: func(tb testing.TB) state.Store {
			tb.Helper()
			last = fmt.Sprintf("n%d", names.Add(1))
			return open(tb)
		},
		Again: func(tb testing.TB, s state.Store) state.Store {
			tb.Helper()
			shut(tb, s)
			return open(tb)
		},
		Plant: func(tb testing.TB, s state.Store, key, value []byte) state.Store {
			tb.Helper()
			if reply := server.Do("SET", "resonhost:{"+last+"}:r:"+string(key), string(value)); reply != "+OK" {
				tb.Fatal(reply)
			}
			return s
		},
	}
}

func TestStore(t *testing.T) { statetest.Run(t, subject(redistest.Start(t), state.Codec{})) }

func TestSealedStore(t *testing.T) {
	keys, err := state.ParseKeys([]byte(state.NewKey()))
	if err != nil {
		t.Fatal(err)
	}
	statetest.Run(t, subject(redistest.Start(t), state.Codec{Cipher: keys}))
}

func TestSecondOwner(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "lease=1s")})
	_, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "lease=1s")})
	owned := (*state.OwnerError)(nil)
	if !errors.Is(err, state.ErrInUse) || !errors.As(err, &owned) {
		t.Fatalf("a second owner: error %v", err)
	}
	host, _ := os.Hostname()
	if owned.Where != "redis://"+server.Addr || owned.Owner.PID != os.Getpid() || owned.Owner.Host != host || owned.Owner.Since.IsZero() {
		t.Errorf("the owner is %+v", owned)
	}
	other := open(t, redis.Options{URL: urlOf(server, "name=other")}) // which is another store
	statetest.Save(t, other, statetest.Change("a", "other"))
	statetest.Save(t, s, statetest.Change("a", "1"))
	shut(t, other)
	shut(t, s)
	s = open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
}

// TestTakenOver stops an owner's renewals by taking its key away, as if it had slept for longer than
// its lease. The next one takes over, and the first can save no more.
func TestTakenOver(t *testing.T) {
	server := redistest.Start(t)
	first := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, first, statetest.Change("a", "1"))
	server.Do("DEL", "resonhost:{resonhost}:owner")
	statetest.Save(t, first, statetest.Change("a", "2")) // nobody has taken it
	second := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, second, statetest.Change("a", "3"))
	for range 2 {
		err := first.Save(t.Context(), []state.Change{statetest.Change("a", "4"), statetest.Change("b", "4")})
		owned := (*state.OwnerError)(nil)
		if state.FaultOf(err) != state.FaultLost || !errors.As(err, &owned) || owned.Owner.PID != os.Getpid() {
			t.Errorf("a save after another took over: error %v", err)
		}
	}
	shut(t, first)
	statetest.Want(t, second, statetest.Change("a", "3"))
	statetest.WantNone(t, second, statetest.Key("b"))
	statetest.Save(t, second, statetest.Change("a", "5")) // the first has not given up what is the second's
	shut(t, second)
}

// TestOwnerGone leaves the key of an owner behind: one whose process has ended here is known to be
// gone, and of another machine's the lease is waited for.
func TestOwnerGone(t *testing.T) {
	server := redistest.Start(t)
	server.Do("SET", "resonhost:{resonhost}:owner", `{"pid":7,"host":"elsewhere","place":"elsewhere"}`, "PX", "1500")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := redis.Open(ctx, redis.Options{URL: urlOf(server, "")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	shut(t, open(t, redis.Options{URL: urlOf(server, "")}))
	server.Do("SET", "resonhost:{resonhost}:owner", `{"pid":7,"host":"elsewhere"}`) // for ever
	if _, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "")}); !errors.Is(err, state.ErrInUse) || !strings.Contains(err.Error(), `process 7 on "elsewhere"`) {
		t.Errorf("error %v", err)
	}
	server.Do("SET", "resonhost:{resonhost}:owner", "nonsense")
	if _, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "")}); !errors.Is(err, state.ErrInUse) {
		t.Errorf("error %v", err)
	}
}

// TestRestarted kills the server and starts it again: what was saved is there, saves in between fail
// and succeed when they come again.
func TestRestarted(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "timeout=5s")})
	statetest.Save(t, s, statetest.Change("a", "1"))
	server.Kill()
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultUnavailable {
		t.Errorf("save: error %v", err)
	}
	if _, err := s.Load(t.Context(), statetest.Key("a")); state.FaultOf(err) != state.FaultUnavailable {
		t.Errorf("load: error %v", err)
	}
	server.Restart()
	eventually(t, func() error { return s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}) })
	statetest.Want(t, s, statetest.Change("a", "1"))
	statetest.Want(t, s, statetest.Change("b", "1"))
	shut(t, s)
}

// eventually tries until it succeeds, or for a minute.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestPaused stops the server: calls end with their contexts and with their timeouts.
func TestPaused(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "timeout=3s")})
	statetest.Save(t, s, statetest.Change("a", "1"))
	server.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := s.Save(ctx, []state.Change{statetest.Change("b", "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("save with a context: error %v", err)
	}
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultUnavailable {
		t.Errorf("save: error %v", err)
	}
	if _, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "timeout=100ms")}); state.FaultOf(err) != state.FaultUnavailable {
		t.Errorf("open: error %v", err)
	}
	server.Resume()
	eventually(t, func() error { return s.Save(t.Context(), []state.Change{statetest.Change("b", "2")}) })
	statetest.Want(t, s, statetest.Change("b", "2"))
	shut(t, s)
}

// TestEmptied empties the server under an owner: it is told, and saves no more into what has lost
// the rest.
func TestEmptied(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, s, statetest.Change("a", "1"))
	statetest.Save(t, s) // nothing, as long as it could be saved
	server.Do("FLUSHALL")
	if err := s.Save(t.Context(), nil); state.FaultOf(err) != state.FaultLost {
		t.Errorf("a save of nothing: error %v", err)
	}
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultLost || !strings.Contains(err.Error(), "the server does not know this owner any more") {
		t.Errorf("error %v", err)
	}
	shut(t, s)
}

// TestEpochLost has the server lose the epoch of an owner, as when it is emptied or its replica takes over
// without it, before another takes the store over. Both would have the same number.
func TestEpochLost(t *testing.T) {
	const key = "resonhost:{resonhost}:epoch"
	server := redistest.Start(t)
	first := open(t, redis.Options{URL: urlOf(server, "lease=1s")})
	statetest.Save(t, first, statetest.Change("a", "1"))
	server.Do("FLUSHALL")
	second := open(t, redis.Options{URL: urlOf(server, "lease=10m")})
	holder := server.All("GET", "resonhost:{resonhost}:owner")
	statetest.Save(t, second, statetest.Change("a", "2"))
	if err := first.Save(t.Context(), []state.Change{statetest.Change("a", "3")}); state.FaultOf(err) != state.FaultLost {
		t.Errorf("a save of who had the number before: error %v", err)
	}
	shut(t, first)
	if now := server.All("GET", "resonhost:{resonhost}:owner"); now != holder {
		t.Errorf("the owner is %s, and was %s", now, holder)
	}
	statetest.Want(t, second, statetest.Change("a", "2"))
	statetest.Save(t, second, statetest.Change("a", "4"))
	server.Do("DEL", key)
	if err := second.Save(t.Context(), []state.Change{statetest.Change("a", "5")}); state.FaultOf(err) != state.FaultLost || !strings.Contains(err.Error(), "the server does not know this owner any more") {
		t.Errorf("a save without an epoch, whose owner is still there: error %v", err)
	}
	shut(t, second)
}

// TestLostEpochIsNotRenewed waits for the renewal of an owner whose epoch another has the number of: what
// stands there stays the other's.
func TestLostEpochIsNotRenewed(t *testing.T) {
	server := redistest.Start(t)
	told := make(logged, 100)
	first := open(t, redis.Options{URL: urlOf(server, "lease=1s"), Logger: slog.New(slog.NewTextHandler(told, nil))})
	server.Do("FLUSHALL")
	second := open(t, redis.Options{URL: urlOf(server, "lease=10m")})
	holder := server.All("GET", "resonhost:{resonhost}:owner")
	for text := ""; !strings.Contains(text, "is lost, and nothing more is saved"); {
		text = <-told
	}
	if now := server.All("GET", "resonhost:{resonhost}:owner"); now != holder {
		t.Errorf("the owner is %s, and was %s", now, holder)
	}
	shut(t, first)
	shut(t, second)
}

// logged has lines of a log.
type logged chan string

func (l logged) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// TestEpochOfEarlierBuilds opens a store whose epoch is a number alone, and whose turn has one.
func TestEpochOfEarlierBuilds(t *testing.T) {
	server := redistest.Start(t)
	server.Do("SET", "resonhost:{resonhost}:epoch", "41")
	server.Do("SET", "resonhost:{resonhost}:turn", "41 7")
	s := open(t, redis.Options{URL: urlOf(server, "")})
	if epoch := server.All("GET", "resonhost:{resonhost}:epoch"); !strings.Contains(epoch, "42 ") {
		t.Errorf("the epoch after 41 is %s", epoch)
	}
	statetest.Save(t, s, statetest.Change("a", "1"))
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
}

// TestSaveYields has a save encode many records, and some that are long: other work of the process goes first in between.
func TestSaveYields(t *testing.T) {
	s := open(t, redis.Options{URL: urlOf(redistest.Start(t), "")})
	many, long := make([]state.Change, 1000), make([]state.Change, 8)
	for i := range many {
		many[i] = statetest.Change(strconv.Itoa(i), "1")
	}
	for i := range long {
		long[i] = statetest.Change(strconv.Itoa(i), strings.Repeat("x", 100_000))
	}
	for _, c := range []struct {
		changes []state.Change
		least   int
	}{{many, 15}, {long, 8}} {
		yields := 0
		ctx := state.Unhurried(t.Context(), func() bool { yields++; return true })
		if err := s.Save(ctx, c.changes); err != nil || yields < c.least {
			t.Errorf("%d records: error %v, and %d times other work went first, want %d", len(c.changes), err, yields, c.least)
		}
	}
	shut(t, s)
}

func TestFull(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction")
	s := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, s, statetest.Change("a", "1"))
	big := statetest.Change("big", strings.Repeat("x", 8<<20))
	_ = s.Save(t.Context(), []state.Change{big}) // the last that has room, if it has
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultFull {
		t.Errorf("error %v", err)
	}
	statetest.Want(t, s, statetest.Change("a", "1"))
	server.Do("CONFIG", "SET", "maxmemory", "0")
	statetest.Save(t, s, statetest.Change("b", "1"))
	shut(t, s)
}

// TestFullIsEmptied has a server without memory: its owner goes on to have the store, deletes what is there, and so
// does who opens it then.
func TestFullIsEmptied(t *testing.T) {
	const owner = "resonhost:{resonhost}:owner"
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "lease=1s")})
	statetest.Save(t, s, statetest.Change("a", "1"), statetest.Change("b", "1"), statetest.Change("c", "1"), statetest.Change("d", "1"))
	server.Do("CONFIG", "SET", "maxmemory", "1")
	deleted := func(names ...string) (changes []state.Change) {
		for _, n := range names {
			changes = append(changes, state.Change{Record: state.Record{Key: statetest.Key(n)}, Delete: true})
		}
		return changes
	}
	for what, changes := range map[string][]state.Change{
		"a record":              {statetest.Change("e", "1")},
		"a deletion before one": append(deleted("a"), statetest.Change("e", "1")),
	} {
		statetest.Save(t, s, deleted("d")...)
		err := s.Save(t.Context(), changes)
		if want := "save to redis://" + server.Addr + ": store is full: OOM command not allowed when used memory > 'maxmemory'; raise the server's maxmemory, or delete something there"; err == nil || err.Error() != want || state.FaultOf(err) != state.FaultFull {
			t.Errorf("%s: error %v, want %s", what, err, want)
		}
	}
	statetest.Save(t, s, deleted("a", "b")...)
	server.Do("DEL", owner)
	eventually(t, func() error { // it is renewed
		if reply := server.Do("EXISTS", owner); reply != ":1" {
			return errors.New(reply)
		}
		return nil
	})
	statetest.Save(t, s, deleted("none")...)
	shut(t, s)
	s = open(t, redis.Options{URL: urlOf(server, "")})
	statetest.WantNone(t, s, statetest.Key("a"))
	statetest.WantNone(t, s, statetest.Key("b"))
	statetest.Want(t, s, statetest.Change("c", "1"))
	statetest.Save(t, s, deleted("c")...)
	statetest.WantNone(t, s, statetest.Key("c"))
	statetest.WantNone(t, s, statetest.Key("e"))
	shut(t, s)
}

func TestEviction(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	_, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "")})
	if want := "redis://" + server.Addr + ": store is unavailable: it may evict records, as its maxmemory-policy is allkeys-lru: set it to noeviction, or say evict=allow in the URL"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	shut(t, open(t, redis.Options{URL: urlOf(server, "evict=allow")}))
	server.Do("CONFIG", "SET", "maxmemory-policy", "volatile-lru") // records have no time to live
	shut(t, open(t, redis.Options{URL: urlOf(server, "")}))
}

// TestOtherTypes has a list where a record is looked for.
func TestOtherTypes(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, s, statetest.Change("good", "1"))
	name := "resonhost:{resonhost}:r:" + string(state.AppendKey(nil, statetest.Key("bad")))
	server.Do("RPUSH", name, "x")
	if _, err := s.Load(t.Context(), statetest.Key("bad")); state.FaultOf(err) != state.FaultCorrupt {
		t.Errorf("load: error %v", err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Records != 1 || st.Damaged != 1 {
		t.Errorf("stats %+v, error %v", st, err)
	}
	statetest.Save(t, s, statetest.Change("bad", "mended"))
	statetest.Want(t, s, statetest.Change("bad", "mended"))
	shut(t, s)
}

// TestTooLong has a value that is longer than any record: it is not read.
func TestTooLong(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "")})
	name := "resonhost:{resonhost}:r:" + string(state.AppendKey(nil, statetest.Key("bad")))
	server.Do("SETRANGE", name, "100000000", "x")
	if _, err := s.Load(t.Context(), statetest.Key("bad")); state.FaultOf(err) != state.FaultCorrupt {
		t.Errorf("load: error %v", err)
	}
	for _, data := range []bool{false, true} {
		err := s.List(t.Context(), state.Filter{Data: data}, func(r state.Record) error {
			if state.FaultOf(r.Err) != state.FaultCorrupt || !strings.Contains(r.Err.Error(), "it has 100000001 bytes, more than any record") {
				t.Errorf("listed with error %v", r.Err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	shut(t, s)
}
