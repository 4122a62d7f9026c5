package stream_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/stream"
)

// many is how many streams are dealt with at once where tasks are to come in between.
const many = 100_000

// TestATaskExpiresFew has many streams expire at one moment: the next task ends a few of them, and its own.
func TestATaskExpiresFew(t *testing.T) {
	s, c := kept(stream.Config[turn]{Max: many, MaxBytes: 1 << 30, MaxAge: time.Minute})
	for i := range many {
		put(s, strconv.Itoa(i), "x")
	}
	c.now = c.now.Add(2 * time.Minute)
	last := strconv.Itoa(many - 1)
	e, absent := s.Acquire(key(last))
	if len(e.State()) > 0 || absent {
		t.Errorf("the last has %q, want it expired", e.State())
	}
	if entries, _ := s.Counts(); entries < many-100 {
		t.Errorf("a task expired %d streams", many-entries)
	}
	s.Release(e)
	if st := s.Stats(); st.Streams != 0 || st.Expired != many {
		t.Errorf("stats %+v, want all expired", st)
	}
}

// TestTasksComeInBetween has others see what the keeper does with many streams while it is half done: it
// does not keep the store meanwhile.
func TestTasksComeInBetween(t *testing.T) {
	var s *stream.Store[turn]
	var c *clock
	var taken []stream.Taken[turn]
	changed := func() {
		s, c = kept(stream.Config[turn]{Max: many, MaxBytes: 1 << 30, MaxAge: time.Minute})
		for i := range many {
			put(s, strconv.Itoa(i), "x")
		}
	}
	take := func() { taken = s.Take(taken[:0], many, c.now) }
	takenAll := func() { changed(); take() }
	aged := func() { changed(); c.now = c.now.Add(time.Hour) }
	unsaved := func() int { return s.Stats().Unsaved }
	dirty := func() int { _, dirty := s.Counts(); return dirty }
	entries := func() int { entries, _ := s.Counts(); return entries }
	for _, step := range []struct {
		what       string
		prepare, f func()
		left       func() int // all of them before f and none after it, or the other way round
	}{
		{"changes are taken", changed, take, dirty},
		{"changes are given back", takenAll, func() { s.Return(taken) }, dirty},
		{"changes are saved", takenAll, func() { s.Saved(taken) }, unsaved},
		{"streams expire", aged, func() { s.Expire() }, entries},
	} {
		if !seenHalf(step.prepare, step.f, step.left) {
			t.Errorf("nobody gets at the store while %s", step.what)
		}
	}
}

// seenHalf reports whether somebody sees that f is half done. In one turn neither has the processor for
// sure, so there are some.
func seenHalf(prepare, f func(), left func() int) (seen bool) {
	for range 20 {
		prepare()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f()
		}()
		for over := false; !over; {
			n := left()
			seen = seen || n > 0 && n < many
			select {
			case <-ended:
				over = true
			default:
			}
		}
		if seen {
			break
		}
	}
	return seen
}
