package network

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/tick"
)

// SnapshotVersion is that of the snapshots that this package makes and restores.
const SnapshotVersion = 1

// Snapshot is a network at rest, for JSON.
type Snapshot struct {
	Version int `json:"version"`
	// NowMS is the network's clock, in ms.
	NowMS float64 `json:"now_ms"`
	// Created is how many nodes there ever were.
	Created     int          `json:"created"`
	Network     tick.Network `json:"network"`
	Nodes       []Node       `json:"nodes"`
	Connections []Connection `json:"connections"`
}

// Snapshot returns all of the network. It does not hold up ticks: nodes of a chunk are
// of the same tick, and those of others may be a tick apart; while nothing ticks, all
// is of one moment.
func (n *Network) Snapshot() *Snapshot {
	s, _ := n.snapshot()
	return s
}

// snapshot returns a snapshot, and when its latest tick was due.
func (n *Network) snapshot() (*Snapshot, time.Time) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	g := n.graph.Load()
	at := g.when()
	s := &Snapshot{
		Version: SnapshotVersion, NowMS: g.now(), Created: g.created,
		Nodes: make([]Node, 0, len(g.ids)), Connections: make([]Connection, 0, g.connections),
	}
	for _, r := range (*g.rates.Load())[1:] {
		for _, c := range *r.chunks.Load() {
			s.Nodes = c.list(s.Nodes, &g.core)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.links)) {
		for _, c := range g.connectionsOf(id) {
			if c.A < c.B {
				s.Connections = append(s.Connections, c)
			}
		}
	}
	s.Network = g.core.network()
	return s, at
}

// Restore replaces all of the network by a snapshot. Its clock goes on from the
// snapshot's. An error, an [*abi.FieldError] or one that wraps [ErrFull] or
// [ErrExists], leaves the network as it was.
func (n *Network) Restore(s *Snapshot) error { return n.restore(s, time.Time{}) }

// Resume is Restore of a network that was to go on meanwhile, such as that of a process that has
// ended. At the time at its clock was at the snapshot's NowMS. Its clock goes on as if it had ticked
// since then: the next tick of each period stands for those that were missed, which are counted as
// coalesced. A time that is to come, as by a clock that was set back, is taken for now.
func (n *Network) Resume(s *Snapshot, at time.Time) error { return n.restore(s, at) }

func (n *Network) restore(s *Snapshot, at time.Time) error {
	if s == nil {
		return errors.New("snapshot: is nil")
	}
	g, err := n.build(s)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	g.at = at
	n.life.Lock() // a Start begins before the new graph, or with it
	defer n.life.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		g.begin()
	}
	n.telling.Lock()
	defer n.telling.Unlock()
	n.graph.Store(g)
	if n.started && !n.closed {
		n.look()
		n.cfg.Events.Publish(event.NetworkActivated{Nodes: len(g.ids)})
	}
	return nil
}

// build makes a graph of a snapshot that nobody vouches for.
func (n *Network) build(s *Snapshot) (*graph, error) {
	switch {
	case s.Version != SnapshotVersion:
		return nil, &abi.FieldError{Field: "version", Rule: fmt.Sprintf("must be %d, is %d", SnapshotVersion, s.Version)}
	case !(s.NowMS >= 0 && s.NowMS <= tick.MaxTime/2):
		return nil, &abi.FieldError{Field: "now_ms", Rule: "must be between 0 and 4.32e15"}
	case s.Created < 0 || int64(s.Created) > tick.MaxCount:
		return nil, &abi.FieldError{Field: "created", Rule: "must be between 0 and 2^53-1"}
	case len(s.Nodes) > n.cfg.Capacity:
		return nil, fmt.Errorf("%w: %d nodes, and it has room for %d", ErrFull, len(s.Nodes), n.cfg.Capacity)
	}
	if err := checkNetwork(s.Network); err != nil {
		return nil, err
	}
	g := newGraph(&n.cfg, s.Network, s.NowMS)
	g.created = s.Created
	for i := range s.Nodes {
		if err := n.restoreNode(g, &s.Nodes[i]); err != nil {
			return nil, fmt.Errorf("nodes[%d]: %w", i, err)
		}
	}
	for i, c := range s.Connections {
		if err := g.restoreConnection(c); err != nil {
			return nil, fmt.Errorf("connections[%d]: %w", i, err)
		}
	}
	return g, nil
}

func (n *Network) restoreNode(g *graph, node *Node) error {
	spec := NodeSpec{
		ID: node.ID, Frequency: node.Frequency, Strength: node.Strength, State: node.State,
		Patterns: node.Patterns, Period: node.Period,
	}
	spec.Frequency = cmp.Or(spec.Frequency, tick.DefaultFrequency)
	spec.Period = cmp.Or(spec.Period, n.cfg.NodePeriod)
	if err := n.check(&spec, true); err != nil {
		return err
	}
	if _, ok := g.ids[spec.ID]; ok {
		return fmt.Errorf("node %s: %w", strconv.Quote(spec.ID), ErrExists)
	}
	if node.Index < 0 || node.Index >= g.created {
		return &abi.FieldError{Field: "index", Rule: "must be from 0 to below created"}
	}
	patterns, err := g.core.find(spec.Patterns)
	if err != nil {
		return err
	}
	_, err = g.add(&spec, node.Index, patterns)
	return err
}

func (g *graph) restoreConnection(c Connection) error {
	for _, id := range [...]string{c.A, c.B} {
		if _, err := g.find(id); err != nil {
			return err
		}
	}
	result := tick.ConnectionResult{Strength: c.Strength, Quality: c.Quality}
	if c.A == c.B {
		return &abi.FieldError{Field: "b", Rule: "must be another node than a"}
	}
	if err := result.Validate(); err != nil {
		return err
	}
	g.link(c.A, c.B, result)
	return nil
}
