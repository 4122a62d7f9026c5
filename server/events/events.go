// Package events streams what happens on a bus to clients of HTTP, as server-sent events.
//
// A [Hub] bounds all streams together and counts them. A [Feed] is one bus that a hub streams. A
// client that takes events more slowly than they come loses the oldest, and is told how many;
// nobody waits for it. A client that comes again goes on behind the event that it names, as far as
// the bus remembers, and is told of a gap otherwise.
package events

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
)

// MediaType is that of server-sent events.
const MediaType = "text/event-stream"

// Defaults of Options.
const (
	DefaultMaxStreams   = 256
	DefaultBuffer       = 1024
	DefaultBytes        = 1 << 20
	DefaultKeepAlive    = 15 * time.Second
	DefaultStallTimeout = 30 * time.Second
)

const (
	// retry is how long a client waits before it comes again, if nothing tells it otherwise.
	retry = 2 * time.Second
	// retryDrained is the same for one whose server ends.
	retryDrained = 5 * time.Second
	// together is how long events wait for others after some were sent, so that those that come fast share
	// a write. The first after a while waits for none.
	together = 10 * time.Millisecond
	// chunk is how much is written at once, in bytes, about.
	chunk = 32 << 10
)

// Options bound the streams of a hub. The zero value of a field is its default.
type Options struct {
	// MaxStreams is how many streams there are at most; default 256. Further clients get 429. The
	// last quarter is for owners (Query.Owner) that have less than an eighth.
	MaxStreams int
	// Buffer is how many events wait for a client; default 1024. Bytes is how much of outputs and
	// other payloads they have together; default 1 MiB. A single event may have more.
	Buffer, Bytes int
	// KeepAlive is after how long without an event the client gets a comment, by which both sides
	// see that the connection lives; default 15 s.
	KeepAlive time.Duration
	// StallTimeout is how long a client may take for what is written at once; default 30 s.
	StallTimeout time.Duration
}

// Hub is what all streams have in common. Its methods may be called concurrently.
type Hub struct {
	opts     Options
	draining chan struct{} // closed by Drain
	drain    func()

	streams                prometheus.Gauge
	sent, dropped, refused prometheus.Counter

	mu     sync.Mutex // guards the rest
	open   int
	owners map[string]int // how many of the open ones an owner has, if any
}

// NewHub returns a hub without streams.
func NewHub(o Options) *Hub {
	o.MaxStreams = cmp.Or(max(o.MaxStreams, 0), DefaultMaxStreams)
	o.Buffer = cmp.Or(max(o.Buffer, 0), DefaultBuffer)
	o.Bytes = cmp.Or(max(o.Bytes, 0), DefaultBytes)
	o.KeepAlive = cmp.Or(max(o.KeepAlive, 0), DefaultKeepAlive)
	o.StallTimeout = cmp.Or(max(o.StallTimeout, 0), DefaultStallTimeout)
	h := &Hub{
		opts: o, draining: make(chan struct{}), owners: make(map[string]int),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "resonhost_event_streams", Help: "Streams of events that are open."}),
		sent:    prometheus.NewCounter(prometheus.CounterOpts{Name: "resonhost_events_sent_total", Help: "Events that were sent to clients, each counted for each client."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "resonhost_events_dropped_total", Help: "Events that clients did not get because they took them more slowly than they came."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "resonhost_event_streams_refused_total", Help: "Streams of events that were refused because there were as many as there may be."}),
	}
	h.drain = sync.OnceFunc(func() { close(h.draining) })
	return h
}

// Collectors are the hub's metrics.
func (h *Hub) Collectors() []prometheus.Collector {
	return []prometheus.Collector{h.streams, h.sent, h.dropped, h.refused}
}

// Drain ends all streams, and those that come. Calling it again is fine.
func (h *Hub) Drain() { h.drain() }

func (h *Hub) isDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// Feed returns a feed of a bus.
func (h *Hub) Feed(bus *event.Bus) *Feed {
	return &Feed{hub: h, bus: bus, epoch: strings.ToLower(rand.Text()[:12])}
}

// Feed is a bus whose events are streamed.
type Feed struct {
	hub *Hub
	bus *event.Bus
	// epoch tells IDs of this feed from those of others.
	epoch string
}

// Hub returns the feed's hub.
func (f *Feed) Hub() *Hub { return f.hub }

// enter takes a place for a stream of an owner. ok is false if there is none.
func (h *Hub) enter(owner string) (leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := h.opts.MaxStreams
	if h.owners[owner] >= max(most/8, 1) {
		most -= most / 4
	}
	if h.open >= most {
		h.refused.Inc()
		return nil, false
	}
	h.open++
	h.owners[owner]++
	h.streams.Inc()
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.open--
		if h.owners[owner]--; h.owners[owner] == 0 {
			delete(h.owners, owner)
		}
		h.streams.Dec()
	}, true
}

// Serve streams what a client asks for, until the client goes, the bus is closed, or the hub
// drains. It returns an error if nothing was written yet: the stream is one too many.
func (f *Feed) Serve(w http.ResponseWriter, r *http.Request, q Query) error {
	leave, ok := f.hub.enter(q.Owner)
	if !ok {
		return &host.Error{Kind: host.KindQueueFull, Message: "there are as many streams of events as there may be, of which the last quarter is for tenants with few; try again when some have ended"}
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", MediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // of nginx, which would hold events back
	if r.Method == http.MethodHead {
		return nil
	}
	s := &stream{feed: f, query: q, w: w, control: http.NewResponseController(w)}
	s.subscribe()
	// Who does not come back for what was dropped has missed it as well.
	defer func() {
		s.sub.Close()
		s.count()
	}()
	s.run(r.Context())
	return nil
}

// stream is one client's.
type stream struct {
	feed    *Feed
	query   Query
	sub     *event.Subscription
	w       http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer // what is to be written next
	events  int          // in buf
	counted uint64       // of the events that were dropped
	pace    *pace        // nil where the client gets all
	err     error        // with which the client is gone
}

// subscribe begins the subscription, and says so.
func (s *stream) subscribe() {
	match := s.query.match
	if s.query.Rate > 0 {
		s.pace = newPace(s.query.Rate)
		match = func(b event.Body) event.Body { return s.pace.match(s.query.match(b)) }
	}
	sel := event.Selection{Kinds: s.query.Kinds, Match: match, Buffer: s.feed.hub.opts.Buffer, Bytes: s.feed.hub.opts.Bytes}
	gap := api.StreamGap{Reason: api.GapForgotten}
	// Without an ID a client that is cut off before its first event goes on from here too.
	sel.Resume, sel.After = true, s.feed.bus.Stats().Published
	if s.query.Last != "" {
		after, known := s.feed.after(s.query.Last)
		if sel.After = after; !known {
			gap.Reason = api.GapUnknownID
		}
	}
	kinds := sel.Kinds
	if len(kinds) == 0 {
		kinds = event.Kinds()
	}
	sub, lost := s.feed.bus.Select(sel)
	s.sub = sub
	s.buf.WriteString("retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\nid: " + s.feed.ID(sel.After) + "\n")
	s.own(api.KindStreamBegin, api.StreamBegin{Kinds: namesOf(kinds), Notes: s.query.Notes})
	switch {
	case s.query.Last == "":
	case gap.Reason == api.GapUnknownID:
		gap.Kinds = namesOf(kinds)
		s.own(api.KindStreamGap, gap)
	case len(lost) > 0 && s.query.Last != "0":
		gap.Kinds = namesOf(lost)
		s.own(api.KindStreamGap, gap)
	}
}

// run writes events until something ends the stream.
func (s *stream) run(ctx context.Context) {
	timer := time.NewTimer(s.feed.hub.opts.KeepAlive)
	defer timer.Stop()
	s.flush()
	for s.err == nil && ctx.Err() == nil {
		if why := s.take(ctx); why != "" {
			s.end(why)
			return
		}
		ready, pause := s.sub.Ready(), s.feed.hub.opts.KeepAlive
		sent := s.buf.Len() > 0
		if sent {
			s.flush()
			ready, pause = nil, min(pause, together)
		}
		timer.Reset(pause)
		select {
		case <-ready:
		case <-timer.C:
			if !sent {
				s.buf.WriteString(": keep-alive\n\n")
				s.leftOut(time.Now())
				s.flush()
			}
		case <-s.feed.hub.draining: // which take sees, as it does the next
		case <-s.query.Withdrawn:
		case <-ctx.Done():
		}
	}
}

// take writes what there is. It returns why the stream is to end, "" if it goes on. There may be no
// end of what there is, so it asks for that whenever it has nothing left to flush. Of a hub that
// drains it writes what was published until it saw that; the client has the rest when it comes again.
func (s *stream) take(ctx context.Context) api.EndReason {
	draining, until := false, uint64(math.MaxUint64)
	for s.err == nil && ctx.Err() == nil {
		if s.buf.Len() == 0 {
			select {
			case <-s.query.Withdrawn:
				return api.EndWithdrawn
			default:
			}
			if !draining && s.feed.hub.isDraining() {
				draining, until = true, s.feed.bus.Stats().Published
			}
		}
		e, missed, err := s.sub.Take()
		if missed > 0 {
			s.gap(missed)
		}
		switch {
		case draining && (err != nil || e.Body == nil || e.Seq > until):
			return api.EndDraining
		case err != nil:
			return api.EndClosed
		case e.Body == nil:
			return ""
		}
		s.event(e)
		if s.buf.Len() >= chunk {
			s.flush()
		}
	}
	return ""
}

// count counts the events that were dropped since it was called before.
func (s *stream) count() {
	dropped := s.sub.Dropped()
	s.feed.hub.dropped.Add(float64(dropped - s.counted))
	s.counted = dropped
}

// gap tells the client how many events it was too slow for, and counts them.
func (s *stream) gap(missed uint64) {
	s.count()
	kinds := s.query.Kinds
	if len(kinds) == 0 {
		kinds = event.Kinds()
	}
	s.own(api.KindStreamGap, api.StreamGap{Reason: api.GapSlow, Missed: missed, Kinds: namesOf(kinds)})
}

// end tells the client that the server ends the stream, and when to come again.
func (s *stream) end(why api.EndReason) {
	s.buf.WriteString("retry: " + strconv.FormatInt(retryDrained.Milliseconds(), 10) + "\n")
	s.own(api.KindStreamEnd, api.StreamEnd{Reason: why})
	s.flush()
	s.deadline() // for the answer's end
}

// own writes an event of the stream's own, which does not change where the client is.
func (s *stream) own(kind string, data any) {
	s.write(kind, api.Event{Type: kind + api.EventVersion, Time: time.Now().UTC(), Data: data})
}

// leftOut tells the client how many events there were beyond its rate, once a second at most.
func (s *stream) leftOut(now time.Time) {
	if n := s.pace.told(now); n > 0 {
		s.own(api.KindStreamGap, api.StreamGap{Reason: api.GapRate, Missed: n, Kinds: namesOf(s.pace.kinds(s.query.Kinds))})
	}
}

func (s *stream) event(e event.Event) {
	s.leftOut(e.Time)
	out := api.EventOf(e)
	out.ID = s.feed.ID(e.Seq)
	s.buf.WriteString("id: " + out.ID + "\n")
	s.write(e.Body.Kind().String(), out)
	s.events++
}

// write writes an event. JSON has no end of a line in it.
func (s *stream) write(kind string, e api.Event) {
	s.buf.WriteString("event: " + kind + "\ndata: ")
	before := s.buf.Len()
	if err := json.NewEncoder(&s.buf).Encode(e); err != nil { // of a broadcast that is no JSON
		s.buf.Truncate(before)
		e.Data = nil
		_ = json.NewEncoder(&s.buf).Encode(e) // which has nothing that could fail
	}
	s.buf.WriteByte('\n') // the encoder has ended the line
}

// deadline is when what is written next must have gone. A connection without deadlines has none to
// miss.
func (s *stream) deadline() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.feed.hub.opts.StallTimeout))
}

// flush sends what is there. In between no deadline is set: HTTP/2 would end the stream at it.
func (s *stream) flush() {
	if s.buf.Len() == 0 || s.err != nil {
		return
	}
	s.deadline()
	if _, s.err = s.w.Write(s.buf.Bytes()); s.err == nil {
		s.err = s.control.Flush()
	}
	if s.err == nil {
		s.feed.hub.sent.Add(float64(s.events))
		_ = s.control.SetWriteDeadline(time.Time{})
	}
	s.events = 0
	s.buf.Reset()
	if s.buf.Cap() > 8*chunk { // of an event that was large
		s.buf = bytes.Buffer{}
	}
}
