package watch

import (
	"slices"
	"time"
)

// granularity is that of the coarsest times of files (FAT's). A file that was read within
// it of its change may have been changed again under the same stamp.
const granularity = 2 * time.Second

// settler decides which files have settled and which are gone, from what looks at the
// directory saw and when. It has no clock and touches no file.
type settler struct {
	settle, gone time.Duration
	entries      map[string]*entry
}

// entry is what is known of a name.
type entry struct {
	seen    []stamp   // at the last look; nil: not seen, or not to be relied upon
	missing bool      // at the last look
	since   time.Time // of the look that first saw seen, or missed it
	read    []stamp   // what was seen when it was read last
	again   time.Time // when to read it again all the same; zero: never
	told    bool
	sum     sum // of what was told last
}

func newSettler(settle, gone time.Duration) settler {
	return settler{settle: settle, gone: gone, entries: map[string]*entry{}}
}

// know takes what the caller knows of a file as told.
func (s *settler) know(name string, sum sum) {
	s.entries[name] = &entry{told: true, sum: sum}
}

// hasTold reports whether the caller knows of any file.
func (s *settler) hasTold() bool {
	for _, e := range s.entries {
		if e.told {
			return true
		}
	}
	return false
}

// forget is called when the directory could not be seen: what was seen before says nothing
// of how long it lasted.
func (s *settler) forget() {
	for _, e := range s.entries {
		e.seen, e.missing = nil, false
	}
}

// look takes what was seen of each file at a time. It returns the names of files that are
// to be read, those of files that are gone, in no order, and when to look next if nothing
// happens; zero means never. After each read, read or disturbed is to be called.
func (s *settler) look(now time.Time, files map[string][]stamp) (ready, gone []string, next time.Time) {
	next = never
	for name, seen := range files {
		e := s.entries[name]
		if e == nil {
			e = &entry{}
			s.entries[name] = e
		}
		if e.seen == nil || !slices.Equal(e.seen, seen) {
			e.seen, e.since, e.missing = seen, now, false
		}
		at := e.since.Add(s.settle)
		if slices.Equal(e.read, seen) {
			if e.again.IsZero() {
				continue
			}
			at = later(at, e.again)
		}
		if now.Before(at) {
			next = earlier(next, at)
		} else {
			ready = append(ready, name)
		}
	}
	for name, e := range s.entries {
		if _, ok := files[name]; ok {
			continue
		}
		if !e.missing {
			e.seen, e.since, e.missing = nil, now, true
		}
		switch at := e.since.Add(s.gone); {
		case !e.told:
			delete(s.entries, name)
		case now.Before(at):
			next = earlier(next, at)
		default:
			delete(s.entries, name)
			gone = append(gone, name)
		}
	}
	return ready, gone, next
}

// read takes what a file that was ready turned out to be. It returns whether that is to be
// told, and when to look at it again; never, if it stays as it is.
func (s *settler) read(now time.Time, name string, sum sum, v verdict) (tell bool, again time.Time) {
	e := s.entries[name]
	first := !slices.Equal(e.read, e.seen)
	e.read, e.again = e.seen, time.Time{}
	if at := e.since.Add(s.gone); v != final && now.Before(at) {
		e.again = at
		return false, at
	}
	again = never
	switch {
	case v == failed:
		again = now.Add(s.gone)
	case first && now.Sub(newest(e.seen)) < granularity:
		again = now.Add(granularity)
	}
	if again.Before(never) {
		e.again = again
	}
	if e.told && e.sum == sum {
		return false, again
	}
	e.told, e.sum = true, sum
	return true, again
}

// disturbed says that a file changed while it was read.
func (s *settler) disturbed(name string) { s.entries[name].seen = nil }

// never is later than any time that is looked for.
var never = time.Unix(1<<40, 0)

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
