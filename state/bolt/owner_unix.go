//go:build unix

package bolt

import (
	"errors"
	"os"
	"syscall"
)

// syncDir has the names of a directory outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unlockFile gives up the lock of a file. Closing does not where the file is mapped.
func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
