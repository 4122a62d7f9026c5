package wasi

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/bits"

	"github.com/tetratelabs/wazero/api"
)

const (
	// firstDirectory is the descriptor behind those of the standard streams. Runtimes ask for
	// directories from it on.
	firstDirectory = stderr + 1
	// maxDirectories is how many descriptors can be open beside the standard streams.
	maxDirectories = 64
	// directoryName is that of the directory that a guest begins with. Paths that are absolute, or
	// relative to a working directory that nobody has set, lead there.
	directoryName = "/"
	// maxPath is how long a path may be, in bytes, as elsewhere.
	maxPath = 4096
)

// directories are the descriptors of the one directory that there may be, which is empty and cannot
// be written. The zero value has none. A bit stands for the descriptor that is so much greater than
// firstDirectory.
type directories struct {
	open  uint64
	named uint64 // those of open that the guest finds by fd_prestat_get
}

// bit returns that of a descriptor, or 0 if it can be none of a directory.
func bit(fd uint32) uint64 {
	if fd < firstDirectory || fd >= firstDirectory+maxDirectories {
		return 0
	}
	return 1 << (fd - firstDirectory)
}

func (d *directories) has(fd uint32) bool { return d.open&bit(fd) != 0 }

// add opens the directory once more, by the least descriptor that is free.
func (d *directories) add() (fd uint32, ok bool) {
	n := bits.TrailingZeros64(^d.open)
	if n == maxDirectories {
		return 0, false
	}
	d.open |= 1 << n
	return firstDirectory + uint32(n), true
}

// Preopen gives the guest a directory as its descriptor 3, now and after each [System.Reset]. The
// directory is called /, is empty, and cannot be written.
func (s *System) Preopen() {
	s.now.directories = directories{open: 1, named: 1}
	s.start.directories = s.now.directories
}

// Rights of the directory's descriptors, and of what could be opened by them.
const (
	rightOpen       = 1 << 13
	rightReaddir    = 1 << 14
	rightReadlink   = 1 << 15
	rightStatPath   = 1 << 18
	rightStat       = 1 << 21
	directoryRights = rightOpen | rightReaddir | rightReadlink | rightStatPath | rightStat | rightPoll
	inheritedRights = directoryRights | rightRead
)

// typeDirectory is the type of file that a directory has.
const typeDirectory = 3

func fdPrestatGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	if s.now.directories.named&bit(api.DecodeU32(stack[0])) == 0 {
		return ebadf
	}
	// At 0 the type, 0 for a directory, and at 4 the length of its name (u32).
	prestat, ok := mod.Memory().Read(api.DecodeU32(stack[1]), 8)
	if !ok {
		return efault
	}
	binary.LittleEndian.PutUint64(prestat, uint64(len(directoryName))<<32)
	return success
}

func fdPrestatDirName(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	if s.now.directories.named&bit(api.DecodeU32(stack[0])) == 0 {
		return ebadf
	}
	if api.DecodeU32(stack[2]) < uint32(len(directoryName)) {
		return enametoolong
	}
	if !mod.Memory().WriteString(api.DecodeU32(stack[1]), directoryName) {
		return efault
	}
	return success
}

// fdReaddir has no entries, not even for the directory itself and the one above it.
func fdReaddir(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	if !s.now.directories.has(api.DecodeU32(stack[0])) {
		return ebadf
	}
	mem := mod.Memory()
	if _, ok := mem.Read(api.DecodeU32(stack[1]), api.DecodeU32(stack[2])); !ok {
		return efault
	}
	if !mem.WriteUint32Le(api.DecodeU32(stack[4]), 0) {
		return efault
	}
	return success
}

// fdClose leaves standard streams open: a program that closes one has all written, and the next
// task wants it.
func fdClose(_ context.Context, s *System, _ api.Module, stack []uint64) errno {
	fd := api.DecodeU32(stack[0])
	if fd <= stderr {
		return success
	}
	d := &s.now.directories
	if !d.has(fd) {
		return ebadf
	}
	d.open &^= bit(fd)
	d.named &^= bit(fd)
	return success
}

// fdRenumber puts a directory in the place of another. Standard streams stay where they are.
func fdRenumber(_ context.Context, s *System, _ api.Module, stack []uint64) errno {
	from, to := api.DecodeU32(stack[0]), api.DecodeU32(stack[1])
	d := &s.now.directories
	switch {
	case from <= stderr:
		return enosys
	case !d.has(from):
		return ebadf
	case to <= stderr:
		return enosys
	case !d.has(to):
		return ebadf
	case from == to:
		return success
	}
	d.named &^= bit(to)
	if d.named&bit(from) != 0 {
		d.named |= bit(to)
	}
	d.open &^= bit(from)
	d.named &^= bit(from)
	return success
}

// place is where a path leads in a directory that is empty.
type place uint8

const (
	itself place = iota // to the directory
	free                // to a name in it that nothing has
	lost                // to somewhere below such a name
)

// find reads a path that begins at the directory. It is not to leave the directory.
func (s *System) find(mem api.Memory, fd, ptr, length uint32) (place, errno) {
	if !s.now.directories.has(fd) {
		return 0, ebadf
	}
	path, ok := mem.Read(ptr, length)
	switch {
	case !ok:
		return 0, efault
	case length > maxPath:
		return 0, enametoolong
	case length == 0:
		return 0, enoent
	case path[0] == '/':
		return 0, enotcapable
	}
	s.charge(len(path))
	for len(path) > 0 {
		name, rest, _ := bytes.Cut(path, []byte("/"))
		switch string(name) {
		case "", ".":
		case "..":
			return 0, enotcapable
		default:
			if len(bytes.Trim(rest, "/")) > 0 {
				return lost, success
			}
			return free, success
		}
		path = rest
	}
	return itself, success
}

// Flags of path_open.
const (
	openCreate    = 1 << 0
	openExclusive = 1 << 2
	openTruncate  = 1 << 3
)

func pathOpen(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	mem := mod.Memory()
	at, e := s.find(mem, api.DecodeU32(stack[0]), api.DecodeU32(stack[2]), api.DecodeU32(stack[3]))
	if e != success {
		return e
	}
	opened, ok := mem.Read(api.DecodeU32(stack[8]), 4)
	if !ok {
		return efault
	}
	flags, rights := api.DecodeU32(stack[4]), stack[5]
	switch {
	case at == free && flags&openCreate != 0:
		return erofs
	case at != itself:
		return enoent
	case flags&openCreate != 0 && flags&openExclusive != 0:
		return eexist
	case flags&(openCreate|openTruncate) != 0 || rights&rightWrite != 0:
		return eisdir
	}
	fd, ok := s.now.directories.add()
	if !ok {
		return emfile
	}
	binary.LittleEndian.PutUint32(opened, fd)
	return success
}

func pathFilestatGet(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
	mem := mod.Memory()
	at, e := s.find(mem, api.DecodeU32(stack[0]), api.DecodeU32(stack[2]), api.DecodeU32(stack[3]))
	switch {
	case e != success:
		return e
	case at != itself:
		return enoent
	}
	return filestat(mem, api.DecodeU32(stack[4]), typeDirectory)
}

// decline makes a function that would change something, or asks for what a directory is not. Of its
// arguments, fd and path say which are the descriptor and the path. It answers onItself for a path to
// the directory, and onName for one to a name in it.
func decline(fd, path int, onItself, onName errno) func(context.Context, *System, api.Module, []uint64) errno {
	return func(_ context.Context, s *System, mod api.Module, stack []uint64) errno {
		at, e := s.find(mod.Memory(), api.DecodeU32(stack[fd]), api.DecodeU32(stack[path]), api.DecodeU32(stack[path+1]))
		switch {
		case e != success:
			return e
		case at == itself:
			return onItself
		case at == free:
			return onName
		}
		return enoent
	}
}

// declineTwo makes one that would give another name, at a second descriptor and path.
func declineTwo(fd, path, toFD, toPath int) func(context.Context, *System, api.Module, []uint64) errno {
	from, to := decline(fd, path, success, enoent), decline(toFD, toPath, erofs, erofs)
	return func(ctx context.Context, s *System, mod api.Module, stack []uint64) errno {
		if e := from(ctx, s, mod, stack); e != success {
			return e
		}
		return to(ctx, s, mod, stack)
	}
}
