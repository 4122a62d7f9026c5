package memory

import (
	"bytes"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// file is what an image's contents are in: an anonymous file that is sealed, so
// that no mapping of it can ever change it, or nothing but the Go heap.
type file struct {
	content []byte         // on the heap, or the file mapped for reading
	mapped  unsafe.Pointer // where content is mapped; nil if it is on the heap
	fd      int            // of the file; means nothing if mapped is nil
	pages   *pagemap
}

func plainFile(content []byte) file { return file{content: bytes.Clone(content)} }

func newFile(content []byte) (f file, err error) {
	f.fd, err = unix.MemfdCreate("resonhost-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return file{}, fmt.Errorf("memfd_create: %w", err)
	}
	if err := f.fill(content); err != nil {
		_ = unix.Close(f.fd) // err says more
		return file{}, err
	}
	f.pages = openPagemap(f.fd, uintptr(len(content)))
	return f, nil
}

func (f *file) fill(content []byte) error {
	for at := 0; at < len(content); {
		n, err := unix.Pwrite(f.fd, content[at:], int64(at))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("pwrite: %w", err)
		}
		at += max(n, 0)
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("fcntl(F_ADD_SEALS): %w", err)
	}
	// Private, since older kernels take a shared mapping for one that might be
	// made writable.
	p, err := unix.MmapPtr(f.fd, 0, nil, uintptr(len(content)), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("mmap of the image: %w", err)
	}
	f.mapped, f.content = p, unsafe.Slice((*byte)(p), len(content))
	return nil
}

func (f *file) free() {
	if f.mapped == nil {
		return
	}
	// Neither can fail for what was mapped and opened here.
	_ = unix.MunmapPtr(f.mapped, uintptr(len(f.content)))
	_ = unix.Close(f.fd)
	f.pages.close()
	f.mapped, f.content = nil, nil
}
