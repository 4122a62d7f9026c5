package memory

import (
	"bytes"
	"errors"
)

// errLimit is returned by a backing for a size that it was not made for.
var errLimit = errors.New("beyond the largest size")

// heap is a backing on the Go heap. It moves as it grows.
type heap struct {
	buf     []byte
	maximum uint64 // in bytes
	image   *Image
}

func newHeap(capacity, maximum uint64) *heap {
	return &heap{buf: make([]byte, 0, capacity), maximum: maximum}
}

func (h *heap) resize(size uint64) ([]byte, error) {
	if size > h.maximum {
		return nil, errLimit
	}
	if size > uint64(cap(h.buf)) {
		grown := make([]byte, size, min(max(size, 2*uint64(cap(h.buf))), h.maximum))
		copy(grown, h.buf)
		h.buf = grown
	}
	h.buf = h.buf[:max(size, uint64(len(h.buf)))]
	return h.buf[:size], nil
}

func (h *heap) attach(im *Image) {
	h.image = im
	copy(h.buf, im.Bytes())
}

func (h *heap) reset() error {
	image := h.image.Bytes()
	clear(h.buf[len(image):])
	h.buf = h.buf[:len(image)]
	restore(h.buf, image)
	return nil
}

func (h *heap) stats() Stats {
	const page = 4 << 10
	return Stats{Mode: Plain, ResidentPages: len(h.buf) / page, ResidentBytes: uint64(len(h.buf))}
}

func (h *heap) free() { h.buf, h.image = nil, nil }

// restore makes dst what src is, of the same length. Most of it is: what differs is
// found without writing the rest, which would drive more out of the caches.
func restore(dst, src []byte) {
	const block = 4 << 10
	for len(dst) > block {
		restoreBlock(dst[:block], src[:block])
		dst, src = dst[block:], src[block:]
	}
	restoreBlock(dst, src)
}

// restoreBlock is restore for a block, which it writes whole if at all, and reports
// whether it did.
func restoreBlock(dst, src []byte) bool {
	if bytes.Equal(dst, src) {
		return false
	}
	copy(dst, src)
	return true
}
