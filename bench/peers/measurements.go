package main

import (
	"slices"
)

// measurements are all that was measured. Lists have an entry for each round, in which
// all had their turn.
type measurements struct {
	Machine    machine     `json:"machine"`
	Rounds     int         `json:"rounds"`
	BenchtimeS float64     `json:"benchtime_seconds"`
	Workers    int         `json:"workers"`
	Contenders []contender `json:"contenders"`
	// Checked is how many cascades of each contender were compared, Recorded of them
	// with what the original answered.
	Checked  int `json:"checked"`
	Recorded int `json:"recorded"`

	// Closed are by workload and contender, with callersPerWorker for each worker, Alone
	// with a single caller.
	Closed map[string]map[string]*closedResult `json:"closed"`
	Alone  map[string]map[string]*closedResult `json:"alone"`
	// Callers are of full cascades, by contender, in the order of callerCounts.
	Callers map[string][]*closedResult `json:"callers"`
	// Open are by workload and contender.
	Open map[string]map[string]*openResult `json:"open"`
	// OneWorker are of full cascades, by contender, TwoWorkers measured beside them.
	OneWorker  map[string]*closedResult `json:"one_worker"`
	TwoWorkers map[string]*closedResult `json:"two_workers"`
	// Processes are by kind.
	Processes map[string]*processResult `json:"processes"`
	// MillionNodesMS is how much processor time a tick of so many takes, in ms.
	MillionNodesMS []float64 `json:"million_nodes_ms"`
	// MillionNodesSIMD is that with the guest written in Rust.
	MillionNodesSIMD []float64 `json:"million_nodes_simd_ms"`
	// MillionNodesNative is that without a sandbox.
	MillionNodesNative []float64 `json:"million_nodes_native_ms"`
}

// closedResult is of a closed load.
type closedResult struct {
	Rate   []float64 `json:"rate"`   // tasks a second
	CPU    []float64 `json:"cpu_ns"` // processor time a task, in all its processes
	Allocs []float64 `json:"allocs"` // a task, in the process that calls
	Bytes  []float64 `json:"bytes"`  // likewise
}

// openResult is of an open load: latencies in ns.
type openResult struct {
	Offered []float64 `json:"offered"` // tasks a second
	P50     []float64 `json:"p50_ns"`
	P99     []float64 `json:"p99_ns"`
	P999    []float64 `json:"p999_ns"`
	LateP99 []float64 `json:"late_p99_ns"`
}

// processResult is of a process and its children.
type processResult struct {
	Resident  float64 `json:"resident_bytes"` // after full cascades
	Anonymous float64 `json:"anonymous_bytes"`
	// ColdMS are times from the start of a process to its first answer, WarmMS of
	// another contender in the same process.
	ColdMS []float64 `json:"cold_ms"`
	WarmMS []float64 `json:"warm_ms"`
}

// machine is where it was measured, and with which versions.
type machine struct {
	CPU      string     `json:"cpu"`
	Cores    int        `json:"cores"`
	MemoryGB float64    `json:"memory_gb"`
	OS       string     `json:"os"`
	Go       string     `json:"go"`
	Node     string     `json:"node"`
	Modules  [][]string `json:"modules"` // name and version
	Date     string     `json:"date"`
	// Load is the load average of the last minute before the start.
	Load float64 `json:"load"`
}

// median is of a list; 0 of nothing.
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (s[n/2-1] + s[n/2]) / 2
	default:
		return s[n/2]
	}
}

// ratio is the median over the rounds of a to b: what slows the machine down for longer
// than a round is in both.
func ratio(a, b []float64) float64 {
	r := make([]float64, min(len(a), len(b)))
	for i := range r {
		r[i] = a[i] / b[i]
	}
	return median(r)
}
