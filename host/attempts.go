package host

import (
	"maps"
	"sync"
)

// attempts counts what came of attempts to change plugins, by source and result.
type attempts struct {
	mu      sync.Mutex // its own, since Stats copies while tasks go on
	results map[string]map[DeployResult]uint64
}

// maxAttempted bounds the names by which attempts are counted: further ones are counted
// together.
const maxAttempted = 1000

func (a *attempts) count(source string, result DeployResult) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.results == nil {
		a.results = make(map[string]map[DeployResult]uint64)
	}
	if a.results[source] == nil && len(a.results) >= maxAttempted {
		source = ""
	}
	if a.results[source] == nil {
		a.results[source] = make(map[DeployResult]uint64)
	}
	a.results[source][result]++
}

func (a *attempts) clone() map[string]map[DeployResult]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	results := make(map[string]map[DeployResult]uint64, len(a.results))
	for source, of := range a.results {
		results[source] = maps.Clone(of)
	}
	return results
}
