package main

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// Workloads.
const (
	noop    = "noop"
	echo1k  = "echo1k"
	echo64k = "echo64k"
	echo1m  = "echo1m"
	full    = "full"
	summary = "summary"
	ticks   = "ticks"
	mixed   = "mixed"
)

// workloads are in the order in which they are measured: what the memory of processes is
// read after comes first.
var workloads = []struct{ name, title string }{
	{full, "cascade, full"},
	{summary, "cascade, summary"},
	{ticks, "tick of 4096 nodes"},
	{noop, "no-op"},
	{echo1k, "echo 1 kB"},
	{echo64k, "echo 64 kB"},
	{echo1m, "echo 1 MB"},
	{mixed, "mixed"},
}

func titleOf(workload string) string {
	for _, w := range workloads {
		if w.name == workload {
			return w.title
		}
	}
	return workload
}

// fullShort is full in an open load with time slices as resonhost's command asks for them.
const fullShort = full + ", short time slices"

// openWorkloads are those of open loads.
var openWorkloads = [...]string{full, fullShort, mixed}

// nodesPerTick is what a network gives to a task.
const nodesPerTick = 4096

// theInputs are those of every contender.
func theInputs() *inputs {
	in := &inputs{
		// Five values, so the most pairs.
		State: cascade.State{
			AwarenessLevel: 0.8, CoherenceScore: 0.75, PhiValue: 0.618, EmotionalResonance: 0.9, CreativeEmergence: 0.7,
			Timestamp: 1_760_000_000_000,
		},
		Nodes: nodes{NowMS: 12345, Pattern: make([]float64, 7)},
		Sizes: map[string]int{echo1k: 1 << 10, echo64k: 64 << 10, echo1m: 1 << 20},
		// Mostly cascades, and every now and then what moves much memory or takes long.
		Mixed: []string{
			full, summary, full, noop, full, summary, echo1k, full,
			full, summary, full, echo64k, full, summary, noop, ticks,
		},
	}
	for i := range nodesPerTick {
		in.Nodes.Frequency = append(in.Nodes.Frequency, 100+float64(i%900))
		in.Nodes.Strength = append(in.Nodes.Strength, float64(i%1000)/1000)
		in.Nodes.Attached = append(in.Nodes.Attached, uint32(i%7))
	}
	return in
}

// task is what a contender in Go is given: a function of package transform, and its input.
type task struct {
	function string
	input    []byte
}

// tasks returns the tasks of a workload, which are taken in turns.
func (in *inputs) tasks(workload string) ([]task, error) {
	if workload != mixed {
		t, err := in.task(workload)
		return []task{t}, err
	}
	list := make([]task, len(in.Mixed))
	for i, w := range in.Mixed {
		var err error
		if list[i], err = in.task(w); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (in *inputs) task(workload string) (task, error) {
	switch workload {
	case noop:
		return task{function: transform.Noop}, nil
	case full, summary:
		s := in.State
		s.Detail = cascade.Detail(workload)
		input, err := s.AppendBinary(nil)
		return task{transform.Cascade, input}, err
	case ticks:
		input, err := in.Nodes.record().AppendBinary(nil)
		return task{transform.Tick, input}, err
	}
	b := make([]byte, in.Sizes[workload])
	for i := range b {
		b[i] = byte(i * 7)
	}
	return task{transform.Echo, b}, nil
}

// lines returns a batch of cascades of a workload as JSON lines.
func (in *inputs) lines(workload string) ([]byte, error) {
	if workload != full && workload != summary {
		return nil, errors.New("JSON lines are of cascades alone")
	}
	s := in.State
	s.Detail = cascade.Detail(workload)
	line, err := json.Marshal(&s)
	return bytes.Repeat(append(line, '\n'), batch), err
}

func (n *nodes) record() *tick.Nodes {
	count := len(n.Frequency)
	r := &tick.Nodes{
		NowMS: n.NowMS, Frequency: n.Frequency, Strength: n.Strength, Stopped: make([]bool, count),
		Pattern: n.Pattern, Offset: make([]uint32, count+1), Attached: n.Attached,
	}
	for i := range r.Offset {
		r.Offset[i] = uint32(i)
	}
	return r
}
