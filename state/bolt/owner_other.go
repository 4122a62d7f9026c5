//go:build !unix

package bolt

import "os"

// syncDir has nothing to do: these systems have no such call. Nor have they the lock of [filelock.Lock], so that bbolt's own lock of its file is
// what keeps others out.
func syncDir(string) error { return nil }

// unlockFile does nothing: closing the file gives up its lock.
func unlockFile(*os.File) error { return nil }
