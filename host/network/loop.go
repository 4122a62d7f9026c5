package network

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi/tick"
	"github.com/resonhost/resonhost/host/event"
)

// maxBehind is how many ticks of a period are made up for, one after the other, before
// one stands for those before it: a hiccup shorter than that loses nothing.
const maxBehind = 1

// rate is what is advanced at one period: nodes, or the network.
type rate struct {
	period time.Duration
	// chunks are the nodes; nil for the network. The list only grows: a new one
	// replaces it.
	chunks atomic.Pointer[[]*chunk]
	open   []*chunk // those with a free slot; Network.mu guards it

	// The rest is the loop's, but for failing, which is that of the one round there is.
	next    int64 // the tick to begin, due at next·period since the graph's origin; 0 is unknown
	busy    bool
	failing uint64 // rounds in a row
}

// round is one tick of a rate, on its way.
type round struct {
	graph     *graph
	rate      *rate
	chunks    []*chunk // those to be advanced; one that is nil for the network
	nowMS     float64
	began     time.Time
	lag       time.Duration
	coalesced uint64
	// strengths are those of all patterns, when the first chunk was advanced.
	strengths func() []float64

	taken int // how many of chunks are; feed.mu guards it

	// What the dispatchers find, by chunk.
	results []result
	left    atomic.Int64
}

// result is what became of a chunk.
type result struct {
	err      error
	deltas   []delta
	progress []event.Progress
}

// delta is by how much a chunk raised a pattern.
type delta struct {
	pattern int
	by      float64
}

// loop begins every tick when it is due. It waits for nothing but time and its own
// ticks, and takes no lock that somebody holds for long.
func (n *Network) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop, running := n.stop, 0
	for stop != nil || running > 0 {
		select {
		case <-timer.C:
		case <-n.wake:
		case r := <-n.finished:
			r.rate.busy = false
			running--
		case <-stop:
			stop = nil
		}
		if stop != nil {
			g := n.graph.Load()
			begun, wait := n.begin(g, time.Since(g.origin))
			running += begun
			timer.Reset(wait)
		}
	}
	n.feed.close()
}

// begin begins the rounds that are due, and returns how many, and how long until the
// next is.
func (n *Network) begin(g *graph, now time.Duration) (begun int, wait time.Duration) {
	wait = MaxPeriod
	for _, r := range *g.rates.Load() {
		if r.next == 0 {
			r.next = int64(now/r.period) + 1
		}
		if r.busy {
			continue // it comes back
		}
		if due := r.due(); due <= now {
			behind := int64((now - due) / r.period)
			if round := g.round(r, now, max(0, behind-maxBehind)); round != nil {
				r.busy = true
				begun++
				n.feed.put(round)
				continue
			}
			r.next += behind + 1 // there was nothing to advance
		}
		wait = min(wait, r.due()-now)
	}
	return begun, wait
}

func (r *rate) due() time.Duration { return time.Duration(r.next) * r.period }

// round begins the next tick of a rate, which is due, standing for skip of them
// besides. It returns nil if there is nothing to advance.
func (g *graph) round(r *rate, now time.Duration, skip int64) *round {
	t := &round{graph: g, rate: r, began: g.origin.Add(now), lag: now - r.due(), coalesced: uint64(skip)}
	if list := r.chunks.Load(); list == nil {
		t.chunks = []*chunk{nil}
	} else {
		for _, c := range *list {
			if c.active.Load() > 0 {
				t.chunks = append(t.chunks, c)
			}
		}
	}
	if len(t.chunks) == 0 {
		return nil
	}
	r.next += skip
	t.nowMS = g.base + float64(r.due())/float64(time.Millisecond)
	r.next++
	g.setNow(t.nowMS)
	t.strengths = sync.OnceValue(g.core.strengths)
	t.results = make([]result, len(t.chunks))
	t.left.Store(int64(len(t.chunks)))
	return t
}

// feed hands the chunks of rounds to dispatchers: of several rounds the one first whose
// results are due first.
type feed struct {
	mu     sync.Mutex // guards the rest, and round.taken
	some   sync.Cond
	rounds []*round
	closed bool
}

func (f *feed) init() { f.some.L = &f.mu }

func (f *feed) put(r *round) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := len(f.rounds)
	for at > 0 && f.rounds[at-1].end().After(r.end()) {
		at--
	}
	f.rounds = append(f.rounds, nil)
	copy(f.rounds[at+1:], f.rounds[at:])
	f.rounds[at] = r
	if len(r.chunks) == 1 {
		f.some.Signal()
	} else {
		f.some.Broadcast()
	}
}

// end is when the next tick of the round's rate is due, more or less.
func (r *round) end() time.Time { return r.began.Add(r.rate.period - r.lag) }

// take waits for a chunk of a round; its i-th. ok is false once there will be none.
func (f *feed) take() (r *round, i int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.rounds) == 0 {
		if f.closed {
			return nil, 0, false
		}
		f.some.Wait()
	}
	r = f.rounds[0]
	i = r.taken
	if r.taken++; r.taken == len(r.chunks) {
		copy(f.rounds, f.rounds[1:])
		f.rounds[len(f.rounds)-1] = nil
		f.rounds = f.rounds[:len(f.rounds)-1]
	}
	return r, i, true
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.some.Broadcast()
}

// dispatch advances chunks, one after the other, until the feed is closed. Whoever does
// the last chunk of a round finishes it.
func (n *Network) dispatch() {
	var d dispatcher
	for {
		r, i, ok := n.feed.take()
		if !ok {
			return
		}
		if c := r.chunks[i]; c == nil {
			r.results[i].err = n.advanceNetwork(&d, r)
		} else {
			r.results[i] = n.advanceChunk(&d, r, c)
		}
		if r.left.Add(-1) == 0 {
			n.finish(r)
			n.finished <- r
		}
	}
}

// dispatcher is memory that one dispatcher uses again and again.
type dispatcher struct {
	input  []byte
	nodes  tick.NodesResult
	before []float64
	state  tick.NetworkState
}

// finish merges what the chunks of a round brought, in their order, counts and tells
// it.
func (n *Network) finish(r *round) {
	failed := 0
	var first error
	for i := range r.results {
		if err := r.results[i].err; err != nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	r.graph.core.raise(r.results)
	took := time.Since(r.began)
	n.lag.Observe(r.lag)
	n.took.Observe(took)
	n.ticks.Add(1)
	n.coalesced.Add(r.coalesced)
	n.tasks.Add(uint64(failed))
	n.note(r.rate, failed, first)
	for i := range r.results {
		if nodes := r.results[i].progress; len(nodes) > 0 {
			n.cfg.Events.Publish(event.NodesProgressed{NowMS: r.nowMS, Nodes: nodes})
		}
	}
	if n.cfg.Events.Wants(event.KindTickCompleted) {
		n.cfg.Events.Publish(event.TickCompleted{
			Network: r.rate.isNetwork(), Period: r.rate.period, NowMS: r.nowMS,
			Lag: r.lag, Took: took, Coalesced: r.coalesced, Failed: failed,
		})
	}
}

func (r *rate) isNetwork() bool { return r.chunks.Load() == nil }

// note counts a round that failed, and logs when a rate begins and ceases to.
func (n *Network) note(r *rate, failed int, err error) {
	if failed > 0 {
		n.failed.Add(1)
		if r.failing++; r.failing == 1 {
			n.log.Warn("ticks fail; what they would have advanced stays as it is",
				"network", r.isNetwork(), "period", r.period, "tasks", failed, "error", err)
		}
		return
	}
	if r.failing > 0 {
		n.log.Info("ticks succeed again", "network", r.isNetwork(), "period", r.period, "failed", r.failing)
		r.failing = 0
	}
}
