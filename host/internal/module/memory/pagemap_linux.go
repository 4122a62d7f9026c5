package memory

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// span is a range of addresses, relative to the start of a mapping, in bytes.
type span struct{ from, to uintptr }

// pagemap tells which pages of a private mapping of a file are copies.
//
// Its methods may be called concurrently.
type pagemap struct {
	fd   int
	page uintptr // in bytes
	// scans is whether the kernel finds the copies by itself (Linux 6.7). Otherwise
	// every page's entry is read.
	scans bool
	// counts is whether the process's faults are counted.
	counts bool
}

// openPagemap returns nil if the system has none that tells what it should of a
// private mapping of that file. What a pagemap got wrong would leak from one task
// to the next.
func openPagemap(file int, size uintptr) *pagemap {
	page := uintptr(os.Getpagesize())
	trial := 4 * page
	if size < trial {
		return nil
	}
	base, err := unix.MmapPtr(file, 0, nil, trial, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.MunmapPtr(base, trial) }() // cannot fail for what was mapped here
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	p := &pagemap{fd: fd, page: page, scans: true}
	b := unsafe.Slice((*byte)(base), trial)
	// One page is read, one written, one both, and one left alone.
	value := b[0]
	before, errBefore := faults()
	b[page] = value + 1
	after, errAfter := faults()
	b[2*page]++
	p.counts = errBefore == nil && errAfter == nil && before < after
	if p.prove(base, trial) {
		return p
	}
	p.scans = false
	if p.prove(base, trial) {
		return p
	}
	p.close()
	return nil
}

// prove tells whether the second and the third page are found to be copies, and
// nothing else is.
func (p *pagemap) prove(base unsafe.Pointer, size uintptr) bool {
	found, err := p.copies(base, size, nil)
	return err == nil && slices.Equal(found, []uintptr{p.page, 2 * p.page})
}

func (p *pagemap) close() {
	if p != nil {
		_ = unix.Close(p.fd)
	}
}

// copies appends the offsets of the copies in size bytes from base on, in their
// order, to found.
func (p *pagemap) copies(base unsafe.Pointer, size uintptr, found []uintptr) ([]uintptr, error) {
	if p.scans {
		return p.scan(base, size, found)
	}
	return p.read(base, size, found)
}

// region is struct page_region of linux/fs.h, whose last field tells the categories.
type region struct{ start, end, _ uint64 }

// scanArg is struct pm_scan_arg of linux/fs.h.
type scanArg struct {
	size, flags, start, end, walkEnd uint64
	vec, vecLen, maxPages            uint64
	inverted, mask, anyOf, returned  uint64
}

const (
	pagemapScan = 3<<30 | unsafe.Sizeof(scanArg{})<<16 | 'f'<<8 | 16 // _IOWR('f', 16, struct pm_scan_arg)

	pageFile    = 1 << 2
	pagePresent = 1 << 3
	pageSwapped = 1 << 4
)

func (p *pagemap) scan(base unsafe.Pointer, size uintptr, found []uintptr) ([]uintptr, error) {
	var regions [64]region
	start := uint64(uintptr(base))
	arg := scanArg{
		size: uint64(unsafe.Sizeof(scanArg{})), start: start, end: start + uint64(size), vecLen: uint64(len(regions)),
		// What is in memory, or swapped out, and not the file's.
		inverted: pageFile, mask: pageFile, anyOf: pagePresent | pageSwapped, returned: pagePresent,
	}
	for arg.start < arg.end {
		n, err := ioctlScan(p.fd, &arg, &regions)
		if err != nil {
			return found, err
		}
		for _, r := range regions[:n] {
			for at := r.start; at < r.end; at += uint64(p.page) {
				found = append(found, uintptr(at-start))
			}
		}
		if arg.walkEnd <= arg.start {
			return found, fmt.Errorf("ioctl(PAGEMAP_SCAN): %w", io.ErrNoProgress)
		}
		arg.start = arg.walkEnd
	}
	return found, nil
}

func ioctlScan(fd int, arg *scanArg, regions *[64]region) (int, error) {
	var pin runtime.Pinner
	pin.Pin(regions) // its address is kept as a number
	defer pin.Unpin()
	arg.vec = uint64(uintptr(unsafe.Pointer(regions)))
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), pagemapScan, uintptr(unsafe.Pointer(arg)))
	if errno != 0 {
		return 0, fmt.Errorf("ioctl(PAGEMAP_SCAN): %w", errno)
	}
	return int(n), nil
}

func (p *pagemap) read(base unsafe.Pointer, size uintptr, found []uintptr) ([]uintptr, error) {
	const present, swapped, shared = 1 << 63, 1 << 62, 1 << 61
	var buf [8 << 10]byte
	first := int64(uintptr(base) / p.page)
	for at := uintptr(0); at < size; {
		want := buf[:min(uintptr(len(buf)), (size-at)/p.page*8)]
		n, err := unix.Pread(p.fd, want, (first+int64(at/p.page))*8)
		if err != nil {
			return found, fmt.Errorf("pread of /proc/self/pagemap: %w", err)
		}
		if n < 8 {
			return found, fmt.Errorf("pread of /proc/self/pagemap: %w", io.ErrUnexpectedEOF)
		}
		for i := 0; i+8 <= n; i += 8 {
			if e := binary.NativeEndian.Uint64(want[i:]); e&(present|swapped) != 0 && e&shared == 0 {
				found = append(found, at)
			}
			at += p.page
		}
	}
	return found, nil
}
