// Package filelock locks files between processes, where the system can.
package filelock

import "errors"

// ErrLocked is of a file that another process has locked.
var ErrLocked = errors.New("is locked by another process")
