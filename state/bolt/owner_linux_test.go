package bolt_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestNoRoomForOwner opens a directory on whose lock nothing can be written, as on a full disk.
func TestNoRoomForOwner(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	statetest.Save(t, s, statetest.Change("a", "1"))
	shut(t, s)
	lock := filepath.Join(dir, "state.lock")
	if info, err := os.Stat(lock); err != nil || info.Size() == 0 {
		t.Errorf("the lock of a closed store leaves no room for a name: %v, %v", info, err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", lock); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, bolt.Options{})
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
}
