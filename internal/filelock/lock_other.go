//go:build !unix

package filelock

import "os"

// Lock does nothing: these systems have no such lock.
func Lock(*os.File) error { return nil }

// LockShared does nothing, too.
func LockShared(*os.File) error { return nil }
