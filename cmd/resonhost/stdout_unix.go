//go:build unix

package main

import "golang.org/x/sys/unix"

// isClosed reports whether this process was started with the file descriptor closed. Go's runtime
// has put /dev/null there, open for reading and writing, where a shell's redirection opens it
// for writing alone.
func isClosed(fd uintptr) bool {
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil {
		return true
	}
	if flags&unix.O_ACCMODE != unix.O_RDWR {
		return false
	}
	var at, null unix.Stat_t
	return unix.Fstat(int(fd), &at) == nil && unix.Stat("/dev/null", &null) == nil && at.Mode&unix.S_IFMT == unix.S_IFCHR && at.Rdev == null.Rdev
}
