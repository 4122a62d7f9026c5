package tick

import (
	"encoding"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// DefaultFrequency is a node's, in Hz, that states none.
const DefaultFrequency = 100

// NodeState is what a node does.
type NodeState string

// States of a node. An empty one is Resonating.
const (
	Resonating NodeState = "resonating"
	Stopped    NodeState = "stopped"
)

// Node is a resonance node.
type Node struct {
	// ID is 1 to MaxID bytes of printable ASCII, unique in a request.
	ID string `json:"id"`
	// Frequency is in Hz; 0 is DefaultFrequency.
	Frequency float64 `json:"frequency"`
	// Strength is within 0 and 1.
	Strength float64   `json:"resonance_strength"`
	State    NodeState `json:"state"`
	// Patterns are the names of those attached, in the order in which the node
	// drives them.
	Patterns []string `json:"harmonic_patterns"`
}

// NodesRequest is the argument of tick.node. Its record is that of [Nodes].
type NodesRequest struct {
	// NowMS is the scheduler's clock in ms.
	NowMS float64 `json:"now_ms"`
	Nodes []Node  `json:"nodes"`
	// Patterns are the strengths of patterns, within 0 and 1. One that a node
	// names and that is not here begins at 0.
	Patterns map[string]float64 `json:"patterns"`
}

// NodesResponse is the answer to a [NodesRequest] in its terms.
type NodesResponse struct {
	Nodes    []Node             `json:"nodes"`
	Patterns map[string]float64 `json:"patterns"`
	// Progress has the nodes whose strength, in thousandths and rounded down, is a multiple
	// of 100.
	Progress []string `json:"progress"`
}

var _ encoding.BinaryAppender = (*NodesRequest)(nil)

// Validate checks what the fields state, and returns the first fault, an
// [*abi.FieldError].
func (r *NodesRequest) Validate() error {
	if err := checkTime(r.NowMS); err != nil {
		return err
	}
	if len(r.Nodes) > MaxNodes {
		return fault("nodes", "must be at most 1048576, are "+strconv.Itoa(len(r.Nodes)))
	}
	seen := make(map[string]struct{}, len(r.Nodes))
	for i := range r.Nodes {
		if err := r.Nodes[i].validate(at("nodes", i) + "."); err != nil {
			return err
		}
		id := r.Nodes[i].ID
		if _, twice := seen[id]; twice {
			return fault(at("nodes", i)+".id", strconv.Quote(id)+" is there twice")
		}
		seen[id] = struct{}{}
	}
	names := r.names()
	if len(names) > MaxPatterns {
		return fault("patterns", "must be at most 4096, are "+strconv.Itoa(len(names)))
	}
	for _, name := range names {
		if err := checkName("patterns", name); err != nil {
			return err
		}
		if !isUnit(r.Patterns[name]) {
			return fault("patterns."+name, unitRule)
		}
	}
	return nil
}

// Validate checks what the fields state. It returns the first fault, an
// [*abi.FieldError].
func (n *Node) Validate() error { return n.validate("") }

func (n *Node) validate(prefix string) error {
	if len(n.ID) == 0 || len(n.ID) > MaxID {
		return fault(prefix+"id", "must have 1 to 128 bytes")
	}
	for i := range len(n.ID) {
		if n.ID[i] < ' ' || n.ID[i] > '~' {
			return fault(prefix+"id", "must be printable ASCII")
		}
	}
	switch {
	case n.Frequency != 0 && !isFrequency(n.Frequency):
		return fault(prefix+"frequency", frequencyRule)
	case !isUnit(n.Strength):
		return fault(prefix+"resonance_strength", unitRule)
	case !n.State.valid():
		return fault(prefix+"state", stateRule)
	case len(n.Patterns) > MaxAttached:
		return fault(prefix+"harmonic_patterns", attachedRule)
	}
	for i, name := range n.Patterns {
		if err := checkName(at(prefix+"harmonic_patterns", i), name); err != nil {
			return err
		}
	}
	return nil
}

const (
	stateRule    = `must be "resonating" or "stopped"`
	attachedRule = "must be at most 64"
)

func (s NodeState) valid() bool { return s == "" || s == Resonating || s == Stopped }

// names are those of all patterns, sorted: the order of their indices.
func (r *NodesRequest) names() []string {
	all := maps.Clone(r.Patterns)
	if all == nil {
		all = make(map[string]float64)
	}
	for i := range r.Nodes {
		for _, name := range r.Nodes[i].Patterns {
			all[name] += 0
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Arrays returns a valid request by index: nodes in their order, patterns in that
// of their names.
func (r *NodesRequest) Arrays() *Nodes {
	names := r.names()
	index := make(map[string]uint32, len(names))
	a := &Nodes{
		NowMS:     r.NowMS,
		Frequency: make([]float64, len(r.Nodes)), Strength: make([]float64, len(r.Nodes)),
		Stopped: make([]bool, len(r.Nodes)), Pattern: make([]float64, len(names)),
		Offset: make([]uint32, 1, len(r.Nodes)+1),
	}
	for i, name := range names {
		index[name], a.Pattern[i] = uint32(i), r.Patterns[name]
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		a.Frequency[i], a.Strength[i], a.Stopped[i] = n.frequency(), n.Strength, n.State == Stopped
		for _, name := range n.Patterns {
			a.Attached = append(a.Attached, index[name])
		}
		a.Offset = append(a.Offset, uint32(len(a.Attached)))
	}
	return a
}

func (n *Node) frequency() float64 {
	if n.Frequency == 0 {
		return DefaultFrequency
	}
	return n.Frequency
}

// AppendBinary implements [encoding.BinaryAppender]. It refuses an unknown state.
func (r *NodesRequest) AppendBinary(b []byte) ([]byte, error) {
	for i := range r.Nodes {
		if !r.Nodes[i].State.valid() {
			return nil, fault(at("nodes", i)+".state", stateRule)
		}
	}
	return r.Arrays().AppendBinary(b)
}

// Respond puts a result into the terms of the request it answers. It does not
// validate the result.
func (r *NodesRequest) Respond(res *NodesResult) (*NodesResponse, error) {
	names := r.names()
	if len(res.Strength) != len(r.Nodes) || len(res.Pattern) != len(names) || len(res.Progress) != progressWords(len(r.Nodes)) {
		return nil, errMismatch
	}
	out := &NodesResponse{
		Nodes: slices.Clone(r.Nodes), Patterns: make(map[string]float64, len(names)), Progress: []string{},
	}
	if out.Nodes == nil {
		out.Nodes = []Node{}
	}
	for i := range out.Nodes {
		n := &out.Nodes[i]
		n.Frequency, n.Strength = n.frequency(), res.Strength[i]
		if n.State == "" {
			n.State = Resonating
		}
		if n.Patterns == nil {
			n.Patterns = []string{}
		}
		if res.Progressed(i) {
			out.Progress = append(out.Progress, n.ID)
		}
	}
	for i, name := range names {
		out.Patterns[name] = res.Pattern[i]
	}
	return out, nil
}

// Nodes is the argument of tick.node as arrays over nodes and patterns.
type Nodes struct {
	// NowMS is the scheduler's clock in ms.
	NowMS float64
	// Frequency (Hz), Strength and Stopped are by node.
	Frequency, Strength []float64
	Stopped             []bool
	// Pattern is the strength of each pattern.
	Pattern []float64
	// Attached are the patterns of all nodes, one node after the other: those of
	// node i from Offset[i] to Offset[i+1].
	Offset, Attached []uint32
}

var (
	_ encoding.BinaryAppender    = (*Nodes)(nil)
	_ encoding.BinaryUnmarshaler = (*Nodes)(nil)
)

// Validate checks that the arrays fit together and what [NodesRequest] states of
// their values. It returns the first fault, an [*abi.FieldError].
func (a *Nodes) Validate() error {
	if err := checkTime(a.NowMS); err != nil {
		return err
	}
	n := len(a.Frequency)
	if n > MaxNodes || len(a.Strength) != n || len(a.Stopped) != n || len(a.Offset) != n+1 {
		return fault("nodes", "must be arrays of one length, at most 1048576")
	}
	if len(a.Pattern) > MaxPatterns {
		return fault("patterns", "must be at most 4096, are "+strconv.Itoa(len(a.Pattern)))
	}
	if i := outside(a.Frequency, math.SmallestNonzeroFloat64, MaxFrequency); i >= 0 {
		return fault(at("nodes", i)+".frequency", frequencyRule)
	}
	if err := checkStrengths(a.Strength, a.Pattern); err != nil {
		return err
	}
	if a.Offset[0] != 0 || a.Offset[n] != uint32(len(a.Attached)) {
		return fault("offsets", "must begin at 0 and end at the number of attachments")
	}
	if i := notAscending(a.Offset, MaxAttached); i >= 0 {
		return fault(at("nodes", i-1)+".harmonic_patterns", attachedRule)
	}
	if i := notBelow(a.Attached, uint32(len(a.Pattern))); i >= 0 {
		return fault(at("attached", i), "must be the index of a pattern")
	}
	return nil
}

func checkStrengths(nodes, patterns []float64) error {
	if i := outside(nodes, 0, 1); i >= 0 {
		return fault(at("nodes", i)+".resonance_strength", unitRule)
	}
	if i := outside(patterns, 0, 1); i >= 0 {
		return fault(at("patterns", i), unitRule)
	}
	return nil
}

// The record of Nodes: u64 nodes, patterns, attachments; f64 now_ms, frequencies,
// strengths, pattern strengths; u32 offsets (nodes + 1, padded), attachments
// (padded); u8 stopped (0 or 1, padded).
const nodesHeader = 4 * 8

func nodesSize(nodes, patterns, attached int) int {
	return nodesHeader + 16*nodes + 8*patterns + align(4*(nodes+1)) + align(4*attached) + align(nodes)
}

// AppendBinary implements [encoding.BinaryAppender]. It refuses arrays that do
// not fit together.
func (a *Nodes) AppendBinary(b []byte) ([]byte, error) {
	n := len(a.Frequency)
	if len(a.Strength) != n || len(a.Stopped) != n || len(a.Offset) != n+1 {
		return nil, fault("nodes", "must be arrays of one length")
	}
	b = slices.Grow(b, nodesSize(n, len(a.Pattern), len(a.Attached)))
	b = le.Append(b, uint64(n), uint64(len(a.Pattern)), uint64(len(a.Attached)))
	b = le.Append(b, a.NowMS)
	b = le.Append(b, a.Frequency...)
	b = le.Append(b, a.Strength...)
	b = le.Append(b, a.Pattern...)
	b = appendUint32s(b, a.Offset)
	b = appendUint32s(b, a.Attached)
	b = le.Append(b, a.Stopped...)
	return append(b, make([]byte, align(n)-n)...), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. The memory of slices
// is used again. It does not validate values.
func (a *Nodes) UnmarshalBinary(b []byte) error {
	v, err := ViewNodes(b)
	if err != nil {
		return err
	}
	a.NowMS = v.NowMS
	a.Frequency, a.Strength = append(a.Frequency[:0], v.Frequency...), append(a.Strength[:0], v.Strength...)
	a.Pattern, a.Stopped = append(a.Pattern[:0], v.Pattern...), append(a.Stopped[:0], v.Stopped...)
	a.Offset, a.Attached = append(a.Offset[:0], v.Offset...), append(a.Attached[:0], v.Attached...)
	return nil
}

// ViewNodes returns what UnmarshalBinary does, without a copy: the arrays are b's memory,
// if b is where numbers may lie, and must not be written to.
func ViewNodes(b []byte) (a Nodes, err error) {
	if len(b) < nodesHeader {
		return a, sizeFault(len(b), nodesHeader)
	}
	b = le.Aligned(b)
	nodes, patterns, attached := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	if nodes > MaxNodes || patterns > MaxPatterns || attached > nodes*MaxAttached {
		return a, fault("record", "counts more than the message may have")
	}
	n, p, k := int(nodes), int(patterns), int(attached)
	if want := nodesSize(n, p, k); len(b) != want {
		return a, sizeFault(len(b), want)
	}
	now, b := le.Float(b[24:]), b[nodesHeader:]
	frequency, b := b[:8*n], b[8*n:]
	strength, b := b[:8*n], b[8*n:]
	pattern, b := b[:8*p], b[8*p:]
	offset, b := b[:4*(n+1)], b[align(4*(n+1)):]
	indices, stopped := b[:4*k], b[align(4*k):][:n]
	if i := notBool(stopped); i >= 0 {
		return a, fault(at("nodes", i)+".state", "must be 0 or 1 in a record")
	}
	return Nodes{
		NowMS: now, Frequency: le.View[float64](frequency), Strength: le.View[float64](strength), Stopped: le.View[bool](stopped),
		Pattern: le.View[float64](pattern), Offset: le.View[uint32](offset), Attached: le.View[uint32](indices),
	}, nil
}

// NodesResult is the answer of tick.node, by the indices of its argument.
type NodesResult struct {
	// Strength is by node, Pattern by pattern.
	Strength, Pattern []float64
	// Progress has bit i%64 of element i/64 set if node i made progress: if its strength,
	// in thousandths and rounded down, is a multiple of 100.
	Progress []uint64
}

var (
	_ encoding.BinaryAppender    = (*NodesResult)(nil)
	_ encoding.BinaryUnmarshaler = (*NodesResult)(nil)
)

// Progressed reports whether node i made progress.
func (r *NodesResult) Progressed(i int) bool { return r.Progress[i/64]>>(i%64)&1 == 1 }

// Validate checks that the arrays fit together, that strengths are within 0 and
// 1, and that no bit beyond the nodes is set. It returns the first fault, an
// [*abi.FieldError].
func (r *NodesResult) Validate() error {
	n := len(r.Strength)
	if n > MaxNodes {
		return fault("nodes", "must be at most 1048576, are "+strconv.Itoa(n))
	}
	if len(r.Pattern) > MaxPatterns {
		return fault("patterns", "must be at most 4096, are "+strconv.Itoa(len(r.Pattern)))
	}
	if err := checkStrengths(r.Strength, r.Pattern); err != nil {
		return err
	}
	if len(r.Progress) != progressWords(n) || n%64 != 0 && r.Progress[n/64]>>(n%64) != 0 {
		return fault("progress", progressRule)
	}
	return nil
}

const progressRule = "must have a bit a node, and none beyond"

// The record of NodesResult: u64 nodes, patterns; f64 strengths, pattern
// strengths; u64 progress.
const nodesResultHeader = 2 * 8

func progressWords(nodes int) int { return (nodes + 63) / 64 }

// UseRoom has the strengths of so many nodes lie where AppendBinary will put them, so that
// it need not copy them, if b has room for that; and otherwise in new memory.
func (r *NodesResult) UseRoom(b []byte, nodes int) {
	r.Strength = nil // which may be of the same memory as b
	if at := len(b) + nodesResultHeader; at+8*nodes <= cap(b) {
		if room := b[at : at+8*nodes]; le.IsAligned(room) {
			r.Strength = le.View[float64](room)[:0]
		}
	}
}

// AppendBinary implements [encoding.BinaryAppender].
func (r *NodesResult) AppendBinary(b []byte) ([]byte, error) {
	if len(r.Progress) != progressWords(len(r.Strength)) {
		return nil, fault("progress", progressRule)
	}
	b = slices.Grow(b, nodesResultHeader+8*(len(r.Strength)+len(r.Pattern)+len(r.Progress)))
	b = le.Append(b, uint64(len(r.Strength)), uint64(len(r.Pattern)))
	b = le.Append(b, r.Strength...)
	b = le.Append(b, r.Pattern...)
	return le.Append(b, r.Progress...), nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. The memory of slices
// is used again.
func (r *NodesResult) UnmarshalBinary(b []byte) error {
	v, err := ViewNodesResult(b)
	if err != nil {
		return err
	}
	r.Strength, r.Pattern = append(r.Strength[:0], v.Strength...), append(r.Pattern[:0], v.Pattern...)
	r.Progress = append(r.Progress[:0], v.Progress...)
	return nil
}

// ViewNodesResult returns what UnmarshalBinary does, without a copy: the arrays are b's
// memory, if b is where numbers may lie, and must not be written to.
func ViewNodesResult(b []byte) (r NodesResult, err error) {
	if len(b) < nodesResultHeader {
		return r, sizeFault(len(b), nodesResultHeader)
	}
	b = le.Aligned(b)
	nodes, patterns := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if nodes > MaxNodes || patterns > MaxPatterns {
		return r, fault("record", "counts more than the message may have")
	}
	n, p, words := int(nodes), int(patterns), progressWords(int(nodes))
	if want := nodesResultHeader + 8*(n+p+words); len(b) != want {
		return r, sizeFault(len(b), want)
	}
	b = b[nodesResultHeader:]
	strength, pattern, progress := b[:8*n], b[8*n:][:8*p], b[8*(n+p):]
	return NodesResult{
		Strength: le.View[float64](strength), Pattern: le.View[float64](pattern), Progress: le.View[uint64](progress),
	}, nil
}
