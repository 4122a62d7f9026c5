package memory

import (
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

// Errors of [Memory.Attach].
var (
	// ErrSize is returned if memory and image differ in size.
	ErrSize = errors.New("the memory is not of the image's size")
	// ErrAttached is returned if the memory has an image already.
	ErrAttached = errors.New("the memory has an image")
	// ErrClosed is returned if the memory was freed or the image was closed.
	ErrClosed = errors.New("closed")
)

// backing is what holds a memory's bytes.
type backing interface {
	// resize returns the first size bytes of the memory; those that are new are
	// zero. It never makes the memory smaller.
	resize(size uint64) ([]byte, error)
	// attach makes the contents the image's, which is of the memory's size. Where
	// the system does not let it share the image, it copies it.
	attach(im *Image)
	// reset makes the contents and the size the image's again. What resize adds to that is zero
	// once more.
	reset() error
	stats() Stats
	// free gives the bytes back. Nothing else is called after it.
	free()
}

// Memory is the linear memory of one instance. It implements
// [experimental.MemoryAllocator] for that instance alone, and
// [experimental.LinearMemory].
//
// Like its instance, it must not be used concurrently. Its bytes, those that wazero
// hands out included, must not be touched after Free: their addresses may be gone.
type Memory struct {
	limit uint64 // in bytes
	mode  Mode
	grown bool
	freed bool
	size  uint64  // in bytes
	bytes backing // nil before Allocate and after Free
	image *Image  // nil until attached; the memory is one of its users
}

var (
	_ experimental.MemoryAllocator = (*Memory)(nil)
	_ experimental.LinearMemory    = (*Memory)(nil)
)

// New returns a memory that will not grow beyond limit bytes. It takes nothing from
// the system before Allocate.
func New(limit uint64, mode Mode) *Memory { return &Memory{limit: limit, mode: mode} }

// Allocate implements [experimental.MemoryAllocator]. It must be called once: a
// second instance would write over the first.
//
// It cannot fail. If the system grants no mapping, the memory is on the Go heap.
func (m *Memory) Allocate(capacity, maximum uint64) experimental.LinearMemory {
	if m.bytes != nil || m.freed {
		panic("memory: Allocate is called again")
	}
	maximum = min(maximum, m.limit)
	if m.mode == Shared {
		m.bytes = reserve(maximum)
	}
	if m.bytes == nil {
		m.bytes = newHeap(min(capacity, maximum), maximum)
	}
	return m
}

// Reallocate implements [experimental.LinearMemory]. It returns nil for a size
// beyond the limit, and when the system has no memory left. Wazero makes of it a
// memory.grow that returns -1, but a panic if the very first size, which is the
// module's minimum, is refused: that one is to be checked before.
func (m *Memory) Reallocate(size uint64) []byte {
	if m.bytes == nil || size > m.limit {
		return nil
	}
	b, err := m.bytes.resize(size)
	if err != nil {
		return nil
	}
	m.grown = m.grown || m.image != nil && size > m.size
	m.size = max(m.size, size)
	return b
}

// Free implements [experimental.LinearMemory]. It may be called at any time, and
// again. Wazero leaves it out if an instance's context ends just as a call returns,
// so an owner who is done with an instance calls it as well.
func (m *Memory) Free() {
	m.freed = true
	if m.bytes != nil {
		m.bytes.free()
		m.bytes = nil
	}
	if m.image != nil {
		m.image.release()
		m.image = nil
	}
}

// Limit returns the limit in bytes.
func (m *Memory) Limit() uint64 { return m.limit }

// Attach makes the contents the image's. The instance must be idle and its memory
// of the image's size: grow it before. The memory keeps the image open until Free.
// After an error the contents are as they were.
//
// Of an instance only the memory is an image's; globals, tables and what the host
// holds for it are its own. So it is to have been initialised as the image's was.
func (m *Memory) Attach(im *Image) error {
	switch {
	case m.bytes == nil:
		return fmt.Errorf("attach: memory: %w", ErrClosed)
	case m.image != nil:
		return fmt.Errorf("attach: %w", ErrAttached)
	case m.size != im.Size():
		return fmt.Errorf("attach: %w: %d bytes and %d", ErrSize, m.size, im.Size())
	case !im.acquire():
		return fmt.Errorf("attach: image: %w", ErrClosed)
	}
	m.bytes.attach(im)
	m.image = im
	return nil
}

// Reset makes the contents the image's again. The instance must be idle.
//
// If it returns false, the instance is of no more use, since it has grown, has no
// image or was freed, or the system failed; the contents are then undefined.
func (m *Memory) Reset() bool {
	return m.bytes != nil && m.image != nil && !m.grown && m.bytes.reset() == nil
}

// Shrink is Reset of a memory that may have grown. It returns the bytes, of which there are as many
// as the image has again, or nil where that returns false.
func (m *Memory) Shrink() []byte {
	if m.bytes == nil || m.image == nil || m.bytes.reset() != nil {
		return nil
	}
	b, err := m.bytes.resize(m.image.Size())
	if err != nil {
		return nil
	}
	m.size, m.grown = m.image.Size(), false
	return b
}

// Grown tells whether the memory has grown since it was attached.
func (m *Memory) Grown() bool { return m.grown }

// Stats returns what the memory holds. Before Allocate and after Free it holds
// nothing.
func (m *Memory) Stats() Stats {
	if m.bytes == nil {
		return Stats{Mode: m.mode}
	}
	return m.bytes.stats()
}
