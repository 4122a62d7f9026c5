package module

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// maxLine is the longest line of a guest that is logged as one, in bytes.
const maxLine = 4 << 10

// Line is a line of a guest's log, for Options.Logged.
type Line struct {
	// Name is the plugin's, its source's before it has told it. Hash is the binary's.
	Name, Hash string
	Level      slog.Level
	// Stream is log, stdout or stderr; host for what is said of the log itself.
	Stream string
	// Text is valid UTF-8 of at most three times maxLine bytes.
	Text string
	// Dropped is how many lines are missing before this one.
	Dropped uint64
}

// overflow is what is said of a plugin that logs too much.
const overflow = "the plugin logs more than it may; lines are dropped and counted"

// guestLog passes on what a plugin's instances log, at a limited rate.
type guestLog struct {
	log     *slog.Logger
	tell    func(Line) // may be nil
	hash    string
	name    atomic.Pointer[string]
	limit   *rate.Limiter
	dropped atomic.Uint64 // bytes
	missing atomic.Uint64 // lines that were dropped since one was told
	since   time.Time     // of which last is
	last    atomic.Int64  // when a line was dropped last, in nanoseconds; long ago at first
	trying  atomic.Bool   // the plugin is only tried: what it writes is no sign of anything, see [Module.try]
}

func newGuestLog(log *slog.Logger, bytesPerSecond int) *guestLog {
	// A line must fit the burst, or it never passes.
	g := &guestLog{log: log, limit: rate.NewLimiter(rate.Limit(bytesPerSecond), max(bytesPerSecond, maxLine)), since: time.Now()}
	g.last.Store(int64(-lull))
	return g
}

// telling has each line be told, of a plugin by its source's name for now.
func (g *guestLog) telling(tell func(Line), name, hash string) {
	g.tell, g.hash = tell, hash
	g.name.Store(&name)
}

// write logs a line. Lines from info on are told also if the log's level drops them.
func (g *guestLog) write(level slog.Level, source string, msg []byte) {
	if len(msg) > maxLine {
		msg = msg[:maxLine]
	}
	ctx := context.Background()
	if g.trying.Load() {
		level = min(level, slog.LevelDebug)
	}
	logged := g.log.Enabled(ctx, level)
	told := g.tell != nil && (logged || level >= slog.LevelInfo)
	if !logged && !told {
		return
	}
	n := max(len(msg), 1)
	if now := time.Now(); !g.limit.AllowN(now, n) {
		g.drop(now, n)
		return
	}
	text := strings.ToValidUTF8(string(msg), "\uFFFD")
	if logged {
		g.log.Log(ctx, level, text, "source", source)
	}
	if told {
		g.told(level, source, text, g.missing.Swap(0))
	}
}

// lull is how long no line may be dropped before it is said again that lines are. Of a plugin that floods
// its log, a line passes now and then: if each had it said anew, the log would be full of that.
const lull = time.Second

// drop counts a line of n bytes that is not passed on, and says that this begins.
func (g *guestLog) drop(now time.Time, n int) {
	g.dropped.Add(uint64(n))
	g.missing.Add(1)
	at := int64(now.Sub(g.since))
	if at-g.last.Swap(at) < int64(lull) {
		return
	}
	g.log.Warn(overflow, "bytes_per_second", float64(g.limit.Limit()))
	if g.tell != nil {
		g.told(slog.LevelWarn, "host", overflow, 0)
	}
}

func (g *guestLog) told(level slog.Level, stream, text string, dropped uint64) {
	g.tell(Line{Name: *g.name.Load(), Hash: g.hash, Level: level, Stream: stream, Text: text, Dropped: dropped})
}

// stdio is a guest's standard output or error: lines on their way to the log.
// What a task writes is held back until the task ends: if it ends badly, the
// tail goes into its error, and nowhere else.
type stdio struct {
	out    *guestLog
	level  slog.Level
	source string
	hold   bool            // whether lines are held back
	charge func(bytes int) // bills the guest for what is logged while it runs
	buf    []byte
	head   []byte // why a Go program ends, see remember; of what was logged of this task
}

// maxHeld is how much of a guest's output is held back, in bytes; what exceeds
// it is logged, the oldest first.
const maxHeld = 8 << 10

func (s *stdio) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), maxHeld)
		s.buf = append(s.buf, p[:k]...)
		p = p[k:]
		s.spill()
	}
	return n, nil
}

// lineBytes is as how many bytes that are moved a line counts that is logged, or dropped,
// however short it is.
const lineBytes = 1 << 10

// spill logs whole lines, as many as make the rest fit.
func (s *stdio) spill() {
	for !s.hold || len(s.buf) > maxHeld {
		if s.hold {
			s.charge(lineBytes)
		}
		i := bytes.IndexByte(s.buf, '\n')
		if i < 0 {
			if len(s.buf) <= maxLine {
				return
			}
			s.line(s.buf[:maxLine])
			s.buf = s.buf[maxLine:]
			continue
		}
		if s.hold {
			s.remember(s.buf[:i])
		}
		s.line(s.buf[:i])
		s.buf = s.buf[i+1:]
	}
}

func (s *stdio) line(b []byte) {
	if len(b) > 0 {
		s.out.write(s.level, s.source, b)
	}
}

// flush logs what was held back: with the task, its last line ends too.
func (s *stdio) flush() {
	s.head = s.head[:0]
	if len(s.buf) == 0 {
		return
	}
	s.hold = false
	s.spill()
	s.hold = true
	s.line(s.buf)
	s.buf = s.buf[:0]
}

// tail returns what was held back, and forgets it.
func (s *stdio) tail() string {
	t := strings.ToValidUTF8(string(s.buf), "\uFFFD")
	s.buf = nil
	return strings.TrimSuffix(t, "\n")
}

// maxHead is how much is kept of what follows a headline that had to go to the log, in
// bytes: enough to find the first frame of a Go stack that is not the runtime's.
const maxHead = 4 << 10

// remember keeps a headline that goes to the log, and what follows it.
func (s *stdio) remember(line []byte) {
	switch {
	case isHeadline(line):
		s.head = s.head[:0]
	case len(s.head) == 0 || len(s.head) > maxHead:
		return
	}
	s.head = append(append(s.head, line[:min(len(line), maxHead)]...), '\n')
}

// words returns the guest's last words on one line: of a Go program why it ended and where,
// of another the last lines that it wrote.
func (s *stdio) words() string {
	text := s.buf
	if headline(text) < 0 && len(s.head) > 0 {
		text = append(s.head, text...)
	}
	at := headline(text)
	if at < 0 {
		return onOneLine(lastLines(text))
	}
	return onOneLine(goReason(text[at:]))
}

// reason returns why a program says that it ended, if it does.
func (s *stdio) reason() string {
	if at := headline(s.buf); at >= 0 {
		return onOneLine(goReason(s.buf[at:]))
	}
	return ""
}
