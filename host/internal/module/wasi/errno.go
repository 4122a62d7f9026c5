package wasi

// errno is what a function returns.
type errno uint16

// Values of errno that functions here return.
const (
	success  errno = 0
	ebadf    errno = 8  // no such descriptor, or not for this
	efault   errno = 21 // a pointer that leaves the memory
	einval   errno = 28
	eio      errno = 29 // the host's writer failed
	enosys   errno = 52
	enotsock errno = 57
	espipe   errno = 70
)
