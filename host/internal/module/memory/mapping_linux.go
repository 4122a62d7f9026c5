package memory

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapping is a backing in an address range of its own, which is reserved whole so
// that the memory never moves. Before attach its pages are anonymous; after it, they
// are a private mapping of the image's file.
type mapping struct {
	base     unsafe.Pointer
	reserved uintptr // in bytes
	usable   uintptr // what of it may be read and written, in bytes; what a memory has beyond its size is zero
	image    *Image
	restorer restorer // set by attach
}

// restorer resets a mapping.
type restorer interface {
	reset() error
	// resident counts the pages that are kept, as of the last reset.
	resident() int
}

// reserve returns a mapping that can grow to maximum bytes, or nil if the system
// grants none.
func reserve(maximum uint64) backing {
	page := uint64(os.Getpagesize())
	size := (maximum + page - 1) / page * page
	if size == 0 || size != uint64(uintptr(size)) || int(size) < 0 {
		return nil
	}
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return &mapping{base: base, reserved: uintptr(size)}
}

// slice returns the bytes of a span of the mapping.
func (m *mapping) slice(s span) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, s.from)), s.to-s.from)
}

func (m *mapping) resize(size uint64) ([]byte, error) {
	if size > uint64(m.reserved) {
		return nil, errLimit
	}
	page := uintptr(os.Getpagesize())
	if want := (uintptr(size) + page - 1) / page * page; want > m.usable {
		more := m.slice(span{m.usable, want})
		if err := unix.Mprotect(more, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil, fmt.Errorf("mprotect: %w", err)
		}
		m.usable = want
		if m.image != nil {
			// A task that writes a few bytes of what it has grown by does not want 2 MiB cleared.
			// Kernels that have no huge pages do not know this.
			_ = unix.Madvise(more, unix.MADV_NOHUGEPAGE)
		}
	}
	return m.slice(span{0, uintptr(size)}), nil
}

func (m *mapping) attach(im *Image) {
	size := uintptr(im.Size())
	contents := m.slice(span{0, size})
	m.image = im
	if im.file.mapped == nil || m.cover(size) != nil {
		copy(contents, im.Bytes())
		m.restorer = everything{m, contents}
		return
	}
	if im.file.pages == nil {
		m.restorer = drop{m}
		return
	}
	m.restorer = newCopies(m)
	// Tasks read much of an image, and a fault that is saved here is one after which
	// a reset need not look for copies. Kernels before Linux 5.14 do not know this.
	_ = unix.Madvise(contents, unix.MADV_POPULATE_READ)
}

// cover maps the image over the first size bytes. If it fails they can still be read
// and written, and have no certain contents.
func (m *mapping) cover(size uintptr) error {
	const access, fixed = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_NORESERVE
	_, err := unix.MmapPtr(m.image.file.fd, 0, m.base, size, access, fixed|unix.MAP_FIXED)
	if err == nil {
		return nil
	}
	// A process has only so many mappings (vm.max_map_count), and that is noticed
	// before the old one is gone. Should it be, the range is not left to others.
	_, _ = unix.MmapPtr(-1, 0, m.base, size, access, fixed|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE)
	return fmt.Errorf("mmap of the image: %w", err)
}

// maxSpare is how much of what a memory has grown by is kept for the next task, in bytes.
const maxSpare = 16 << 20

func (m *mapping) reset() error {
	if most := uintptr(m.image.Size()) + maxSpare; m.usable > most {
		spare := span{most, m.usable}
		if err := m.drop(spare); err != nil {
			return err
		}
		if err := unix.Mprotect(m.slice(spare), unix.PROT_NONE); err != nil {
			return fmt.Errorf("mprotect: %w", err)
		}
		m.usable = most
	}
	return m.restorer.reset()
}

func (m *mapping) stats() Stats {
	s := Stats{Mode: Plain}
	page := os.Getpagesize()
	if m.restorer == nil {
		s.ResidentPages = int(m.usable) / page
	} else {
		s.ResidentPages = m.restorer.resident()
		if _, all := m.restorer.(everything); !all {
			s.Mode = Shared
		}
	}
	s.ResidentBytes = uint64(s.ResidentPages) * uint64(page)
	return s
}

// drop gives the copies in a span back to the system, so that it reads as the image
// again, and as zeros behind that.
func (m *mapping) drop(s span) error {
	if err := unix.Madvise(m.slice(s), unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("madvise(MADV_DONTNEED): %w", err)
	}
	return nil
}

func (m *mapping) free() {
	// It cannot fail for what was mapped here: a whole mapping splits none.
	_ = unix.MunmapPtr(m.base, m.reserved)
	m.base = nil
}

// everything is the restorer of a mapping whose image is on the Go heap.
type everything struct {
	m        *mapping
	contents []byte
}

func (e everything) reset() error {
	restore(e.contents, e.m.image.Bytes())
	if size := uintptr(len(e.contents)); e.m.usable > size {
		return e.m.drop(span{size, e.m.usable})
	}
	return nil
}

func (e everything) resident() int { return len(e.contents) / os.Getpagesize() }
