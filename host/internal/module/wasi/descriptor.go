package wasi

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/tetratelabs/wazero/api"
)

// Descriptors of the standard streams.
const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// Rights of a descriptor.
const (
	rightRead  = 1 << 1
	rightWrite = 1 << 6
	rightPoll  = 1 << 27 // for what it may do otherwise
)

// fdstatSize is the size of an fdstat in bytes: at 0 the type of file, at 2 flags
// (u16), at 8 rights and at 16 those inherited (both u64).
const fdstatSize = 24

func fdFdstatGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	fd := api.DecodeU32(stack[0])
	directory := s.now.directories.has(fd)
	if fd > stderr && !directory {
		return ebadf
	}
	stat, ok := mod.Memory().Read(api.DecodeU32(stack[1]), fdstatSize)
	if !ok {
		return efault
	}
	// Streams are of type "unknown", 0: wasi-libc takes a character device for a terminal.
	// Not "non-blocking", which would have Go poll it.
	clear(stat)
	var rights uint64 = rightWrite | rightPoll
	switch {
	case fd == stdin:
		rights = rightRead | rightPoll
	case directory:
		stat[0], rights = typeDirectory, directoryRights
		binary.LittleEndian.PutUint64(stat[16:], inheritedRights)
	}
	binary.LittleEndian.PutUint64(stat[8:], rights)
	return success
}

// iovecSize is the size of an iovec in bytes: a pointer and a length (both u32).
const iovecSize = 8

// maxIovecs is how many buffers a call may have, as elsewhere.
const maxIovecs = 1024

// iovecs returns the iovecs at a pointer, after checking that all buffers lie in
// the memory. It bills them, since none of their buffers needs to have a byte.
func (s *System) iovecs(mem api.Memory, ptr, count uint32) ([]byte, errno) {
	if count > maxIovecs {
		return nil, einval
	}
	vecs, ok := mem.Read(ptr, count*iovecSize)
	if !ok {
		return nil, efault
	}
	s.charge(len(vecs))
	for v := vecs; len(v) > 0; v = v[iovecSize:] {
		if _, ok := buffer(mem, v); !ok {
			return nil, efault
		}
	}
	return vecs, success
}

// buffer returns what the first of some iovecs points at.
func buffer(mem api.Memory, vecs []byte) ([]byte, bool) {
	return mem.Read(binary.LittleEndian.Uint32(vecs), binary.LittleEndian.Uint32(vecs[4:]))
}

// filestatSize is the size of a filestat in bytes: at 16 the type of file, at 24 the number of
// links (u64), and beside them device, inode, size and times.
const filestatSize = 64

func fdFilestatGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	fd, typ := api.DecodeU32(stack[0]), byte(0) // "unknown", as above
	switch {
	case s.now.directories.has(fd):
		typ = typeDirectory
	case fd > stderr:
		return ebadf
	}
	return filestat(mod.Memory(), api.DecodeU32(stack[1]), typ)
}

// filestat writes that of a file of a type, without size and times.
func filestat(mem api.Memory, ptr uint32, typ byte) errno {
	stat, ok := mem.Read(ptr, filestatSize)
	if !ok {
		return efault
	}
	clear(stat)
	stat[16], stat[24] = typ, 1
	return success
}

// fdRead reads at most a chunk at a time: who wants more reads again. All pointers are checked
// before anything is read.
func fdRead(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	switch fd := api.DecodeU32(stack[0]); {
	case s.now.directories.has(fd):
		return eisdir
	case fd != stdin:
		return ebadf
	}
	mem := mod.Memory()
	vecs, e := s.iovecs(mem, api.DecodeU32(stack[1]), api.DecodeU32(stack[2]))
	if e != success {
		return e
	}
	nread, ok := mem.Read(api.DecodeU32(stack[3]), 4)
	if !ok {
		return efault
	}
	n := 0
	for ; len(vecs) > 0 && n < chunk && len(s.Input) > 0; vecs = vecs[iovecSize:] {
		p, _ := buffer(mem, vecs) // nothing, if what was read has made it one outside
		p = p[:min(len(p), chunk-n, len(s.Input))]
		s.charge(len(p))
		copy(p, s.Input)
		s.Input = s.Input[len(p):]
		n += len(p)
	}
	binary.LittleEndian.PutUint32(nread, uint32(n))
	return success
}

// fdWrite takes at most a chunk at a time, and says so: who has more writes again.
// All pointers are checked before anything is written.
func fdWrite(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	w := s.Stdout
	switch api.DecodeU32(stack[0]) {
	case stdout:
	case stderr:
		w = s.Stderr
	default:
		return ebadf
	}
	mem := mod.Memory()
	vecs, e := s.iovecs(mem, api.DecodeU32(stack[1]), api.DecodeU32(stack[2]))
	if e != success {
		return e
	}
	nwritten, ok := mem.Read(api.DecodeU32(stack[3]), 4)
	if !ok {
		return efault
	}
	n, err := s.write(w, mem, vecs)
	if err != nil && n == 0 {
		return eio
	}
	binary.LittleEndian.PutUint32(nwritten, uint32(n))
	return success
}

// write passes on up to a chunk of what checked iovecs point at, and returns how
// many bytes w took.
func (s *System) write(w io.Writer, mem api.Memory, vecs []byte) (n int, err error) {
	for ; len(vecs) > 0 && n < chunk && err == nil; vecs = vecs[iovecSize:] {
		p, _ := buffer(mem, vecs)
		p = p[:min(len(p), chunk-n)]
		if len(p) == 0 {
			continue
		}
		s.charge(len(p))
		k := len(p)
		if w != nil {
			k, err = w.Write(p)
		}
		n += k
		if k < len(p) {
			break // what follows would leave a gap
		}
	}
	return n, err
}
