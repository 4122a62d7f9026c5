package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/resonhost/resonhost/api"
)

// Owner is whose a job is. Others do not see it.
type Owner struct {
	Tenant    string `json:"tenant"`
	Principal string `json:"principal"`
}

// Record is what a store keeps of a job beside its results.
type Record struct {
	Owner Owner   `json:"owner"`
	Job   api.Job `json:"job"`
}

// Store keeps jobs and their results. Its methods may be called concurrently, but those of one job
// by one goroutine at a time, [Store.Read] aside. The input of a job is not kept: a job that was not
// over when its process ended has failed.
type Store interface {
	// Put keeps a record, in the place of the one of the same ID.
	Put(ctx context.Context, r Record) error
	// Append adds to the results of a job, which are JSON lines.
	Append(ctx context.Context, id string, lines []byte) error
	// Read reads results of a job from an offset in bytes, and returns how many there were, 0 at
	// their end.
	Read(ctx context.Context, id string, offset int64, p []byte) (n int, err error)
	// Delete forgets a job and its results. One that there is not is no error.
	Delete(ctx context.Context, id string) error
	// All returns the records of all jobs.
	All(ctx context.Context) ([]Record, error)
}

// Memory is a [Store] in memory.
type Memory struct {
	mu   sync.RWMutex
	jobs map[string]*kept
}

type kept struct {
	record  Record
	results [][]byte // each full but for the last, so that nothing is copied as they grow
	size    int64
}

// segment is how long a piece of results is, but for a job's first, in bytes.
const segment = 64 << 10

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{jobs: make(map[string]*kept)} }

// errNoJob is of a job that the store does not have, which its caller sees to.
var errNoJob = errors.New("no such job is stored")

// Put implements [Store].
func (m *Memory) Put(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.jobs[r.Job.ID]; k != nil {
		k.record = r
		return nil
	}
	m.jobs[r.Job.ID] = &kept{record: r}
	return nil
}

// Append implements [Store].
func (m *Memory) Append(_ context.Context, id string, lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.jobs[id]
	if k == nil {
		return fmt.Errorf("append to %s: %w", id, errNoJob)
	}
	k.size += int64(len(lines))
	for len(lines) > 0 {
		last := len(k.results) - 1
		if last < 0 {
			k.results = append(k.results, slices.Clone(lines[:min(len(lines), segment)]))
			lines = lines[min(len(lines), segment):]
			continue
		}
		if len(k.results[last]) == segment {
			k.results = append(k.results, make([]byte, 0, segment))
			last++
		}
		n := min(segment-len(k.results[last]), len(lines))
		k.results[last] = append(k.results[last], lines[:n]...)
		lines = lines[n:]
	}
	return nil
}

// Read implements [Store].
func (m *Memory) Read(_ context.Context, id string, offset int64, p []byte) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := m.jobs[id]
	switch {
	case k == nil:
		return 0, fmt.Errorf("read %s: %w", id, errNoJob)
	case offset < 0:
		return 0, fmt.Errorf("read %s: offset %d is negative", id, offset)
	}
	for n < len(p) && offset < k.size {
		part := k.results[offset/segment][offset%segment:]
		m := copy(p[n:], part)
		n += m
		offset += int64(m)
	}
	return n, nil
}

// Delete implements [Store].
func (m *Memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, id)
	return nil
}

// All implements [Store].
func (m *Memory) All(context.Context) ([]Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]Record, 0, len(m.jobs))
	for _, k := range m.jobs {
		list = append(list, k.record)
	}
	return list, nil
}
