package network

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/resonance/tick"
)

// graph is what a network has: all that Restore replaces. Ticks that run meanwhile end
// in the graph in which they began, and so are lost with it.
type graph struct {
	cfg  *Config
	core core

	// origin is when the clock was at base; it is written before the graph ticks.
	origin time.Time
	base   float64
	// at is when the clock of a network that goes on was at base, zero of any other, and missed
	// how long after that it began to tick.
	at     time.Time
	missed time.Duration
	latest atomic.Uint64 // when the latest tick was due, in ms, as bits
	// rates are the network's and then those of nodes, none without nodes. A new list
	// replaces the last, with Network.mu held.
	rates atomic.Pointer[[]*rate]
	// listing counts those who go through chunks, for whom nodes stay in theirs.
	listing atomic.Int32

	// Network.mu guards the rest.
	ids     map[string]ref
	created int // how many nodes there ever were
	named   int // where the last search for a free name ended
	// links are the connections, by both ends.
	links       map[string]map[string]tick.ConnectionResult
	connections int
}

// ref is where a node is.
type ref struct {
	chunk *chunk
	slot  uint32
}

func newGraph(cfg *Config, n tick.Network, nowMS float64) *graph {
	g := &graph{cfg: cfg, base: nowMS, ids: make(map[string]ref), links: make(map[string]map[string]tick.ConnectionResult)}
	g.core.fill(n)
	g.setNow(nowMS)
	g.rates.Store(&[]*rate{{period: cfg.NetworkPeriod, phase: g.phase(cfg.NetworkPeriod)}})
	return g
}

// phase is how long before base a tick of that period was due.
func (g *graph) phase(period time.Duration) time.Duration {
	ns := math.Round(g.base * float64(time.Millisecond))
	if ns >= math.MaxInt64 { // some 292 years
		return 0
	}
	return time.Duration(ns) % period
}

// maxMissed is the most time that is missed. A machine's clock can be wrong by more.
const maxMissed = 10 * 365 * 24 * time.Hour

// begin starts the clock. What has been missed until now is as late as in a process that stood
// still.
func (g *graph) begin() {
	g.origin = time.Now()
	if g.at.IsZero() {
		return
	}
	g.missed = min(max(time.Since(g.at), 0), maxMissed)
	g.origin = g.origin.Add(-g.missed)
	for _, r := range *g.rates.Load() {
		r.next = 1
	}
}

// when is when the latest tick was due by the machine's clock.
func (g *graph) when() time.Time {
	switch now := time.Now(); {
	case !g.origin.IsZero():
		return now.Add(time.Duration((g.now()-g.base)*float64(time.Millisecond)) - now.Sub(g.origin))
	case !g.at.IsZero():
		return g.at
	default:
		return now
	}
}

// now is when the latest tick was due, in ms.
func (g *graph) now() float64 { return math.Float64frombits(g.latest.Load()) }

// setNow is called by the loop alone, which does not begin ticks in the order in which
// they were due.
func (g *graph) setNow(ms float64) {
	if ms > g.now() {
		g.latest.Store(math.Float64bits(ms))
	}
}

// active is how many nodes are not stopped.
func (g *graph) active() (n int) {
	for _, r := range (*g.rates.Load())[1:] {
		for _, c := range *r.chunks.Load() {
			n += int(c.active.Load())
		}
	}
	return n
}

// room returns a chunk of that period with room for a node.
func (g *graph) room(period time.Duration) (*chunk, error) {
	rates := *g.rates.Load()
	at := slices.IndexFunc(rates[1:], func(r *rate) bool { return r.period == period })
	var of *rate
	if at >= 0 {
		of = rates[1+at]
	} else {
		if len(rates) > MaxPeriods {
			return nil, errPeriods
		}
		of = &rate{period: period, phase: g.phase(period)}
		of.chunks.Store(&[]*chunk{})
		g.rates.Store(with(rates, of))
	}
	if last := len(of.open) - 1; last >= 0 {
		return of.open[last], nil
	}
	c := &chunk{rate: of}
	of.chunks.Store(with(*of.chunks.Load(), c))
	of.open = append(of.open, c)
	return c, nil
}

// with and without return another list: the loop may be reading the one there is.
func with[T any](list []T, e T) *[]T {
	list = append(slices.Clip(list), e)
	return &list
}

func without[T comparable](list []T, e T) *[]T {
	list = slices.DeleteFunc(slices.Clone(list), func(other T) bool { return other == e })
	return &list
}

// add puts a valid node into the graph. woke is whether the loop is to look at the
// periods again.
func (g *graph) add(spec *NodeSpec, index int, patterns []int) (woke bool, err error) {
	c, err := g.room(spec.Period)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, woke := c.addLocked(spec, index, patterns)
	c.rate.nodes++
	if len(c.ids) == g.cfg.ChunkNodes {
		c.rate.open = *without(c.rate.open, c)
	}
	g.ids[spec.ID] = ref{c, slot}
	return woke, nil
}

// remove takes a node and its connections from the graph.
func (g *graph) remove(id string, at ref) {
	g.take(id, at)
	for other := range g.links[id] {
		g.unlink(other, id)
		g.connections--
	}
	delete(g.links, id)
}

// take takes a node from its chunk, and an empty chunk from its rate, and an empty rate
// from the graph.
func (g *graph) take(id string, at ref) {
	c, r := at.chunk, at.chunk.rate
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) == g.cfg.ChunkNodes {
		r.open = append(r.open, c)
	}
	moved := c.removeLocked(at.slot)
	delete(g.ids, id)
	if moved != "" {
		g.ids[moved] = at
	}
	r.nodes--
	if len(c.ids) == 0 {
		r.chunks.Store(without(*r.chunks.Load(), c))
		r.open = *without(r.open, c)
	}
	if r.nodes == 0 {
		g.rates.Store(without(*g.rates.Load(), r))
	}
	r.sparse.Store(g.spare(r) >= g.cfg.ChunkNodes)
}

// spare is how many more nodes the chunks of a rate have room for.
func (g *graph) spare(r *rate) int { return len(*r.chunks.Load())*g.cfg.ChunkNodes - r.nodes }

// compact moves nodes out of the smallest chunks of a rate while others have room for
// them, though not many more than a chunk has. No task of the rate begins meanwhile;
// chunks with one stay as they are.
func (g *graph) compact(r *rate) {
	for moved := 0; moved < g.cfg.ChunkNodes && g.spare(r) >= g.cfg.ChunkNodes && g.listing.Load() == 0; {
		var from *chunk
		room := 0
		for _, c := range r.open {
			if c.since.Load() != idle {
				continue
			}
			room += g.cfg.ChunkNodes - len(c.ids)
			if from == nil || len(c.ids) <= len(from.ids) {
				from = c
			}
		}
		if from == nil || room-(g.cfg.ChunkNodes-len(from.ids)) < len(from.ids) {
			return
		}
		moved += len(from.ids)
		g.dissolve(from)
	}
}

// dissolve moves the nodes of a chunk to others of its rate, which have room.
func (g *graph) dissolve(from *chunk) {
	r := from.rate
	r.open = *without(r.open, from)
	for n := len(from.ids); n > 0; n-- {
		slot := uint32(n - 1)
		id, index := from.ids[slot], from.index[slot]
		to := r.open[slices.IndexFunc(r.open, func(c *chunk) bool { return c.since.Load() == idle })]
		from.mu.Lock()
		spec := NodeSpec{ID: id, Frequency: from.nodes.Frequency[slot], Strength: from.nodes.Strength[slot], State: tick.Resonating}
		if from.nodes.Stopped[slot] {
			spec.State = tick.Stopped
		}
		var patterns []int
		for _, p := range from.attached[slot] {
			patterns = append(patterns, from.patterns[p])
		}
		from.removeLocked(slot)
		from.mu.Unlock()
		to.mu.Lock()
		at, _ := to.addLocked(&spec, index, patterns)
		if len(to.ids) == g.cfg.ChunkNodes {
			r.open = *without(r.open, to)
		}
		to.mu.Unlock()
		g.ids[id] = ref{to, at}
	}
	r.chunks.Store(without(*r.chunks.Load(), from))
}

func (g *graph) link(a, b string, c tick.ConnectionResult) {
	if _, ok := g.links[a][b]; !ok {
		g.connections++
	}
	for _, ends := range [...][2]string{{a, b}, {b, a}} {
		if g.links[ends[0]] == nil {
			g.links[ends[0]] = make(map[string]tick.ConnectionResult)
		}
		g.links[ends[0]][ends[1]] = c
	}
}

func (g *graph) unlink(a, b string) {
	delete(g.links[a], b)
	if len(g.links[a]) == 0 {
		delete(g.links, a)
	}
}
