//go:build unix

package watch

import "syscall"

// nonblocking has the opening of a FIFO not wait for a writer.
const nonblocking = syscall.O_NONBLOCK
