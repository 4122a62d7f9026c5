package network

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/resonhost/resonhost/abi/tick"
	"github.com/resonhost/resonhost/host/event"
)

// chunk holds nodes of one period in arrays, by slot: the argument of one task of
// tick.node. A slot without a node is a stopped one in there.
type chunk struct {
	rate   *rate
	active atomic.Int32 // nodes that are not stopped
	// since is where the chunk is: idle, waiting for a dispatcher, or with one, since so
	// many ns after the graph's origin. The loop takes it out of idle, and the dispatcher
	// puts it back.
	since atomic.Int64

	mu sync.Mutex // guards all below
	// nodes is as the plugin takes it, but for what a tick brings, its time and the
	// strengths of patterns, and for the attachments, which are right if laid is true.
	nodes tick.Nodes
	laid  bool
	ids   []string // "" in a free slot
	index []int    // on the spiral
	// attached are each node's patterns by their place in patterns, which are the
	// network's that some node here drives, or has driven.
	attached [][]uint32
	patterns []int
	free     []uint32
	// running is whether a task is out, and touched which slots have changed since it
	// went: what it brings does not hold for them.
	running bool
	touched []uint32
}

// Values of chunk.since.
const (
	idle    = 0
	waiting = -1
)

// addLocked puts a node into a free slot.
func (c *chunk) addLocked(spec *NodeSpec, index int, patterns []int) uint32 {
	var slot uint32
	if last := len(c.free) - 1; last >= 0 {
		slot = c.free[last]
		c.free = c.free[:last]
	} else {
		slot = uint32(len(c.ids))
		c.nodes.Frequency, c.nodes.Strength = append(c.nodes.Frequency, 0), append(c.nodes.Strength, 0)
		c.nodes.Stopped, c.ids = append(c.nodes.Stopped, true), append(c.ids, "")
		c.index, c.attached = append(c.index, 0), append(c.attached, nil)
		c.laid = false
	}
	var attached []uint32
	for _, p := range patterns {
		at := slices.Index(c.patterns, p)
		if at < 0 {
			at = len(c.patterns)
			c.patterns = append(c.patterns, p)
		}
		attached = append(attached, uint32(at))
	}
	if len(attached)+len(c.attached[slot]) > 0 {
		c.laid = false
	}
	c.nodes.Frequency[slot], c.nodes.Strength[slot] = spec.Frequency, spec.Strength
	c.ids[slot], c.index[slot], c.attached[slot] = spec.ID, index, attached
	c.touchLocked(slot)
	c.stopLocked(slot, spec.State == tick.Stopped)
	return slot
}

func (c *chunk) removeLocked(slot uint32) {
	c.stopLocked(slot, true)
	c.ids[slot] = ""
	c.touchLocked(slot)
	c.free = append(c.free, slot)
}

// stopLocked stops a node, or resumes it, and reports whether that changed it.
func (c *chunk) stopLocked(slot uint32, stopped bool) (changed bool) {
	if c.nodes.Stopped[slot] == stopped {
		return false
	}
	c.nodes.Stopped[slot] = stopped
	c.touchLocked(slot)
	if stopped {
		c.active.Add(-1)
	} else {
		c.active.Add(1)
	}
	return true
}

func (c *chunk) touchLocked(slot uint32) {
	if c.running {
		c.touched = append(c.touched, slot)
	}
}

// layLocked writes the attachments of all nodes one after the other.
func (c *chunk) layLocked() {
	a := &c.nodes
	a.Offset, a.Attached = append(a.Offset[:0], 0), a.Attached[:0]
	for _, list := range c.attached {
		a.Attached = append(a.Attached, list...)
		a.Offset = append(a.Offset, uint32(len(a.Attached)))
	}
	c.laid = true
}

// advanceChunk has one chunk advanced by the plugin.
func (n *Network) advanceChunk(d *dispatcher, r *round, c *chunk) result {
	sent, err := c.encode(d, r)
	if err == nil {
		var output []byte
		if output, err = n.run(d, r, transformNode); err == nil {
			err = d.decode(output, sent, len(d.before))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	if err != nil {
		return result{err: err}
	}
	c.mergeLocked(d.nodes.Strength)
	var res result
	if n.cfg.Events.Wants(event.KindNodesProgressed) {
		res.progress = c.progressLocked(&d.nodes, sent)
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
	c.running, c.touched = true, c.touched[:0]
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
	err := d.nodes.UnmarshalBinary(output)
	if err == nil {
		err = d.nodes.Validate()
	}
	if err == nil && (len(d.nodes.Strength) != nodes || len(d.nodes.Pattern) != patterns) {
		err = errOtherShape
	}
	if err != nil {
		return fmt.Errorf("%s: %w", transformNode, err)
	}
	return nil
}

// mergeLocked takes over strengths, but for slots that have changed since.
func (c *chunk) mergeLocked(strengths []float64) {
	now := c.nodes.Strength
	for _, slot := range c.touched {
		if int(slot) < len(strengths) {
			strengths[slot] = now[slot]
		}
	}
	copy(now, strengths)
}

// progressLocked are the nodes that made progress and are what they were.
func (c *chunk) progressLocked(res *tick.NodesResult, sent int) (list []event.Progress) {
	slices.Sort(c.touched)
	for i := range sent {
		if !res.Progressed(i) {
			continue
		}
		if _, touched := slices.BinarySearch(c.touched, uint32(i)); !touched && c.ids[i] != "" {
			list = append(list, event.Progress{ID: c.ids[i], Strength: res.Strength[i]})
		}
	}
	return list
}
