package main

import (
	"time"

	"github.com/resonhost/resonhost/resonance/cascade"
)

// A contender is a process of its own, so that its memory and its processor time are
// its own, and no other's garbage is collected at its expense. It does what the lines on
// its stdin ask for, one after the other, and answers each with a line: JSON both.
// Between rounds it waits. piscina/main.mjs speaks the same.

// Operations of a request.
const (
	// opInputs says what all later requests work on.
	opInputs = "inputs"
	// opCheck wants results, to be compared.
	opCheck = "check"
	// opClosed has Callers call one task after the other for MS.
	opClosed = "closed"
	// opOpen begins tasks at a Rate for MS, however long those before them take.
	opOpen = "open"
	// opAgain opens another contender of the kind in the same process, and takes the
	// time to its first answer.
	opAgain = "again"
)

// Modes are how tasks are handed to a contender.
const (
	modeRun    = "run"    // one by one
	modeAppend = "append" // one by one, each into memory that was used before
	modeBatch  = "batch"  // 64 in one call
	modeInto   = "into"   // 64 in one call, into memory that was used before
	modeLines  = "lines"  // 64 in one call, as JSON lines
)

// patience is how long a contender may take longer than it was told to.
const patience = time.Minute

// batch is how many tasks a call has in modeBatch, modeInto and modeLines.
const batch = 64

type request struct {
	Op       string          `json:"op"`
	Inputs   *inputs         `json:"inputs,omitempty"` // of opInputs
	Workload string          `json:"workload,omitempty"`
	Mode     string          `json:"mode,omitempty"`
	Callers  int             `json:"callers,omitempty"`
	MS       float64         `json:"ms,omitempty"`
	Rate     float64         `json:"rate,omitempty"`   // in 1/s
	States   []cascade.State `json:"states,omitempty"` // of opCheck, and the first of opAgain
	Echo     string          `json:"echo,omitempty"`   // workload of which opCheck compares the output
	Ticks    bool            `json:"ticks,omitempty"`  // opCheck wants the nodes after one
}

// inputs are what tasks work on. The bytes of an echo are i·7 mod 256.
type inputs struct {
	State cascade.State  `json:"state"`
	Nodes nodes          `json:"nodes"`
	Sizes map[string]int `json:"sizes"`
	Mixed []string       `json:"mixed"`
}

// nodes are the nodes of a tick, all of which resonate, each with a pattern.
type nodes struct {
	NowMS     float64   `json:"now_ms"`
	Frequency []float64 `json:"frequency"`
	Strength  []float64 `json:"strength"`
	Attached  []uint32  `json:"attached"`
	Pattern   []float64 `json:"pattern"`
}

// nodesResult is what a tick made of nodes. Progress has the indices of those that
// crossed a tenth.
type nodesResult struct {
	Strength []float64 `json:"strength"`
	Pattern  []float64 `json:"pattern"`
	Progress []int     `json:"progress"`
}

type answer struct {
	Error string `json:"error,omitempty"`

	// Of opCheck.
	Results []any        `json:"results,omitempty"`
	Nodes   *nodesResult `json:"nodes,omitempty"`

	// Of opClosed, opOpen and opAgain.
	Calls   int     `json:"calls,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	// Mallocs and Bytes are what was allocated altogether, in Go.
	Mallocs float64 `json:"mallocs,omitempty"`
	Bytes   float64 `json:"bytes,omitempty"`

	// Latencies of opOpen in ns, from when a task was due. LateP99 is how late the
	// load itself was to begin tasks.
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
	P999    float64 `json:"p999,omitempty"`
	LateP99 float64 `json:"late_p99,omitempty"`
}
