package devloop

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// ownAfter is in how many builds in a row a file has changed that counts as what the build
// writes. An author does not save one in each of so many, of which the last two were not
// interrupted.
const ownAfter = 4

// coarse is how far the times of files are behind the clock at most.
const coarse = 20 * time.Millisecond

// verdict is what to do about a change.
type verdict int

const (
	// rebuild ends the build under way and begins another.
	rebuild verdict = iota
	// finish has the build under way end first, and begins another then: it may be what
	// writes.
	finish
	// settle begins none: the build writes what has changed.
	settle
)

// habits is what builds wrote, to tell apart what an author saves from what a build writes
// each time, which would have it begin for ever.
type habits struct {
	build        int // which one is under way, or was last
	began, ended time.Time
	wrote        map[string]habit
}

// habit is in how many builds in a row, and in which last, a file has changed.
type habit struct{ last, row int }

func (h *habits) begin(now time.Time) {
	h.build++
	h.began, h.ended = now, time.Time{}
}

func (h *habits) end(now time.Time) { h.ended = now }

// judge says what to do about files that changed.
func (h *habits) judge(c change) verdict {
	if c.err != nil {
		return rebuild
	}
	least := ownAfter
	for _, name := range c.files {
		least = min(least, h.row(name, c.written[name]))
	}
	switch {
	case least >= ownAfter:
		return settle
	case least == ownAfter-1:
		return finish
	}
	return rebuild
}

// row is in how many builds in a row the file has changed, this one included; 0 if it
// changed outside of it.
func (h *habits) row(name string, written time.Time) int {
	if h.build == 0 || written.Before(h.began.Add(-coarse)) || !h.ended.IsZero() && written.After(h.ended) {
		return 0
	}
	w := h.wrote[name]
	switch w.last {
	case h.build:
	case h.build - 1:
		w = habit{h.build, w.row + 1}
	default:
		w = habit{h.build, 1}
	}
	if h.wrote == nil {
		h.wrote = make(map[string]habit)
	}
	h.wrote[name] = w
	return w.row
}

// saySettled tells which files begin no build, once, and what to do about it.
func (l *loop) saySettled(files []string) {
	if l.settled == nil {
		l.settled = make(map[string]bool)
	}
	var names []string
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return l.settled[f] })
	for _, f := range files {
		l.settled[f] = true
		names = append(names, path.Base(f))
	}
	if len(files) == 0 {
		return
	}
	slices.Sort(names)
	it := "it"
	if len(files) > 1 {
		it = "them"
	}
	l.Status(fmt.Sprintf("%s changed during each of the last %d builds, so the build seems to write %s: "+
		"that begins no further build. --ignore %s leaves %s out; if you saved %s, do so again",
		list(files), ownAfter, it, strings.Join(slices.Compact(names), ","), it, it))
}

// list names files, some of many.
func list(files []string) string {
	const most = 3
	what := strings.Join(files[:min(len(files), most)], ", ")
	if n := len(files) - most; n > 0 {
		what += fmt.Sprintf(" and %d more", n)
	}
	return what
}
