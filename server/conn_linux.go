package server

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// unsent is how much of an answer the kernel takes that it cannot send yet, in bytes. With its
// own choice, megabytes, a client who reads slowly would seem to stand still for minutes.
const unsent = 128 << 10

func tune(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return // it is closed, as its user will find
	}
	_ = raw.Control(func(fd uintptr) {
		// Without, clients must be faster than otherwise.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}

// awaitEnd waits until a connection has ended whose other side is closed: by a reset, which
// answers what is sent to a client that has gone; or until its deadline, or until it is closed.
func awaitEnd(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(func(fd uintptr) (ended bool) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		// An interrupted system call tells nothing; the next event does.
		return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
	})
	if err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
