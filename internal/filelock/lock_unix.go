//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// Lock locks a file until it is closed, and does not wait.
func Lock(f *os.File) error { return lock(f, syscall.LOCK_EX) }

// LockShared is Lock for who only reads. Any number may.
func LockShared(f *os.File) error { return lock(f, syscall.LOCK_SH) }

func lock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}
