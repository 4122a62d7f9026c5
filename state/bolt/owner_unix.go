//go:build unix

package bolt

import (
	"errors"
	"os"
)

// syncDir has the names of a directory outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
