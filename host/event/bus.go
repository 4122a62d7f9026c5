package event

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a bus and its subscriptions.
const (
	DefaultHistory = 256
	DefaultBuffer  = 256
	// MaxBuffer is the largest buffer, in events.
	MaxBuffer = 1 << 20
	// MaxBytes is how much a subscription, and the history, hold of what events bring along:
	// outputs, payloads, lists of nodes. An event that has more is held alone.
	MaxBytes = 64 << 20
)

// ErrClosed is what a subscription returns that was closed, or whose bus was, once
// it has returned what was before.
var ErrClosed = errors.New("subscription is closed")

// Bus hands events to subscribers. Make one with [New].
type Bus struct {
	wanted atomic.Uint64 // kinds that somebody subscribes to, a bit each

	ctx      context.Context // of handlers
	cancel   context.CancelFunc
	handlers sync.WaitGroup

	mu      sync.Mutex // guards all below, and subscriptions' buffers
	seq     uint64
	history ring
	logs    logs // of plugins, beside the history
	// forgotten has of each kind the latest event that the history no longer has, 0 for none.
	forgotten [kinds]uint64
	subs      map[*Subscription]struct{}
	dropped   uint64 // by subscriptions that are no longer
	closed    bool
	late      uint64 // published after Close
}

// New returns a bus that keeps the last history events, [DefaultHistory] if 0, none
// if negative, at most [MaxBuffer]. One that keeps any keeps the last lines that plugins wrote
// besides, see [Bus.Logged].
func New(history int) *Bus {
	if history == 0 {
		history = DefaultHistory
	}
	b := &Bus{history: ring{max: min(max(history, 0), MaxBuffer), most: MaxBytes}, subs: make(map[*Subscription]struct{})}
	b.logs.of = make(map[string]*log)
	b.history.gone = func(e Event) { b.forgotten[e.Body.Kind()] = e.Seq }
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Wants reports whether an event of the kind would reach somebody: a subscriber, or
// the history. Those who publish need not make others.
func (b *Bus) Wants(k Kind) bool {
	return b != nil && k < kinds && (!k.Transient() && (k != KindPluginLogged || b.history.max > 0) || b.wanted.Load()>>k&1 == 1)
}

// Publish hands an event to all who subscribe to its kind. It does not wait for
// them. What comes after [Bus.Close] is lost, and counted. A body that is nil, or of no
// kind there is, is no event.
func (b *Bus) Publish(body Body) {
	if body == nil || !b.Wants(body.Kind()) {
		return
	}
	kind := body.Kind()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		b.late++
		return
	}
	b.seq++
	e := Event{Seq: b.seq, Time: time.Now(), Body: body}
	switch logged, ok := body.(PluginLogged); {
	case ok && b.history.max > 0:
		b.logs.push(e, logged)
	case !ok && !kind.Transient():
		b.history.push(e)
	}
	for s := range b.subs {
		if s.takeLocked(e) {
			s.signal()
		}
	}
}

// History returns the last events of the kinds, of all if there are none, oldest
// first.
func (b *Bus) History(of ...Kind) []Event {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keptLocked(mask(of))
}

// mask has a bit for each kind that there is; all for none.
func mask(of []Kind) (m uint64) {
	const all = 1<<kinds - 1
	if len(of) == 0 {
		return all
	}
	for _, k := range of {
		m |= 1 << k
	}
	return m & all
}

// Stats is a snapshot of a bus.
type Stats struct {
	// Published is how many events there were, Dropped how many did not reach a
	// subscriber since it was slow, each counted for each.
	Published, Dropped uint64
	// Late is how many were published after the bus had been closed.
	Late        uint64
	Subscribers int
}

// Stats returns a snapshot.
func (b *Bus) Stats() Stats {
	if b == nil {
		return Stats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Published: b.seq, Dropped: b.dropped, Late: b.late, Subscribers: len(b.subs)}
	for sub := range b.subs {
		s.Dropped += sub.dropped
	}
	return s
}

// Close closes the bus: it takes no further event, and subscriptions end once they
// have returned what they hold. It waits for the functions of [Bus.Handle]; if ctx
// ends first, it ends theirs, still waits, and returns ctx's cause. So a function that
// calls it waits for itself: it must not.
func (b *Bus) Close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	b.closed = true
	for s := range b.subs {
		s.closeLocked()
	}
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		b.handlers.Wait()
		close(ended)
	}()
	defer b.cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		b.cancel()
		<-ended
		return context.Cause(ctx)
	}
}

// Selection is what a subscription receives. The zero value is all that happens from now on.
type Selection struct {
	// Kinds are those of the events; all if there are none.
	Kinds []Kind
	// Match, if set, is asked about each event of the kinds, and returns the body to receive, nil
	// for none. It may leave parts out, in a copy: others share the body. It is called while
	// the bus is locked, so it must be quick and must not use the bus.
	Match func(Body) Body
	// Buffer is how many events the subscription holds; [DefaultBuffer] if it is 0 or negative, at
	// most [MaxBuffer].
	Buffer int
	// Bytes is how much it holds of what events bring along; [MaxBytes] if it is 0 or negative, and
	// at most.
	Bytes int
	// Resume has it begin with what the history holds after the event whose Seq is After; 0 for
	// all of it.
	Resume bool
	After  uint64
}

// Subscription receives events. Several goroutines may share one, and its events.
type Subscription struct {
	bus   *Bus
	kinds uint64
	match func(Body) Body // nil for all
	// ready has a token if there may be something to take: an event, or the end.
	ready chan struct{}
	// The bus's mu guards the rest.
	events  ring
	dropped uint64
	missed  uint64 // dropped since an event was taken
	closed  bool
}

// Subscribe returns a subscription to the kinds, to all if there are none, with a
// buffer of that many events; [DefaultBuffer] if it is 0 or negative, at most
// [MaxBuffer]. What events bring along is bounded by [MaxBytes] besides. The caller closes it.
func (b *Bus) Subscribe(buffer int, of ...Kind) *Subscription {
	s, _ := b.Select(Selection{Kinds: of, Buffer: buffer})
	return s
}

// Select returns a subscription to what is selected, which the caller closes. lost are the kinds
// of which there may have been events, after the one at which it resumes, that it will not
// receive: the history has them no longer, or never had them. A resumption after an event that
// the bus has not had yet has lost all kinds.
func (b *Bus) Select(sel Selection) (s *Subscription, lost []Kind) {
	b = b.orClosed()
	b.mu.Lock()
	defer b.mu.Unlock()
	s = b.subscribeLocked(sel)
	if !sel.Resume {
		return s, nil
	}
	for k := range kinds {
		if s.kinds>>k&1 == 1 && (k.Transient() || b.forgotten[k] > sel.After || sel.After > b.seq ||
			k == KindPluginLogged && (b.history.max == 0 || b.logs.lost(sel.After, s.match))) {
			lost = append(lost, k)
		}
	}
	for _, e := range b.keptLocked(s.kinds) {
		if e.Seq > sel.After && s.takeLocked(e) {
			s.signal()
		}
	}
	return s, lost
}

// orClosed returns a bus that is closed for none.
func (b *Bus) orClosed() *Bus {
	if b == nil {
		b = New(-1)
		b.closed = true
		b.cancel()
	}
	return b
}

func (b *Bus) subscribeLocked(sel Selection) *Subscription {
	if sel.Buffer <= 0 {
		sel.Buffer = DefaultBuffer
	}
	if sel.Bytes <= 0 {
		sel.Bytes = MaxBytes
	}
	s := &Subscription{
		bus: b, kinds: mask(sel.Kinds), match: sel.Match, ready: make(chan struct{}, 1),
		events: ring{max: min(sel.Buffer, MaxBuffer), most: min(sel.Bytes, MaxBytes)}, closed: b.closed,
	}
	if !b.closed {
		b.subs[s] = struct{}{}
		b.updateLocked()
	}
	return s
}

// Handle calls f with each event that a subscription like that of [Bus.Subscribe]
// receives, one after the other, in a goroutine that is the bus's. An event is handled
// once, or dropped and counted. Closing the subscription, or the bus, ends the calls
// after those for the events it holds. f's ctx ends when [Bus.Close] will no longer
// wait for them.
func (b *Bus) Handle(buffer int, f func(context.Context, Event), of ...Kind) *Subscription {
	b = b.orClosed()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.subscribeLocked(Selection{Kinds: of, Buffer: buffer})
	if b.closed {
		return s
	}
	b.handlers.Go(func() {
		defer s.discard()
		for b.ctx.Err() == nil {
			e, err := s.Next(b.ctx)
			if err != nil {
				return
			}
			f(b.ctx, e)
		}
	})
	return s
}

// discard drops what the subscription holds.
func (s *Subscription) discard() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.closeLocked()
	s.dropped += uint64(s.events.n)
	s.bus.dropped += uint64(s.events.n)
	s.events = ring{max: s.events.max, most: s.events.most}
}

// Next returns the next event. It waits until there is one, ctx ends, whose cause it
// returns then, or the subscription ends: [ErrClosed].
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, _, err := s.Take()
		if err != nil || e.Body != nil {
			return e, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// Take is [Subscription.Next] without the waiting: if there is nothing to take it returns an event
// without a body. It tells how many events were dropped between the one that was taken before and
// this one. [Subscription.Ready] has a token when it may be worth calling again.
func (s *Subscription) Take() (e Event, missed uint64, err error) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	e, ok := s.events.pop()
	switch {
	case ok:
		missed, s.missed = s.missed, 0
	case s.closed:
		err = ErrClosed
	}
	if s.events.n > 0 || s.closed {
		s.signal() // for another goroutine that waits
	}
	return e, missed, err
}

// Ready returns a channel that has a token when there may be something to take: an event, or the end.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// takeLocked puts an event into the buffer if it is one that is wanted, and reports whether it was.
func (s *Subscription) takeLocked(e Event) bool {
	if s.kinds>>e.Body.Kind()&1 == 0 {
		return false
	}
	if s.match != nil {
		if e.Body = s.match(e.Body); e.Body == nil {
			return false
		}
	}
	dropped := s.events.push(e)
	s.dropped += dropped
	s.missed += dropped
	return true
}

// Dropped returns how many events were dropped since the buffer was full, by their number
// or bytes.
func (s *Subscription) Dropped() uint64 {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.dropped
}

// Close ends the subscription. What it holds can still be taken, and is kept as long as
// the subscription is referred to. Closing it again does nothing.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.closeLocked()
}

func (s *Subscription) closeLocked() {
	if s.closed {
		return
	}
	s.closed = true
	s.bus.dropped += s.dropped
	delete(s.bus.subs, s)
	s.bus.updateLocked()
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (b *Bus) updateLocked() {
	var wanted uint64
	for s := range b.subs {
		wanted |= s.kinds
	}
	b.wanted.Store(wanted)
}

// ring keeps the last max events, and no more than most bytes of what they bring along. It
// grows as it fills.
type ring struct {
	max    int
	most   int
	gone   func(Event) // is told of those that had to go; may be nil
	events []Event
	first  int // the oldest
	n      int
	bytes  int // that the events bring along
}

// push adds an event, and returns how many of the oldest had to go.
func (r *ring) push(e Event) (dropped uint64) {
	if r.max == 0 {
		r.tell(e)
		return 1
	}
	if r.n == len(r.events) && r.n < r.max {
		grown := make([]Event, min(max(8, 2*r.n), r.max))
		copy(grown, r.all())
		r.events, r.first = grown, 0
	}
	size := size(e.Body)
	for r.n > 0 && (r.n == r.max || r.bytes+size > r.most) {
		oldest, _ := r.pop()
		r.tell(oldest)
		dropped++
	}
	r.events[(r.first+r.n)%len(r.events)] = e
	r.n++
	r.bytes += size
	return dropped
}

func (r *ring) tell(e Event) {
	if r.gone != nil {
		r.gone(e)
	}
}

func (r *ring) pop() (e Event, ok bool) {
	if r.n == 0 {
		return Event{}, false
	}
	e = r.events[r.first]
	r.events[r.first] = Event{} // its body is not to be kept alive
	r.first = (r.first + 1) % len(r.events)
	r.n--
	r.bytes -= size(e.Body)
	return e, true
}

// all returns the events, oldest first.
func (r *ring) all() []Event {
	list := make([]Event, 0, r.n)
	for i := range r.n {
		list = append(list, r.events[(r.first+i)%len(r.events)])
	}
	return list
}
