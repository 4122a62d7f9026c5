package event

import (
	"cmp"
	"slices"
)

// What is kept of plugins' logs.
const (
	// LogLines is how many lines are kept of a plugin, and LogBytes how much text they have at most,
	// in bytes.
	LogLines = 256
	LogBytes = 64 << 10
	// MaxLogs is of how many plugins. Beyond it the one whose last line is the oldest is forgotten.
	MaxLogs = 256
	// MaxLogLine is the longest text of a line, in bytes: as bytes that are no UTF-8 are replaced by
	// longer ones, three times what a plugin may write.
	MaxLogLine = 12 << 10
)

// logs are the last lines of each plugin. One that writes much pushes out none of another's, and
// nothing that is rare.
type logs struct {
	of map[string]*log // by the plugin's source
	// forgotten is the latest line, by its number, of plugins of which nothing is kept any more.
	forgotten uint64
}

// log is the last lines of one plugin.
type log struct {
	ring ring
	gone Event // the latest that is no longer kept, without its text; the zero Event for none
}

func (l *logs) push(e Event, body PluginLogged) {
	one := l.of[body.Source]
	if one == nil {
		l.makeRoom()
		one = &log{ring: ring{max: LogLines, most: LogBytes}}
		one.ring.gone = func(e Event) {
			if body, ok := e.Body.(PluginLogged); ok {
				body.Text = ""
				e.Body = body
			}
			one.gone = e
		}
		l.of[body.Source] = one
	}
	one.ring.push(e)
}

// makeRoom forgets a plugin if there are as many as there may be.
func (l *logs) makeRoom() {
	if len(l.of) < MaxLogs {
		return
	}
	oldest, at := "", ^uint64(0)
	for source, one := range l.of {
		if last := one.last(); last < at {
			oldest, at = source, last
		}
	}
	l.forgotten = max(l.forgotten, at)
	delete(l.of, oldest)
}

// last is the number of the newest line.
func (l *log) last() uint64 {
	if l.ring.n == 0 {
		return l.gone.Seq
	}
	return l.ring.events[(l.ring.first+l.ring.n-1)%len(l.ring.events)].Seq
}

// lost reports whether a subscription that goes on after that event misses lines of a plugin that it
// would receive.
func (l *logs) lost(after uint64, match func(Body) Body) bool {
	if l.forgotten > after {
		return true
	}
	for _, one := range l.of {
		if one.gone.Seq > after && (match == nil || match(one.gone.Body) != nil) {
			return true
		}
	}
	return false
}

// all returns all lines, in no order.
func (l *logs) all() (list []Event) {
	for _, one := range l.of {
		list = append(list, one.ring.all()...)
	}
	return list
}

// Logged returns the last lines that a plugin has written, by the name of its source, oldest first:
// the last [LogLines] at most. A bus without a history has none.
func (b *Bus) Logged(source string) []Event {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.logs.of[source]
	if one == nil {
		return nil
	}
	return one.ring.all()
}

// Last returns the number of the event that was published last, 0 if there was none.
func (b *Bus) Last() uint64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

// keptLocked returns what is kept of the kinds, a bit each, oldest first.
func (b *Bus) keptLocked(of uint64) []Event {
	events := slices.DeleteFunc(b.history.all(), func(e Event) bool { return of>>e.Body.Kind()&1 == 0 })
	if of>>KindPluginLogged&1 == 0 || len(b.logs.of) == 0 {
		return events
	}
	events = append(events, b.logs.all()...)
	slices.SortFunc(events, func(x, y Event) int { return cmp.Compare(x.Seq, y.Seq) })
	return events
}
