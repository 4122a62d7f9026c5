package wasi

// errno is what a function returns.
type errno uint16

// Values of errno that functions here return.
const (
	success      errno = 0
	ebadf        errno = 8 // no such descriptor, or not for this
	eexist       errno = 20
	efault       errno = 21 // a pointer that leaves the memory
	einval       errno = 28
	eio          errno = 29 // the host's writer failed
	eisdir       errno = 31
	emfile       errno = 33 // too many descriptors
	enametoolong errno = 37
	enoent       errno = 44
	enosys       errno = 52
	enotsock     errno = 57
	erofs        errno = 69 // a directory that cannot be written
	espipe       errno = 70
	enotcapable  errno = 76 // a path that leaves the directory
)
