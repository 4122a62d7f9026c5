package stream_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
)

func key(name string) stream.Key { return stream.Key{Transform: "t", Name: name} }

// use leaves state in a stream and returns what it found.
func use(s *stream.Store[sync.Mutex], k stream.Key, state string) string {
	e, _ := s.Acquire(k)
	defer s.Done(e)
	found := string(e.State())
	e.Set([]byte(state), 0)
	return found
}

func TestKeepsState(t *testing.T) {
	s := stream.New(stream.Config[sync.Mutex]{Max: 3, MaxBytes: 1 << 20})
	if got := use(s, key("a"), "1"); got != "" {
		t.Errorf("a new stream has state %q", got)
	}
	if got := use(s, stream.Key{Transform: "other", Name: "a"}, "2"); got != "" {
		t.Errorf("another transform's stream has state %q", got)
	}
	if got := use(s, stream.Key{Tenant: "other", Transform: "t", Name: "a"}, "2"); got != "" {
		t.Errorf("another tenant's stream has state %q", got)
	}
	if got := use(s, key("a"), "3"); got != "1" {
		t.Errorf("state %q, want 1", got)
	}
}

// TestComparesForWhoSaves has states compared with those before only where somebody saves what changes.
func TestComparesForWhoSaves(t *testing.T) {
	saved, _ := kept(stream.Config[turn]{})
	for store, want := range map[*stream.Store[turn]]bool{saved: true, stream.New(stream.Config[turn]{Max: 10, MaxBytes: 1 << 20}): false} {
		for _, state := range []string{"1", "1"} {
			e, _ := store.Acquire(key("a"))
			e.Set([]byte(state), 0)
			if first := len(e.State()) == 0; !first && store.Same(e) != want {
				t.Errorf("found to be the same: %v, want %v", !want, want)
			}
			store.Done(e)
		}
	}
}

func TestBounded(t *testing.T) {
	s := stream.New(stream.Config[sync.Mutex]{Max: 2, MaxBytes: 1 << 20})
	use(s, key("a"), "1")
	use(s, key("b"), "1")
	use(s, key("a"), "2")
	use(s, key("c"), "1") // b is the one unused longest
	if got := use(s, key("a"), "3"); got != "2" {
		t.Errorf("a has %q, want 2", got)
	}
	if got := use(s, key("b"), "2"); got != "" {
		t.Errorf("b has %q, want it gone", got)
	}
	if st := s.Stats(); st.Streams != 2 || st.Evicted != 2 {
		t.Errorf("stats %+v, want 2 streams and 2 evicted", st)
	}
}

func TestStreamsInUseStay(t *testing.T) {
	s := stream.New(stream.Config[sync.Mutex]{Max: 1, MaxBytes: 1 << 20})
	a, _ := s.Acquire(key("a"))
	a.Set([]byte("1"), 0)
	use(s, key("b"), "1")
	use(s, key("c"), "1")
	again, _ := s.Acquire(key("a"))
	if again != a {
		t.Error("a stream in use was replaced")
	}
	s.Release(again)
	s.Done(a)
	if st := s.Stats(); st.Streams != 1 {
		t.Errorf("stats %+v, want 1 stream", st)
	}
}

func TestStreamWithoutStateTakesNoRoom(t *testing.T) {
	s := stream.New(stream.Config[sync.Mutex]{Max: 1, MaxBytes: 1 << 20})
	use(s, key("a"), "1")
	use(s, key("b"), "")
	if st := s.Stats(); st.Streams != 1 || st.Evicted != 0 {
		t.Errorf("stats %+v, want 1 stream, none evicted", st)
	}
}

func TestExpires(t *testing.T) {
	now := time.Unix(0, 0)
	s := stream.New(stream.Config[sync.Mutex]{Max: 9, MaxBytes: 1 << 20, MaxAge: time.Minute, Now: func() time.Time { return now }})
	use(s, key("a"), "1")
	now = now.Add(40 * time.Second)
	use(s, key("b"), "1")
	now = now.Add(40 * time.Second)
	if got := use(s, key("a"), "2"); got != "" {
		t.Errorf("a has %q, want it expired", got)
	}
	if got := use(s, key("b"), "2"); got != "1" {
		t.Errorf("b has %q, want 1", got)
	}
	if st := s.Stats(); st.Expired != 1 {
		t.Errorf("stats %+v, want 1 expired", st)
	}
}

func TestHammer(t *testing.T) {
	const callers, loops, keys = 8, 2000, 20
	s := stream.New(stream.Config[sync.Mutex]{Max: 5, MaxBytes: 1 << 20})
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			<-start
			for i := range loops {
				e, _ := s.Acquire(key(strconv.Itoa(i % keys)))
				e.Serial.Lock()
				e.Set([]byte{byte(i), byte(len(e.State()))}, 0)
				s.Done(e)
				e.Serial.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	if st := s.Stats(); st.Streams != 5 {
		t.Errorf("stats %+v, want 5 streams", st)
	}
}

func TestBoundedInBytes(t *testing.T) {
	s := stream.New(stream.Config[sync.Mutex]{Max: 99, MaxBytes: 3 << 10})
	large := strings.Repeat("x", 1<<10)
	use(s, key("a"), large)
	use(s, key("b"), large)
	if st := s.Stats(); st.Streams != 2 || st.Evicted != 0 || st.Bytes < 2<<10 {
		t.Errorf("stats %+v, want 2 streams of more than 2 KiB", st)
	}
	use(s, key("b"), "small") // what is replaced does not count
	use(s, key("c"), large)
	if got := use(s, key("a"), large); got != large {
		t.Error("a is gone while there is room")
	}
	use(s, key("d"), large) // b is the one unused longest, then c
	if st := s.Stats(); st.Streams != 2 || st.Evicted != 2 || st.Bytes > 3<<10 {
		t.Errorf("stats %+v, want 2 streams and 2 evicted", st)
	}
	for _, k := range []string{"a", "d"} {
		if got := use(s, key(k), ""); got != large {
			t.Errorf("%s has a state of %d bytes, want it kept", k, len(got))
		}
	}
	if st := s.Stats(); st.Streams != 0 || st.Bytes != 0 {
		t.Errorf("stats %+v, want none", st)
	}
}
