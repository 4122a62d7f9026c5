package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/resonhost/resonhost/resonance/tick"
)

// storedFormat is that of the records in which a network is stored.
const storedFormat = 1

// Sections of a stored network. Each has parts, which are records of their own, so that one that
// stays as it is need not be saved again.
const (
	sectionNodes       = iota // what nodes are, but for their strengths
	sectionStrengths          // of nodes, in their order
	sectionConnections        // of nodes by their numbers
	sections
)

// sectionNames are in the names of records.
var sectionNames = [sections]string{"n", "s", "c"}

const (
	// partBytes is how long a part is, but for its last entry, and maxEntry how long that is at most.
	partBytes = 256 << 10
	maxEntry  = 1 << 10
	// MaxMeta is how long the bytes may be that a network's owner keeps with it.
	MaxMeta = 64 << 10
)

// head is the record that makes one network of parts. All numbers without a size are uvarints:
// f64 now_ms; created, generation; meta, with its length; nodes, connections; the names of fields
// and of patterns, each list with its length and each name with its own; the record of
// [tick.NetworkState], with its length; and for each section how many parts it has, with the
// generation that saved each.
type head struct {
	nowMS              float64
	created            int
	generation         uint64
	meta               []byte
	nodes, connections int
	network            tick.Network
	parts              [sections][]uint64

	at time.Time // when the clock was at nowMS, which is the record's
}

func (h *head) append(b []byte) ([]byte, error) {
	b = appendFloat(b, h.nowMS)
	b = binary.AppendUvarint(b, uint64(h.created))
	b = binary.AppendUvarint(b, h.generation)
	b = appendText(b, h.meta)
	b = binary.AppendUvarint(b, uint64(h.nodes))
	b = binary.AppendUvarint(b, uint64(h.connections))
	for _, names := range [...][]string{sortedNames(h.network.Fields), sortedNames(h.network.Patterns)} {
		b = binary.AppendUvarint(b, uint64(len(names)))
		for _, name := range names {
			b = appendText(b, name)
		}
	}
	state, err := (&tick.NetworkRequest{NowMS: h.nowMS, Network: h.network}).AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	b = appendText(b, state)
	for _, list := range h.parts {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, generation := range list {
			b = binary.AppendUvarint(b, generation)
		}
	}
	return b, nil
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// readHead reads a head of at most so many nodes and connections, which nobody vouches for.
func readHead(b []byte, nodes, connections int) (*head, error) {
	r := &reader{b: b}
	h := &head{nowMS: r.float("now_ms"), created: int(r.uvarint("created", tick.MaxCount)), generation: r.uvarint("generation", math.MaxUint64-1)}
	h.meta = slices.Clone(r.bytes("meta", MaxMeta))
	h.nodes = int(r.uvarint("nodes", math.MaxInt32))
	h.connections = int(r.uvarint("connections", math.MaxInt32))
	switch {
	case r.err != nil:
		return nil, r.err
	case h.nodes > nodes:
		return nil, fmt.Errorf("%w: %d nodes are stored, and there is room for %d", ErrFull, h.nodes, nodes)
	case h.connections > connections:
		return nil, fmt.Errorf("%w: %d connections are stored, and there is room for %d", ErrFull, h.connections, connections)
	}
	var names [2][]string
	for i, what := range [...]string{"field", "pattern"} {
		for range r.uvarint(what+"s", tick.MaxPatterns) {
			name := string(r.bytes(what, tick.MaxName))
			if r.err != nil {
				return nil, r.err
			}
			if list := names[i]; len(list) > 0 && name <= list[len(list)-1] {
				return nil, fmt.Errorf("%ss are not in the order of their names", what)
			}
			names[i] = append(names[i], name)
		}
	}
	var state tick.NetworkState
	if b := r.bytes("network", len(r.b)); r.err == nil {
		r.err = state.UnmarshalBinary(b)
	}
	if r.err == nil && (len(state.Fields) != len(names[0]) || len(state.Patterns) != len(names[1])) {
		r.err = errors.New("there are other fields or patterns than names of them")
	}
	if r.err != nil {
		return nil, r.err
	}
	h.network = named(&state, names[0], names[1])
	for i := range h.parts {
		for range r.uvarint("parts", uint64(len(r.b))) {
			h.parts[i] = append(h.parts[i], r.uvarint("generation of a part", h.generation))
		}
	}
	return h, r.end()
}

// named returns the state of a network by names.
func named(s *tick.NetworkState, fields, patterns []string) tick.Network {
	n := tick.Network{Metrics: s.Metrics, Fields: make(map[string]tick.Field, len(fields)), Patterns: make(map[string]tick.Pattern, len(patterns))}
	for i, name := range fields {
		n.Fields[name] = s.Fields[i]
	}
	for i, name := range patterns {
		n.Patterns[name] = s.Patterns[i]
	}
	return n
}

// cut writes the sections of a snapshot in parts.
func cut(s *Snapshot) (parts [sections][][]byte) {
	patterns := make(map[string]uint64, len(s.Network.Patterns))
	for i, name := range sortedNames(s.Network.Patterns) {
		patterns[name] = uint64(i)
	}
	var nodes, strengths, connections cutter
	numbers := make(map[string]uint64, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		numbers[n.ID] = uint64(i)
		nodes.add(appendNode(nodes.part, n, patterns))
		strengths.add(appendFloat(strengths.part, n.Strength))
	}
	for _, c := range s.Connections {
		b := binary.AppendUvarint(connections.part, numbers[c.A])
		b = binary.AppendUvarint(b, numbers[c.B])
		connections.add(appendFloat(appendFloat(b, c.Strength), c.Quality))
	}
	return [sections][][]byte{nodes.end(), strengths.end(), connections.end()}
}

// appendNode writes a node but for its strength: its ID with a length, f64 frequency, its period
// in ns, its index, whether it is stopped, and its patterns by their numbers, with how many there are.
func appendNode(b []byte, n *Node, patterns map[string]uint64) []byte {
	b = appendFloat(appendText(b, n.ID), n.Frequency)
	b = binary.AppendUvarint(b, uint64(n.Period))
	b = binary.AppendUvarint(b, uint64(n.Index))
	stopped := byte(0)
	if n.State == tick.Stopped {
		stopped = 1
	}
	b = binary.AppendUvarint(append(b, stopped), uint64(len(n.Patterns)))
	for _, name := range n.Patterns {
		b = binary.AppendUvarint(b, patterns[name])
	}
	return b
}

// cutter makes parts of entries.
type cutter struct {
	parts [][]byte
	part  []byte
}

// add takes the part back, with one entry more.
func (c *cutter) add(part []byte) {
	if c.part = part; len(part) >= partBytes {
		c.parts, c.part = append(c.parts, part), make([]byte, 0, partBytes+maxEntry)
	}
}

func (c *cutter) end() [][]byte {
	if len(c.part) > 0 {
		c.parts = append(c.parts, c.part)
	}
	return c.parts
}

// assembly is a snapshot that is read part by part.
type assembly struct {
	head      *head
	patterns  []string
	snapshot  *Snapshot
	strengths int // of the first so many nodes
}

func (h *head) assemble() *assembly {
	return &assembly{head: h, patterns: sortedNames(h.network.Patterns), snapshot: &Snapshot{
		Version: SnapshotVersion, NowMS: h.nowMS, Created: h.created, Network: h.network, Nodes: []Node{}, Connections: []Connection{},
	}}
}

// take reads a part of a section. Those before it have been read.
func (a *assembly) take(section int, part []byte) error {
	s, r := a.snapshot, &reader{b: part}
	for len(r.b) > 0 {
		switch {
		case section == sectionNodes && len(s.Nodes) < a.head.nodes:
			s.Nodes = append(s.Nodes, r.node(a.patterns))
		case section == sectionStrengths && a.strengths < len(s.Nodes):
			s.Nodes[a.strengths].Strength = r.float("strength")
			a.strengths++
		case section == sectionConnections && len(s.Connections) < a.head.connections:
			s.Connections = append(s.Connections, r.connection(s.Nodes))
		default:
			r.fail("the part", "has more than the head says")
		}
	}
	return r.err
}

// end returns the snapshot once all parts have been read.
func (a *assembly) end() (*Snapshot, error) {
	if s := a.snapshot; len(s.Nodes) != a.head.nodes || a.strengths != a.head.nodes || len(s.Connections) != a.head.connections {
		return nil, fmt.Errorf("the parts have %d nodes, %d strengths and %d connections, must have %d, %[4]d and %[5]d",
			len(s.Nodes), a.strengths, len(s.Connections), a.head.nodes, a.head.connections)
	}
	return a.snapshot, nil
}

// reader reads what nobody vouches for. After an error it reads zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s %s", what, why)
	}
	r.b = nil
}

func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("the record", "is longer than what it has")
	}
	return r.err
}

func (r *reader) uvarint(what string, most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.fail(what, "is no number that it may be")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) float(what string) float64 {
	if len(r.b) < 8 {
		r.fail(what, "is cut off")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// bytes reads bytes that lie in the record.
func (r *reader) bytes(what string, most int) []byte {
	n := r.uvarint(what, uint64(most))
	if n > uint64(len(r.b)) {
		r.fail(what, "is cut off")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) node(patterns []string) Node {
	n := Node{Node: tick.Node{ID: string(r.bytes("a node's id", tick.MaxID)), Frequency: r.float("a node's frequency"), State: tick.Resonating}}
	n.Period = time.Duration(r.uvarint("a node's period", uint64(MaxPeriod)))
	n.Index = int(r.uvarint("a node's index", tick.MaxCount))
	n.Position = tick.PositionOf(n.Index)
	if r.uvarint("a node's state", 1) == 1 {
		n.State = tick.Stopped
	}
	count := r.uvarint("a node's patterns", tick.MaxAttached)
	n.Patterns = make([]string, 0, count)
	for range count {
		at := r.uvarint("a node's pattern", tick.MaxPatterns)
		if at >= uint64(len(patterns)) {
			r.fail("a node's pattern", "is none of the network's")
			return n
		}
		n.Patterns = append(n.Patterns, patterns[at])
	}
	return n
}

func (r *reader) connection(nodes []Node) Connection {
	a, b := r.uvarint("a connection's node", math.MaxInt32), r.uvarint("a connection's node", math.MaxInt32)
	if a >= uint64(len(nodes)) || b >= uint64(len(nodes)) {
		r.fail("a connection", "is of a node that is not there")
		return Connection{}
	}
	return Connection{A: nodes[a].ID, B: nodes[b].ID, Strength: r.float("a connection's strength"), Quality: r.float("a connection's quality")}
}
