package network

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/tick"
)

// NodeSpec says what a node is to be.
type NodeSpec struct {
	// ID is 1 to 128 bytes of printable ASCII, but not "." or "..", which would be other paths of a
	// URL; default "node-N", where N is the number of nodes created before, or a later one, if
	// that is another's.
	ID string
	// Frequency is in Hz, above 0 and at most 1e6; default 100.
	Frequency float64
	// Strength is within 0 and 1.
	Strength float64
	// State is tick.Resonating, the default, or tick.Stopped.
	State tick.NodeState
	// Patterns are the names of the network's that the node drives, in that order, at
	// most 64.
	Patterns []string
	// Period is how often the node ticks; default Config.NodePeriod.
	Period time.Duration
}

// Node is a node as it is.
type Node struct {
	tick.Node

	Period time.Duration `json:"period_ns"`
	// Index is how many nodes were created before it, and Position where that puts it.
	Index    int           `json:"index"`
	Position tick.Position `json:"position"`
}

// Connection is the connection of two nodes, as it was when it was established.
type Connection struct {
	A        string  `json:"a" doc:"The ID of one node."`
	B        string  `json:"b" doc:"The ID of the other."`
	Strength float64 `json:"resonance_strength" doc:"How strong the connection is, from 0 to 1."`
	Quality  float64 `json:"connection_quality" doc:"How good the connection is, from 0 to 1."`
}

var errPeriods = fmt.Errorf("%w: nodes have %d different periods already", ErrFull, MaxPeriods)

// CreateNode adds a node and returns its ID. It ticks from the next tick of its period
// on. Errors are an [*abi.FieldError], or wrap [ErrExists] or [ErrFull].
func (n *Network) CreateNode(spec NodeSpec) (id string, err error) {
	spec.Frequency = cmp.Or(spec.Frequency, tick.DefaultFrequency)
	spec.Period = cmp.Or(spec.Period, n.cfg.NodePeriod)
	named := spec.ID != ""
	if err := n.check(&spec, named); err != nil {
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.graph.Load()
	if len(g.ids) >= n.cfg.Capacity {
		return "", fmt.Errorf("%w: it has %d nodes", ErrFull, n.cfg.Capacity)
	}
	if int64(g.created) == tick.MaxCount {
		return "", fmt.Errorf("%w: it has had %d nodes", ErrFull, int64(tick.MaxCount))
	}
	if _, ok := g.ids[spec.ID]; ok && named {
		return "", fmt.Errorf("node %s: %w", spec.ID, ErrExists)
	}
	if !named {
		spec.ID = g.name()
	}
	patterns, err := g.core.find(spec.Patterns)
	if err != nil {
		return "", err
	}
	woke, err := g.add(&spec, g.created, patterns)
	if err != nil {
		return "", err
	}
	if woke {
		n.look()
	}
	n.cfg.Events.Publish(event.NodeCreated{ID: spec.ID, Frequency: spec.Frequency, Index: g.created})
	g.created++
	return spec.ID, nil
}

// name returns a name that no node has. It goes on where it ended the last time, as all
// nodes wait for it.
func (g *graph) name() string {
	for g.named = max(g.named, g.created); ; g.named++ {
		name := "node-" + strconv.Itoa(g.named)
		if _, taken := g.ids[name]; !taken {
			return name
		}
	}
}

// look has the loop look at the periods again.
func (n *Network) look() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// check checks what can be wrong about a node by itself.
func (n *Network) check(spec *NodeSpec, named bool) error {
	node := tick.Node{ID: spec.ID, Frequency: spec.Frequency, Strength: spec.Strength, State: spec.State, Patterns: spec.Patterns}
	if !named {
		node.ID = "node"
	}
	if err := node.Validate(); err != nil {
		return err
	}
	switch {
	case node.ID == "." || node.ID == "..":
		return &abi.FieldError{Field: "id", Rule: "must not be . or .."}
	case !isPeriod(spec.Period):
		return &abi.FieldError{Field: "period", Rule: periodRule}
	}
	return nil
}

// find finds a node, with mu held.
func (g *graph) find(id string) (ref, error) {
	at, ok := g.ids[id]
	if !ok {
		return ref{}, fmt.Errorf("node %s: %w", strconv.Quote(id[:min(len(id), tick.MaxID)]), ErrNotFound)
	}
	return at, nil
}

// Node returns a node, or an error that wraps [ErrNotFound].
func (n *Network) Node(id string) (Node, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.graph.Load().node(id)
}

// node returns a node, with mu held.
func (g *graph) node(id string) (Node, error) {
	at, err := g.find(id)
	if err != nil {
		return Node{}, err
	}
	at.chunk.mu.Lock()
	defer at.chunk.mu.Unlock()
	return at.chunk.nodeLocked(at.slot, g.core.patternNames()), nil
}

// nodeLocked returns the node in a slot. names are those of the network's patterns.
func (c *chunk) nodeLocked(slot uint32, names []string) Node {
	node := Node{
		Node: tick.Node{
			ID: c.ids[slot], Frequency: c.nodes.Frequency[slot], Strength: c.nodes.Strength[slot], State: tick.Resonating,
			Patterns: make([]string, 0, len(c.attached[slot])),
		},
		Period: c.rate.period, Index: c.index[slot], Position: tick.PositionOf(c.index[slot]),
	}
	if c.nodes.Stopped[slot] {
		node.State = tick.Stopped
	}
	for _, p := range c.attached[slot] {
		node.Patterns = append(node.Patterns, names[c.patterns[p]])
	}
	return node
}

// Nodes returns all nodes, by period and in node order, in which they lie in chunks. It is
// the order of their creation until one is removed; then others may take its place, so
// that what is left lies close together. Nodes of a chunk are of the same moment; what is
// created and removed meanwhile may be among them.
func (n *Network) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		n.mu.RLock()
		g := n.graph.Load()
		rates := (*g.rates.Load())[1:]
		g.listing.Add(1)
		n.mu.RUnlock()
		defer g.listing.Add(-1)
		var list []Node
		for _, r := range rates {
			for _, c := range *r.chunks.Load() {
				list = c.list(list[:0], &g.core)
				for _, node := range list {
					if !yield(node) {
						return
					}
				}
			}
		}
	}
}

// list appends the chunk's nodes.
func (c *chunk) list(list []Node, core *core) []Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := core.patternNames() // after the lock: all that nodes here drive are in it
	for slot := range c.ids {
		list = append(list, c.nodeLocked(uint32(slot), names))
	}
	return list
}

// Len returns how many nodes there are.
func (n *Network) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.graph.Load().ids)
}

// StopNode stops a node: it keeps its strength, and does not tick. Stopping it again
// does nothing. Its error wraps [ErrNotFound].
func (n *Network) StopNode(id string) error { return n.setStopped(id, true, event.NodeStopped) }

// ResumeNode has a stopped node tick again. Its error wraps [ErrNotFound].
func (n *Network) ResumeNode(id string) error { return n.setStopped(id, false, event.NodeResumed) }

func (n *Network) setStopped(id string, stopped bool, change event.Change) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	at, err := n.graph.Load().find(id)
	if err != nil {
		return err
	}
	at.chunk.mu.Lock()
	defer at.chunk.mu.Unlock() // after the event, so that the last one says what the node is
	changed, woke := at.chunk.stopLocked(at.slot, stopped)
	if woke {
		n.look()
	}
	if changed {
		n.cfg.Events.Publish(event.NodeChanged{ID: id, Change: change})
	}
	return nil
}

// RemoveNode removes a node with its connections. Its error wraps [ErrNotFound].
func (n *Network) RemoveNode(id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.graph.Load()
	at, err := g.find(id)
	if err != nil {
		return err
	}
	g.remove(id, at)
	n.cfg.Events.Publish(event.NodeChanged{ID: id, Change: event.NodeRemoved})
	return nil
}

// Connect computes the connection of two nodes as they are, by tick.connection, and
// establishes it, in the place of the one they may have. If one has become another node
// meanwhile it does so again. Errors wrap [ErrNotFound], or are the task's, a
// [*host.Error].
func (n *Network) Connect(ctx context.Context, a, b string) (Connection, error) {
	if a == b {
		return Connection{}, &abi.FieldError{Field: "b", Rule: "must be another node than a"}
	}
	for {
		e, err := n.ends(a, b)
		if err != nil {
			return Connection{}, err
		}
		result, err := host.Call[tick.ConnectionResult](ctx, n.cfg.Host.Client(n.cfg.Tenant, host.PriorityNormal), TransformConnection,
			&tick.ConnectionRequest{A: e.nodes[0].end(), B: e.nodes[1].end()})
		if err == nil {
			err = result.Validate()
		}
		if err != nil {
			return Connection{}, fmt.Errorf("connection of %s and %s: %w", a, b, err)
		}
		if n.establish(e, result) {
			return Connection{A: a, B: b, Strength: result.Strength, Quality: result.Quality}, nil
		}
	}
}

// ends are two nodes of a graph.
type ends struct {
	graph *graph
	nodes [2]Node
}

func (n *Network) ends(a, b string) (*ends, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	e := &ends{graph: n.graph.Load()}
	for i, id := range [...]string{a, b} {
		var err error
		if e.nodes[i], err = e.graph.node(id); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// establish makes the connection, if both nodes are still there: one that was made since,
// in the same graph, has a later index.
func (n *Network) establish(e *ends, c tick.ConnectionResult) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.graph.Load()
	if g != e.graph {
		return false
	}
	for i := range e.nodes {
		now, err := g.node(e.nodes[i].ID)
		if err != nil || now.Index != e.nodes[i].Index {
			return false
		}
	}
	a, b := e.nodes[0].ID, e.nodes[1].ID
	g.link(a, b, c)
	n.cfg.Events.Publish(event.ConnectionEstablished{A: a, B: b, Strength: c.Strength, Quality: c.Quality})
	return true
}

func (n *Node) end() tick.End {
	return tick.End{Frequency: n.Frequency, Strength: n.Strength, Position: n.Position}
}

// Connections returns the connections of a node, sorted by the other's ID, which is
// B. Its error wraps [ErrNotFound].
func (n *Network) Connections(id string) ([]Connection, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	g := n.graph.Load()
	if _, err := g.find(id); err != nil {
		return nil, err
	}
	return g.connectionsOf(id), nil
}

func (g *graph) connectionsOf(id string) []Connection {
	list := make([]Connection, 0, len(g.links[id]))
	for _, other := range slices.SortedFunc(maps.Keys(g.links[id]), cmp.Compare[string]) {
		c := g.links[id][other]
		list = append(list, Connection{A: id, B: other, Strength: c.Strength, Quality: c.Quality})
	}
	return list
}
