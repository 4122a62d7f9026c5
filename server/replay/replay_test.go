package replay_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/server/replay"
)

// first begins the first request with a key, and keeps an answer of n bytes if n is not negative.
func first(t *testing.T, k *replay.Keeper, key replay.Key, n int) *replay.Call {
	t.Helper()
	call, answer, err := k.Begin(key, replay.Digest{1})
	if err != nil || answer != nil {
		t.Fatalf("%v: %v, %v", key, answer, err)
	}
	if n >= 0 {
		call.Keep(&replay.Answer{Status: 200, Body: []byte(strings.Repeat("a", n))})
	}
	return call
}

// known reports whether there is an answer for a key. A key that is not known stays so.
func known(t *testing.T, k *replay.Keeper, key replay.Key) bool {
	t.Helper()
	call, answer, err := k.Begin(key, replay.Digest{1})
	if err != nil {
		t.Fatal(err)
	}
	if call != nil {
		call.Drop()
	}
	return answer != nil
}

// metrics returns the values of all metrics, by name and label.
func metrics(t *testing.T, k *replay.Keeper) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(k.Collectors()...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		name := strings.TrimPrefix(f.GetName(), "resonhost_idempotent_")
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				name = l.GetValue()
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// TestBegin has a key from its first request on.
func TestBegin(t *testing.T) {
	k := replay.New(replay.Options{})
	key := replay.Key{Tenant: "t", Principal: "p", Name: "n"}
	call := first(t, k, key, -1)
	if _, _, err := k.Begin(key, replay.Digest{1}); !errors.Is(err, replay.ErrBusy) {
		t.Errorf("a second one meanwhile: %v", err)
	}
	if _, _, err := k.Begin(key, replay.Digest{2}); !errors.Is(err, replay.ErrReused) {
		t.Errorf("another one meanwhile: %v", err)
	}
	for _, other := range []replay.Key{{Tenant: "t", Principal: "q", Name: "n"}, {Tenant: "u", Principal: "p", Name: "n"}, {Tenant: "t", Principal: "p", Name: "o"}} {
		first(t, k, other, -1)
	}
	call.Keep(&replay.Answer{Status: 200, Body: []byte("x")})
	call.Keep(&replay.Answer{Status: 200, Body: []byte("y")})
	call.Drop()
	_, answer, err := k.Begin(key, replay.Digest{1})
	if err != nil || answer == nil || string(answer.Body) != "x" {
		t.Errorf("%v, %v", answer, err)
	}
	if _, _, err := k.Begin(key, replay.Digest{2}); !errors.Is(err, replay.ErrReused) {
		t.Errorf("another one: %v", err)
	}
	for name, want := range map[string]float64{"kept": 1, "replayed": 1, "busy": 1, "reused": 2, "dropped": 0, "keys": 4} {
		if got := metrics(t, k)[name]; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestDrop forgets a request that has no answer to be kept.
func TestDrop(t *testing.T) {
	k := replay.New(replay.Options{})
	key := replay.Key{Name: "n"}
	call := first(t, k, key, -1)
	call.Drop()
	again := first(t, k, key, -1)
	call.Keep(&replay.Answer{}) // which has been given up, and is not the one that is under way
	call.Drop()
	if _, _, err := k.Begin(key, replay.Digest{1}); !errors.Is(err, replay.ErrBusy) {
		t.Errorf("%v", err)
	}
	again.Drop()
	if m := metrics(t, k); m["keys"] != 0 || m["bytes"] != 0 || m["dropped"] != 2 {
		t.Errorf("%v", m)
	}
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := replay.New(replay.Options{Age: time.Minute})
		under := first(t, k, replay.Key{Name: "under way"}, -1)
		first(t, k, replay.Key{Name: "n"}, 1)
		time.Sleep(time.Minute - 1)
		if !known(t, k, replay.Key{Name: "n"}) {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		if known(t, k, replay.Key{Name: "n"}) {
			t.Error("known for too long")
		}
		if m := metrics(t, k); m["keys"] != 1 || m["evicted_total"] != 0 {
			t.Errorf("%v", m)
		}
		under.Keep(&replay.Answer{})
		if !known(t, k, replay.Key{Name: "under way"}) {
			t.Error("its age is that of its request")
		}
	})
}

// TestEviction has more keys than there may be: the oldest go, and of who has many the own ones.
func TestEviction(t *testing.T) {
	var log strings.Builder
	k := replay.New(replay.Options{MaxKeys: 16, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	first(t, k, replay.Key{Principal: "few", Name: "0"}, 1)
	for i := range 100 {
		first(t, k, replay.Key{Principal: "many", Name: fmt.Sprint(i)}, 1)
	}
	if m := metrics(t, k); m["keys"] != 16 || m["evicted_total"] != 85 {
		t.Errorf("%v", m)
	}
	for i := 99; i >= 0; i-- { // what is not known takes room itself
		if got, want := known(t, k, replay.Key{Principal: "many", Name: fmt.Sprint(i)}), i >= 85; got != want {
			t.Fatalf("many's %d is known: %v", i, got)
		}
	}
	if !known(t, k, replay.Key{Principal: "few", Name: "0"}) {
		t.Error("the key of one with few was forgotten for those of one with many")
	}
	if n := strings.Count(log.String(), "forgotten before their age"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	// One with few has room among the others'.
	first(t, k, replay.Key{Principal: "few", Name: "1"}, 1)
	if !known(t, k, replay.Key{Principal: "few", Name: "0"}) {
		t.Error("one with few lost a key of its own")
	}
}

// TestBytes has answers that take more than there is room for.
func TestBytes(t *testing.T) {
	const most = replay.MinBytes
	k := replay.New(replay.Options{MaxBytes: most})
	first(t, k, replay.Key{Principal: "few", Name: "0"}, most/16)
	for i := range 100 {
		first(t, k, replay.Key{Principal: "many", Name: fmt.Sprint(i)}, most/16)
		if m := metrics(t, k); m["bytes"] > most {
			t.Fatalf("%v bytes are held, of %v", m["bytes"], most)
		}
	}
	if !known(t, k, replay.Key{Principal: "few", Name: "0"}) || !known(t, k, replay.Key{Principal: "many", Name: "99"}) {
		t.Error("an answer was forgotten that was to be kept")
	}
	large := replay.Key{Name: "large"}
	first(t, k, large, most/8+1)
	if _, _, err := k.Begin(large, replay.Digest{1}); !errors.Is(err, replay.ErrLarge) {
		t.Errorf("an answer that is too large: %v", err)
	}
	if m := metrics(t, k); m["too_large"] != 1 || m["not_kept"] != 1 {
		t.Errorf("%v", m)
	}
}

// TestOneOwnerOfMany has a room full of others' keys, and one owner whose oldest key goes for its own next one:
// it stays known, with all it has, and takes an eighth.
func TestOneOwnerOfMany(t *testing.T) {
	k := replay.New(replay.Options{MaxKeys: 8})
	first(t, k, replay.Key{Principal: "one", Name: "0"}, 1)
	for i := range 7 {
		first(t, k, replay.Key{Principal: fmt.Sprint(i)}, 1)
	}
	call := first(t, k, replay.Key{Principal: "one", Name: "1"}, -1)
	if _, _, err := k.Begin(replay.Key{Principal: "one", Name: "2"}, replay.Digest{}); !errors.Is(err, replay.ErrFull) {
		t.Errorf("one with an eighth under way: %v", err)
	}
	for i := range 7 {
		if !known(t, k, replay.Key{Principal: fmt.Sprint(i)}) {
			t.Errorf("the key of %d was forgotten", i)
		}
	}
	call.Drop()

	const most, others = 1 << 20, 2200
	k = replay.New(replay.Options{MaxBytes: most})
	first(t, k, replay.Key{Principal: "one", Name: "before"}, 1)
	for i := range others {
		first(t, k, replay.Key{Principal: fmt.Sprint(i)}, 1)
	}
	full := metrics(t, k)["keys"]
	for i := range 60 {
		first(t, k, replay.Key{Principal: "one", Name: fmt.Sprint(i)}, most/8-1024)
	}
	if m := metrics(t, k); m["keys"] < full*3/4 || m["bytes"] > most {
		t.Errorf("of %v keys %v are left, with %v bytes", full, m["keys"], m["bytes"])
	}
	if !known(t, k, replay.Key{Principal: "one", Name: "59"}) || known(t, k, replay.Key{Principal: "one", Name: "57"}) {
		t.Error("one owner has not its latest answer, or more than an eighth")
	}
}

// TestKeepCopies changes an answer that was kept, and has one that is too large to be copied.
func TestKeepCopies(t *testing.T) {
	k := replay.New(replay.Options{MaxBytes: replay.MinBytes})
	key, body := replay.Key{Name: "n"}, []byte("kept")
	first(t, k, key, -1).Keep(&replay.Answer{Body: body})
	copy(body, "lost")
	if _, answer, err := k.Begin(key, replay.Digest{1}); err != nil || string(answer.Body) != "kept" {
		t.Errorf("%v, %v", answer, err)
	}
	large := &replay.Answer{Body: make([]byte, 16<<20)}
	call := first(t, k, replay.Key{Name: "large"}, -1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call.Keep(large)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("an answer that is too large took %d bytes", got)
	}
}

// TestUnderWay has as many requests under way as there may be. None of them is forgotten.
func TestUnderWay(t *testing.T) {
	k := replay.New(replay.Options{MaxKeys: 16})
	first(t, k, replay.Key{Principal: "other", Name: "0"}, 1)
	var calls []*replay.Call
	for i := range 15 {
		calls = append(calls, first(t, k, replay.Key{Name: fmt.Sprint(i)}, -1))
	}
	if _, _, err := k.Begin(replay.Key{Name: "one more"}, replay.Digest{}); !errors.Is(err, replay.ErrFull) {
		t.Errorf("one more: %v", err)
	}
	if !known(t, k, replay.Key{Principal: "other", Name: "0"}) {
		t.Error("the key of another was forgotten for them")
	}
	calls[0].Keep(&replay.Answer{})
	first(t, k, replay.Key{Name: "one more"}, -1)
	if m := metrics(t, k); m["full"] != 1 || m["keys"] != 16 || m["evicted_total"] != 1 {
		t.Errorf("%v", m)
	}
	for _, c := range calls {
		c.Drop()
	}
}

// TestConcurrent has one request done of many with the same key, again and again.
func TestConcurrent(t *testing.T) {
	k := replay.New(replay.Options{MaxKeys: 4, MaxBytes: replay.MinBytes})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				call, _, err := k.Begin(replay.Key{Name: fmt.Sprint(n % 3), Tenant: fmt.Sprint(i % 2)}, replay.Digest{1})
				switch {
				case call != nil && n%2 == 0:
					call.Keep(&replay.Answer{Body: make([]byte, n)})
				case call != nil:
					call.Drop()
				case err != nil && !errors.Is(err, replay.ErrBusy) && !errors.Is(err, replay.ErrFull):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if m := metrics(t, k); m["keys"] > 4 || m["bytes"] > replay.MinBytes {
		t.Errorf("%v", m)
	}
}

func TestParseKey(t *testing.T) {
	for header, want := range map[string]string{
		`abc-123`: "abc-123", `"abc-123"`: "abc-123", `"a b, c;\"\\"`: `a b, c;"\`, strings.Repeat("k", 255): strings.Repeat("k", 255),
		``: "!", `""`: "!", `"abc`: "!", `"`: "!", `"a"b`: "!", `"a";p=1`: "!", `"a\b"`: "!", `"a\`: "!", `a b`: "!", `a,b`: "!", `a"b`: "!", "a\tb": "!", "\"a\tb\"": "!", `ü`: "!", strings.Repeat("k", 256): "!",
	} {
		got, err := replay.ParseKey(header)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %s, %v", header, got, err)
		}
	}
}

// FuzzParseKey has what a client may send: what is taken is within the bounds, and means one thing.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{`abc`, `"abc"`, `"a\"b"`, `"a`, `\`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		name, err := replay.ParseKey(header)
		if err != nil {
			return
		}
		if len(name) == 0 || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is taken as %q", header, name)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		if again, err := replay.ParseKey(quoted); err != nil || again != name {
			t.Errorf("%q is %q, and %q is %q, %v", header, name, quoted, again, err)
		}
	})
}
