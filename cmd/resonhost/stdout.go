package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// errStdoutClosed is that results would be lost. A /dev/null that was opened for reading as well
// looks the same, see isClosed.
var errStdoutClosed = errors.New("standard output is closed, or is /dev/null opened for reading and writing; send results to a file with > FILE, or to none with > /dev/null")

// output is standard output, which keeps its first failure: not every writer has somebody to
// tell it to, the printing of help for one. It is for one goroutine at a time.
type output struct {
	w      io.Writer
	closed error // what the first write will fail with; nil if it may succeed
	err    error
	// precious has a reader who went away told as a failure: what is written is nowhere else.
	precious bool
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	if f, ok := w.(filed); ok && isClosed(f.Fd()) {
		o.closed = errStdoutClosed
	}
	return o
}

// Write implements [io.Writer]. After a failure it writes no more.
func (o *output) Write(p []byte) (int, error) {
	if o.err == nil {
		o.err = o.closed
	}
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		err = fmt.Errorf("standard output: %w", path.Err)
	}
	o.err = err
	return n, err
}

// unread reports whether whoever read this went away, and wants no more. A command ends without a word then, as
// one does that SIGPIPE ends.
func (o *output) unread() bool { return !o.precious && errors.Is(o.err, syscall.EPIPE) }

// filed is what a file descriptor is of.
type filed interface{ Fd() uintptr }

// Fd is that of what is written to, and none of the process's if that is no file.
func (o *output) Fd() uintptr {
	if f, ok := o.w.(filed); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
