package network

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/tick"
)

// chunk holds nodes of one period in arrays, by slot: the argument of one task of
// tick.node. The last node fills the gap that another leaves.
type chunk struct {
	rate   *rate
	active atomic.Int32 // nodes that are not stopped
	// since is where the chunk is: idle, waiting for a dispatcher, or with one, since so
	// many ns after the graph's origin. The loop takes it out of idle, and the dispatcher
	// puts it back.
	since atomic.Int64
	took  atomic.Int64 // how long a dispatcher last had it, in ns; 0 if none had

	mu sync.Mutex // guards all below
	// nodes is as the plugin takes it, but for what a tick brings, its time and the
	// strengths of patterns, and for the attachments, which are right if laid is true.
	nodes tick.Nodes
	laid  bool
	ids   []string
	index []int // on the spiral
	// attached are each node's patterns by their place in patterns, which are the
	// network's, and drives how often each of them is attached: none that is not stays
	// when the attachments are laid out.
	attached [][]uint32
	patterns []int
	drives   []int
	// running is whether a task is out, and changes what has become of slots since it
	// went, in that order.
	running bool
	changes []change
}

// change tells that a slot has the node that was in another; that its own was changed, or
// is a new one, if that is the same.
type change struct{ slot, from uint32 }

// Values of chunk.since.
const (
	idle    = 0
	waiting = -1
)

// addLocked adds a node. woke is whether it is the first that is to be advanced.
func (c *chunk) addLocked(spec *NodeSpec, index int, patterns []int) (slot uint32, woke bool) {
	slot = uint32(len(c.ids))
	var attached []uint32
	for _, p := range patterns {
		at := slices.Index(c.patterns, p)
		if at < 0 {
			at = len(c.patterns)
			c.patterns, c.drives = append(c.patterns, p), append(c.drives, 0)
		}
		attached = append(attached, uint32(at))
		c.drives[at]++
	}
	c.nodes.Frequency, c.nodes.Strength = append(c.nodes.Frequency, spec.Frequency), append(c.nodes.Strength, spec.Strength)
	c.nodes.Stopped, c.ids = append(c.nodes.Stopped, true), append(c.ids, spec.ID)
	c.index, c.attached = append(c.index, index), append(c.attached, attached)
	c.laid = false
	c.touchLocked(slot)
	_, woke = c.stopLocked(slot, spec.State == tick.Stopped)
	return slot, woke
}

// removeLocked removes a node, and returns the ID of the one that has its slot now, if
// any does.
func (c *chunk) removeLocked(slot uint32) (moved string) {
	c.stopLocked(slot, true)
	for _, p := range c.attached[slot] {
		c.drives[p]--
	}
	last := uint32(len(c.ids) - 1)
	if slot != last {
		moved = c.ids[last]
		if c.running {
			c.changes = append(c.changes, change{slot, last})
		}
	}
	c.nodes.Frequency, c.nodes.Strength = fill(c.nodes.Frequency, slot), fill(c.nodes.Strength, slot)
	c.nodes.Stopped, c.ids = fill(c.nodes.Stopped, slot), fill(c.ids, slot)
	c.index, c.attached = fill(c.index, slot), fill(c.attached, slot)
	c.laid = false
	return moved
}

// fill removes an element, and has the last one fill the gap.
func fill[T any](list []T, at uint32) []T {
	var zero T
	last := len(list) - 1
	list[at] = list[last]
	list[last] = zero // what it refers to is not to be kept alive
	return list[:last]
}

// stopLocked stops a node, or resumes it, and reports whether that changed it, and
// whether it is now the only one to be advanced.
func (c *chunk) stopLocked(slot uint32, stopped bool) (changed, woke bool) {
	if c.nodes.Stopped[slot] == stopped {
		return false, false
	}
	c.nodes.Stopped[slot] = stopped
	c.touchLocked(slot)
	if stopped {
		c.active.Add(-1)
		return true, false
	}
	return true, c.active.Add(1) == 1
}

func (c *chunk) touchLocked(slot uint32) {
	if c.running {
		c.changes = append(c.changes, change{slot, slot})
	}
}

// layLocked writes the attachments of all nodes one after the other. No task is out.
func (c *chunk) layLocked() {
	if slices.Contains(c.drives, 0) {
		c.forgetLocked()
	}
	a := &c.nodes
	a.Offset, a.Attached = append(a.Offset[:0], 0), a.Attached[:0]
	for _, list := range c.attached {
		a.Attached = append(a.Attached, list...)
		a.Offset = append(a.Offset, uint32(len(a.Attached)))
	}
	c.laid = true
}

// forgetLocked forgets the patterns that no node drives any more.
func (c *chunk) forgetLocked() {
	now := make([]uint32, len(c.patterns)) // where each is from now on
	kept := uint32(0)
	for i, n := range c.drives {
		if now[i] = kept; n > 0 {
			c.patterns[kept], c.drives[kept] = c.patterns[i], n
			kept++
		}
	}
	c.patterns, c.drives = c.patterns[:kept], c.drives[:kept]
	for _, list := range c.attached {
		for i, p := range list {
			list[i] = now[p]
		}
	}
}

// advanceChunk has one chunk advanced by the plugin.
func (n *Network) advanceChunk(d *dispatcher, r *round, c *chunk) result {
	sent, err := c.encode(d, r)
	if err == nil && sent > 0 { // or all its nodes were removed since the tick began
		var output []byte
		if output, err = n.run(d, r, TransformNode); err == nil {
			err = d.decode(output, sent, len(d.before))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	if err != nil || sent == 0 {
		return result{err: err}
	}
	from := c.sourcesLocked(sent)
	c.mergeLocked(d.nodes.Strength, from)
	var res result
	if n.cfg.Events.Wants(event.KindNodesProgressed) {
		res.progress = c.progressLocked(&d.nodes, from)
	}
	for i, after := range d.nodes.Pattern {
		if by := after - d.before[i]; by > 0 {
			res.deltas = append(res.deltas, delta{c.patterns[i], by})
		}
	}
	return res
}

// encode writes the chunk as the plugin takes it, and returns how many slots it has.
func (c *chunk) encode(d *dispatcher, r *round) (sent int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.changes = true, c.changes[:0]
	if !c.laid {
		c.layLocked()
	}
	d.before = d.before[:0]
	if len(c.patterns) > 0 {
		all := r.strengths()
		for _, p := range c.patterns {
			strength := 0.0 // of a pattern younger than the round
			if p < len(all) {
				strength = all[p]
			}
			d.before = append(d.before, strength)
		}
	}
	c.nodes.Pattern, c.nodes.NowMS = d.before, r.nowMS
	d.input, err = c.nodes.AppendBinary(d.input[:0])
	c.nodes.Pattern = nil
	return len(c.ids), err
}

var errOtherShape = errors.New("the plugin's answer is of other nodes than it was asked for")

// decode reads and checks what a plugin, which nobody trusts, has answered.
func (d *dispatcher) decode(output []byte, nodes, patterns int) error {
	var err error
	if d.nodes, err = tick.ViewNodesResult(output); err == nil {
		err = d.nodes.Validate()
	}
	if err == nil && (len(d.nodes.Strength) != nodes || len(d.nodes.Pattern) != patterns) {
		err = errOtherShape
	}
	if err != nil {
		d.output = nil // which may be of any size
		return fmt.Errorf("%s: %w", TransformNode, err)
	}
	return nil
}

// sources say where in a task the nodes were that are in slots now.
type sources struct {
	sent    int // slots
	changed map[int]int
}

// of returns the slot that the node had; -1 if the task's result is not for it.
func (s *sources) of(slot int) int {
	if at, ok := s.changed[slot]; ok {
		return at
	}
	if slot < s.sent {
		return slot
	}
	return -1
}

func (c *chunk) sourcesLocked(sent int) *sources {
	s := &sources{sent: sent}
	if len(c.changes) > 0 {
		s.changed = make(map[int]int)
	}
	for _, ch := range c.changes {
		if ch.from == ch.slot {
			s.changed[int(ch.slot)] = -1
		} else {
			s.changed[int(ch.slot)] = s.of(int(ch.from))
		}
	}
	return s
}

// mergeLocked takes over strengths.
func (c *chunk) mergeLocked(strengths []float64, from *sources) {
	now := c.nodes.Strength
	if from.changed == nil {
		copy(now, strengths)
		return
	}
	for slot := range now {
		if at := from.of(slot); at >= 0 {
			now[slot] = strengths[at]
		}
	}
}

// progressLocked are the nodes that made progress and are what they were.
func (c *chunk) progressLocked(res *tick.NodesResult, from *sources) (list []event.Progress) {
	for slot, id := range c.ids {
		if at := from.of(slot); at >= 0 && res.Progressed(at) {
			list = append(list, event.Progress{ID: id, Strength: res.Strength[at]})
		}
	}
	return list
}
