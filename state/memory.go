package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a [Store] that ends with its process.
type Memory struct {
	mu      sync.RWMutex
	records map[Key]Record // whose data nobody changes
	stats   Stats
	closed  bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{records: make(map[Key]Record)} }

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, key Key) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, ctx.Err()
	}
	if err := key.Check(); err != nil {
		return Record{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Record{}, ErrClosed
	}
	r, ok := m.records[key]
	if !ok {
		return Record{}, fmt.Errorf("%w: %v", ErrNotFound, key)
	}
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

// Save implements [Store].
func (m *Memory) Save(ctx context.Context, changes []Change) error {
	if err := ctx.Err(); err != nil {
		return ctx.Err()
	}
	if err := CheckChanges(changes); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	for i := range changes {
		c := &changes[i]
		if old, ok := m.records[c.Key]; ok {
			m.stats.Remove(c.Key.Kind, old.Size)
			delete(m.records, c.Key)
		}
		if c.Delete {
			continue
		}
		m.records[c.Key] = Record{
			Key:     c.Key,
			Format:  c.Format,
			Changed: time.UnixMilli(c.Changed.UnixMilli()),
			Data:    append([]byte{}, c.Data...),
			Size:    len(c.Data),
		}
		m.stats.Add(c.Key.Kind, len(c.Data))
	}
	return nil
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, f Filter, visit func(Record) error) error {
	m.mu.RLock()
	closed := m.closed
	var keys []Key
	for k := range m.records {
		if f.Match(k) {
			keys = append(keys, k)
		}
	}
	m.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	sortKeys(keys)
	for _, k := range keys {
		if err := ctx.Err(); err != nil {
			return ctx.Err()
		}
		m.mu.RLock()
		r, ok := m.records[k]
		m.mu.RUnlock()
		if !ok {
			continue
		}
		if f.Data {
			r.Data = append([]byte{}, r.Data...)
		} else {
			r.Data = nil
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sortKeys puts keys into the order of their stored form.
func sortKeys(keys []Key) {
	stored := make(map[Key]string, len(keys))
	for _, k := range keys {
		stored[k] = string(AppendKey(nil, k))
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(stored[a], stored[b]) })
}

// Stats implements [Store].
func (m *Memory) Stats(ctx context.Context) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, ctx.Err()
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Stats{}, ErrClosed
	}
	return m.stats.Clone(), nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.records = nil
	return nil
}
