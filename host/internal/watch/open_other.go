//go:build !unix

package watch

// nonblocking is needed where there are FIFOs.
const nonblocking = 0
