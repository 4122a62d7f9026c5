package module

import "github.com/tetratelabs/wazero/experimental"

// memory is the linear memory of one instance. It refuses to grow beyond its
// limit, and remembers that it did, since all that the guest makes of it is a
// trap or an exit like any other.
type memory struct {
	limit   uint64 // in bytes
	refused bool
	buf     []byte
}

var (
	_ experimental.MemoryAllocator = (*memory)(nil)
	_ experimental.LinearMemory    = (*memory)(nil)
)

// Allocate implements [experimental.MemoryAllocator].
func (m *memory) Allocate(capacity, _ uint64) experimental.LinearMemory {
	m.buf = make([]byte, 0, min(capacity, m.limit))
	return m
}

// Reallocate implements [experimental.LinearMemory].
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	if size > uint64(cap(m.buf)) {
		grown := make([]byte, size, min(max(size, 2*uint64(cap(m.buf))), m.limit))
		copy(grown, m.buf)
		m.buf = grown
	}
	m.buf = m.buf[:size]
	return m.buf
}

// Free implements [experimental.LinearMemory].
func (m *memory) Free() { m.buf = nil }
