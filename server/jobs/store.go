package jobs

import (
	"context"
	"errors"
	"fmt"
	"sort"
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
// by one goroutine at a time, [Store.Read] aside. [Store.All] is called first. The input of a job is not
// kept: a job that was not over when its process ended has failed. Nothing is appended to one that is over.
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

// MemoryStore is a [Store] in memory.
type MemoryStore struct {
	mu   sync.RWMutex
	jobs map[string]*kept
}

type kept struct {
	record  Record
	results []piece // each full but for the last
	size    int64
}

// piece is part of the results of a job. It does not grow beyond its capacity, so that nothing is
// copied.
type piece struct {
	at    int64 // where it begins
	lines []byte
}

const (
	// segment is how long a piece is at most, and firstRoom what it has room for at least, in bytes.
	segment   = 64 << 10
	firstRoom = 256
)

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{jobs: make(map[string]*kept)} }

// errNoJob is of a job that the store does not have, which its caller sees to.
var errNoJob = errors.New("no such job is stored")

// Put implements [Store].
func (m *MemoryStore) Put(_ context.Context, r Record) error {
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
func (m *MemoryStore) Append(_ context.Context, id string, lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.jobs[id]
	if k == nil {
		return fmt.Errorf("append to %s: %w", id, errNoJob)
	}
	for len(lines) > 0 {
		last := len(k.results) - 1
		if last < 0 || len(k.results[last].lines) == cap(k.results[last].lines) {
			// What is too long, for lines still to come, is a quarter of what there is at most.
			room := min(segment, max(len(lines), int(k.size/4), firstRoom))
			k.results = append(k.results, piece{at: k.size, lines: make([]byte, 0, room)})
			last++
		}
		p := &k.results[last]
		n := min(cap(p.lines)-len(p.lines), len(lines))
		p.lines = append(p.lines, lines[:n]...)
		k.size += int64(n)
		lines = lines[n:]
	}
	return nil
}

// Read implements [Store].
func (m *MemoryStore) Read(_ context.Context, id string, offset int64, p []byte) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := m.jobs[id]
	switch {
	case k == nil:
		return 0, fmt.Errorf("read %s: %w", id, errNoJob)
	case offset < 0:
		return 0, fmt.Errorf("read %s: offset %d is negative", id, offset)
	}
	if offset >= k.size {
		return 0, nil
	}
	i := sort.Search(len(k.results), func(i int) bool { return k.results[i].at > offset }) - 1
	for ; i < len(k.results) && n < len(p); i++ {
		n += copy(p[n:], k.results[i].lines[offset+int64(n)-k.results[i].at:])
	}
	return n, nil
}

// Delete implements [Store].
func (m *MemoryStore) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, id)
	return nil
}

// All implements [Store].
func (m *MemoryStore) All(context.Context) ([]Record, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]Record, 0, len(m.jobs))
	for _, k := range m.jobs {
		list = append(list, k.record)
	}
	return list, nil
}
