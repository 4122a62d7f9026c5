package network

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/tick"
)

// maxBehind is how many ticks of a period are made up for, one after the other, before
// one stands for those before it: a hiccup shorter than that loses nothing.
const maxBehind = 1

// A chunk whose task takes longer than latePeriods, and lateAfter, holds up nobody but
// itself: ticks of the period go on without it. After failPeriods, and failAfter, its
// task is ended, as it keeps a worker from the others.
const (
	latePeriods, lateAfter = 2, 50 * time.Millisecond
	failPeriods, failAfter = 10, 500 * time.Millisecond
)

// share is how much work a dispatcher is to have in a round before another is woken for
// the rest, which costs CPU for its thread and for what its core has forgotten. In short
// periods it is an eighth of them.
const share = time.Millisecond

var errStuck = errors.New("an earlier tick of the nodes is still under way")

// rate is what is advanced at one period: nodes, or the network.
type rate struct {
	period time.Duration
	// phase is how long before the graph's origin a tick was due, so that ticks are due at
	// multiples of the period of the network's clock, wherever that began.
	phase time.Duration
	// chunks are the nodes, none of them empty; nil for the network. A new list replaces
	// the last.
	chunks atomic.Pointer[[]*chunk]
	open   []*chunk    // those with room; Network.mu guards it
	nodes  int         // in all chunks; likewise
	sparse atomic.Bool // there is room for as many as a chunk has

	failing uint64 // rounds in a row; Network.telling guards it

	// The rest is the loop's.
	next    int64  // the tick to begin, due at next·period − phase since the graph's origin; 0 is unknown
	current *round // what the next tick waits for
}

// round is one tick of a rate, on its way.
type round struct {
	graph     *graph
	rate      *rate
	chunks    []*chunk // those to be advanced; one that is nil for the network
	without   int      // how many others there were to advance, which are still out
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
	// settled is set once: by whoever finishes the round, or by the loop before the rate
	// goes on without those that are left.
	settled atomic.Bool
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
			if r.rate.current == r {
				r.rate.current = nil
			}
			running--
		case <-stop:
			stop = nil
			n.feed.rouse() // no tick comes that would
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
			if r.rests() {
				continue // until the loop is woken
			}
			r.next = int64((now+r.phase)/r.period) + 1
		}
		due := r.due()
		switch {
		case due > now:
			wait = min(wait, due-now)
			continue
		case r.current != nil:
			n.feed.rouse() // for chunks behind one that takes longer than ever
			if late := r.goOn(now); late > 0 {
				wait = min(wait, late) // or it comes back before
				continue
			}
		}
		behind := int64((now - due) / r.period)
		round, out := g.round(r, now, max(0, behind-maxBehind))
		switch {
		case round != nil:
			r.current = round
			begun++
			n.lag.Observe(round.lag)
			n.feed.put(round)
		case out:
			wait = min(wait, r.late()) // or one comes back before
			continue
		default:
			r.next = 0
			continue
		}
		wait = min(wait, max(0, r.due()-now))
	}
	return begun, wait
}

// rests reports whether there is nothing to advance.
func (r *rate) rests() bool {
	list := r.chunks.Load()
	return list != nil && !slices.ContainsFunc(*list, func(c *chunk) bool { return c.active.Load() > 0 })
}

func (r *rate) due() time.Duration { return time.Duration(r.next)*r.period - r.phase }

// late is how long a task may take before others go on without it, and limit how long
// before it is ended.
func (r *rate) late() time.Duration  { return max(latePeriods*r.period, lateAfter) }
func (r *rate) limit() time.Duration { return max(failPeriods*r.period, failAfter) }

// goOn ends that the next tick, which is due, waits for the current one, if all that is
// left of that is late and there is something else to advance. Otherwise it returns how
// long the loop is to wait before it asks again.
func (r *rate) goOn(now time.Duration) (wait time.Duration) {
	if r.current.chunks[0] == nil {
		return r.late() // it is the network, which is one task
	}
	late := false
	for _, c := range r.current.chunks {
		switch since := c.since.Load(); since {
		case idle:
		case waiting:
			return r.late()
		default:
			if wait := time.Duration(since) + r.late() - now; wait > 0 {
				return wait
			}
			late = true
		}
	}
	others := slices.ContainsFunc(*r.chunks.Load(), func(c *chunk) bool { return c.since.Load() == idle && c.active.Load() > 0 })
	if !late || !others || r.current.settled.Swap(true) {
		return r.late()
	}
	r.current = nil
	return 0
}

// round begins the next tick of a rate, which is due, standing for skip of them
// besides. It returns nil if there is nothing to advance, or if all is out that is.
func (g *graph) round(r *rate, now time.Duration, skip int64) (t *round, out bool) {
	lag := now - max(r.due(), g.missed) // what nobody could have ticked is no lag
	t = &round{graph: g, rate: r, began: g.origin.Add(now), lag: lag, coalesced: uint64(skip)}
	if list := r.chunks.Load(); list == nil {
		t.chunks = []*chunk{nil}
	} else {
		for _, c := range *list {
			switch {
			case c.active.Load() == 0:
			case c.since.Load() != idle:
				t.without++
			default:
				t.chunks = append(t.chunks, c)
			}
		}
	}
	if len(t.chunks) == 0 {
		return nil, t.without > 0
	}
	for _, c := range t.chunks {
		if c != nil {
			c.since.Store(waiting)
		}
	}
	r.next += skip
	t.nowMS = g.base + float64(r.due())/float64(time.Millisecond)
	r.next++
	g.setNow(t.nowMS)
	t.strengths = sync.OnceValue(g.core.strengths)
	t.results = make([]result, len(t.chunks))
	t.left.Store(int64(len(t.chunks)))
	return t, false
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
	for range r.hands() {
		f.some.Signal()
	}
}

// rouse wakes all dispatchers, if there is anything to do.
func (f *feed) rouse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rounds) > 0 {
		f.some.Broadcast()
	}
}

// hands is how many dispatchers are to do the round, as far as there are so many: by how
// long its chunks last took. If that is too few, the loop wakes the others when the next
// tick is due; as that may be long after, none is spared in a long period.
func (r *round) hands() int {
	if r.rate.period > lateAfter {
		return len(r.chunks)
	}
	each := min(share, r.rate.period/8)
	work := time.Duration(0)
	for _, c := range r.chunks {
		if c == nil {
			return 1
		}
		took := time.Duration(c.took.Load())
		if took == 0 {
			took = each
		}
		work += took
	}
	return min(int(work/each)+1, len(r.chunks))
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
			began := time.Since(r.graph.origin)
			c.since.Store(int64(max(1, began)))
			r.results[i] = n.advanceChunk(&d, r, c)
			c.took.Store(int64(max(1, time.Since(r.graph.origin)-began)))
			c.since.Store(idle)
		}
		if r.left.Add(-1) == 0 {
			n.finish(r)
			n.finished <- r
		}
	}
}

// run has the plugin work on the input that d holds, for a round. The output is d's.
func (n *Network) run(d *dispatcher, r *round, transform string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(n.ctx, r.rate.limit())
	defer cancel()
	output, err := n.client.RunAppend(ctx, transform, d.output[:0], d.input)
	if err == nil {
		d.output = output
	}
	return output, err
}

// dispatcher is memory that one dispatcher uses again and again: what ticks leave to the
// collector has it look through all nodes.
type dispatcher struct {
	input, output []byte
	nodes         tick.NodesResult // lies in output
	before        []float64
	state         tick.NetworkState
}

// finish merges what the chunks of a round brought, in their order, counts and tells
// it.
func (n *Network) finish(r *round) {
	if !r.settled.Swap(true) && r.rate.sparse.Load() && n.mu.TryLock() {
		// All that ticks of the rate is at rest until the loop has this round back. If
		// somebody has the lock for long, there is the next one.
		r.graph.compact(r.rate)
		r.rate.sparse.Store(r.graph.spare(r.rate) >= r.graph.cfg.ChunkNodes)
		n.mu.Unlock()
	}
	failed := r.without
	var first error
	if failed > 0 {
		first = errStuck
	}
	for i := range r.results {
		if err := r.results[i].err; err != nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	r.graph.core.raise(r.results)
	took := time.Since(r.began)
	n.took.Observe(took)
	n.ticks.Add(1)
	n.coalesced.Add(r.coalesced)
	n.tasks.Add(uint64(failed))
	n.telling.Lock()
	defer n.telling.Unlock()
	n.noteLocked(r.rate, failed, first)
	if r.graph != n.graph.Load() {
		return // Restore has replaced it
	}
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

// noteLocked counts a round that failed, and logs when a rate begins and ceases to.
func (n *Network) noteLocked(r *rate, failed int, err error) {
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
