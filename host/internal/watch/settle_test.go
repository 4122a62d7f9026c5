package watch

import (
	"slices"
	"testing"
	"time"
)

// The settler's time is this clock's.
const (
	settle = 30 * time.Millisecond
	gone   = 2 * time.Second
)

// begin is long after the stamps of the tests, but for those that say otherwise.
var begin = time.Unix(1000, 0)

func stampOfSize(size int64) []stamp {
	return []stamp{{there: true, size: size}}
}

// step is one look at a directory with one file at most, and what is to come of it.
type step struct {
	at      time.Duration
	seen    []stamp // nil: the file is missing
	away    bool    // the directory is
	ready   bool
	gone    bool
	next    time.Duration // -1: never
	content byte          // what reading it gives; 0: it changes meanwhile
	verdict verdict
	told    bool
	again   time.Duration // -1: never
}

func TestSettler(t *testing.T) {
	const ms = time.Millisecond
	fresh := []stamp{{there: true, modified: begin.UnixNano()}}
	for name, steps := range map[string][]step{
		"settles at the second look": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 29 * ms, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, told: true, again: -1},
			{at: time.Hour, seen: stampOfSize(1), next: -1},
		},
		"a late second look is one": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: time.Hour, seen: stampOfSize(1), ready: true, next: -1, content: 1, told: true, again: -1},
		},
		"every growth begins anew": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 20 * ms, seen: stampOfSize(2), next: 50 * ms},
			{at: 40 * ms, seen: stampOfSize(3), next: 70 * ms},
			{at: 70 * ms, seen: stampOfSize(3), ready: true, next: -1, content: 3, told: true, again: -1},
		},
		"a companion's change is the file's": {
			{at: 0, seen: append(stampOfSize(1), stamp{}), next: settle},
			{at: 20 * ms, seen: append(stampOfSize(1), stampOfSize(1)...), next: 50 * ms},
			{at: 50 * ms, seen: append(stampOfSize(1), stampOfSize(1)...), ready: true, next: -1, content: 1, told: true, again: -1},
		},
		"changes while it is read": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1},
			{at: 31 * ms, seen: stampOfSize(1), next: 61 * ms},
			{at: 61 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, told: true, again: -1},
		},
		"the same content is no change": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, told: true, again: -1},
			{at: 40 * ms, seen: stampOfSize(2), next: 70 * ms},
			{at: 70 * ms, seen: stampOfSize(2), ready: true, next: -1, content: 1, again: -1},
		},
		"what is known is no change": {
			{at: 0, seen: stampOfSize(9), next: settle},
			{at: 30 * ms, seen: stampOfSize(9), ready: true, next: -1, content: known, again: -1},
		},
		"what is known is gone": {
			{at: 0, next: gone},
			{at: gone - 1, next: gone},
			{at: gone, gone: true, next: -1},
			{at: gone + 1, next: -1},
		},
		"back before it is gone": {
			{at: 0, next: gone},
			{at: gone - 1, seen: stampOfSize(1), next: gone - 1 + settle},
			{at: gone, next: gone + gone},
			{at: gone + gone - 1, next: gone + gone},
			{at: gone + gone, gone: true, next: -1},
			{at: 3 * gone, seen: stampOfSize(1), next: 3*gone + settle},
			{at: 4 * gone, seen: stampOfSize(1), ready: true, next: -1, content: known, told: true, again: -1},
		},
		"nothing is gone with the directory": {
			{at: 0, next: gone},
			{at: gone - 1, away: true},
			{at: time.Hour, away: true},
			{at: time.Hour + 1, next: time.Hour + 1 + gone},
		},
		"nothing settles while the directory is away": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 10 * ms, away: true},
			{at: time.Hour, seen: stampOfSize(1), next: time.Hour + settle},
		},
		"read is read, though the directory was away": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, told: true, again: -1},
			{at: time.Minute, away: true},
			{at: time.Hour, seen: stampOfSize(1), next: -1},
		},
		"half-written is told late": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: partial, again: gone},
			{at: time.Second, seen: stampOfSize(1), next: gone},
			{at: gone, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: partial, told: true, again: -1},
			{at: time.Hour, seen: stampOfSize(1), next: -1},
		},
		"half-written, then whole": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: partial, again: gone},
			{at: time.Second, seen: stampOfSize(2), next: time.Second + settle},
			{at: 2 * time.Second, seen: stampOfSize(2), ready: true, next: -1, content: 2, told: true, again: -1},
			{at: time.Hour, seen: stampOfSize(2), next: -1},
		},
		"a failure is told late and tried again": {
			{at: 0, seen: stampOfSize(1), next: settle},
			{at: 30 * ms, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: failed, again: gone},
			{at: gone, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: failed, told: true, again: 2 * gone},
			{at: 2 * gone, seen: stampOfSize(1), ready: true, next: -1, content: 1, verdict: failed, again: 3 * gone},
			{at: 2*gone + 1, seen: stampOfSize(1), next: 3 * gone},
			{at: 3 * gone, seen: stampOfSize(1), ready: true, next: -1, content: 2, told: true, again: -1},
		},
		"written within the file system's granularity": {
			{at: 0, seen: fresh, next: settle},
			{at: 30 * ms, seen: fresh, ready: true, next: -1, content: 1, told: true, again: granularity + 30*ms},
			{at: time.Second, seen: fresh, next: granularity + 30*ms},
			{at: granularity + 30*ms, seen: fresh, ready: true, next: -1, content: 2, told: true, again: -1},
			{at: time.Hour, seen: fresh, next: -1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSettler(settle, gone)
			s.know("x", sum{known})
			rel := func(at time.Time) time.Duration {
				if at.Equal(never) {
					return -1
				}
				return at.Sub(begin)
			}
			for _, st := range steps {
				now := begin.Add(st.at)
				if st.away {
					s.forget()
					continue
				}
				files := map[string][]stamp{}
				if st.seen != nil {
					files["x"] = st.seen
				}
				ready, gone, next := s.look(now, files)
				if slices.Contains(ready, "x") != st.ready || slices.Contains(gone, "x") != st.gone || rel(next) != st.next {
					t.Fatalf("at %v: ready %v, gone %v, next %v; want %+v", st.at, ready, gone, rel(next), st)
				}
				switch {
				case !st.ready:
				case st.content == 0:
					s.disturbed("x")
				default:
					told, again := s.read(now, "x", sum{st.content}, st.verdict)
					if told != st.told || rel(again) != st.again {
						t.Fatalf("at %v: told %v, again %v; want %+v", st.at, told, rel(again), st)
					}
				}
			}
		})
	}
}

// known is the content that is known from the start.
const known = 200
