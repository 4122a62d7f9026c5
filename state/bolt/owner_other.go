//go:build !unix

package bolt

import (
	"errors"
	"os"
)

var errLocked = errors.New("is locked")

// lockFile leaves it to bbolt to lock its own file.
func lockFile(*os.File) error { return nil }

// syncDir has nothing to do: these systems have no such call.
func syncDir(string) error { return nil }
