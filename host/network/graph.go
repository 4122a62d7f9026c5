package network

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/abi/tick"
)

// graph is what a network has: all that Restore replaces. Ticks that run meanwhile end
// in the graph in which they began, and so are lost with it.
type graph struct {
	cfg  *Config
	core core

	// origin is when the clock was at base; it is written before the graph ticks.
	origin time.Time
	base   float64
	latest atomic.Uint64 // when the latest tick was due, in ms, as bits
	// rates are the network's and then those of nodes. The list only grows: a new one
	// replaces it, with Network.mu held.
	rates atomic.Pointer[[]*rate]

	// Network.mu guards the rest.
	ids     map[string]ref
	created int // how many nodes there ever were
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
	g.rates.Store(&[]*rate{{period: cfg.NetworkPeriod}})
	return g
}

// begin starts the clock.
func (g *graph) begin() { g.origin = time.Now() }

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

// room returns a chunk of that period with a free slot. isNew is whether the loop does
// not know the period yet.
func (g *graph) room(period time.Duration) (c *chunk, isNew bool, err error) {
	rates := *g.rates.Load()
	var of *rate
	for _, r := range rates[1:] {
		if r.period == period {
			of = r
		}
	}
	if of == nil {
		if len(rates) > MaxPeriods {
			return nil, false, errPeriods
		}
		of, isNew = &rate{period: period}, true
		of.chunks.Store(&[]*chunk{})
		// The loop may be reading what is there: it is copied, not appended to.
		grown := append(append(make([]*rate, 0, len(rates)+1), rates...), of)
		g.rates.Store(&grown)
	}
	if last := len(of.open) - 1; last >= 0 {
		return of.open[last], isNew, nil
	}
	c = &chunk{rate: of}
	list := *of.chunks.Load()
	grown := append(append(make([]*chunk, 0, len(list)+1), list...), c)
	of.chunks.Store(&grown)
	of.open = append(of.open, c)
	return c, isNew, nil
}

// add puts a valid node into the graph.
func (g *graph) add(spec *NodeSpec, index int, patterns []int) (isNew bool, err error) {
	c, isNew, err := g.room(spec.Period)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	slot := c.addLocked(spec, index, patterns)
	full := len(c.free) == 0 && len(c.ids) == g.cfg.ChunkNodes
	c.mu.Unlock()
	if full {
		c.rate.open = c.rate.open[:len(c.rate.open)-1]
	}
	g.ids[spec.ID] = ref{c, slot}
	return isNew, nil
}

// remove takes a node and its connections from the graph.
func (g *graph) remove(id string, at ref) {
	c := at.chunk
	c.mu.Lock()
	full := len(c.free) == 0 && len(c.ids) == g.cfg.ChunkNodes
	c.removeLocked(at.slot)
	c.mu.Unlock()
	if full {
		c.rate.open = append(c.rate.open, c)
	}
	delete(g.ids, id)
	for other := range g.links[id] {
		g.unlink(other, id)
		g.connections--
	}
	delete(g.links, id)
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
