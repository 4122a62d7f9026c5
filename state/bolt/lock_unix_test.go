//go:build unix

package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// locked locks the file of the owner as an owner does, or as who looks for one, until unlock is called.
func locked(t *testing.T, dir string, how int) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "state.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestReaderHeedsOwner has an owner that has let go of the file of records, as it does in the middle of a compaction:
// nobody reads it, who could keep the owner out.
func TestReaderHeedsOwner(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir, bolt.Options{}))
	unlock := locked(t, dir, syscall.LOCK_EX)
	owned := (*state.OwnerError)(nil)
	if s, err := bolt.Open(t.Context(), dir, bolt.Options{ReadOnly: true}); !errors.Is(err, state.ErrInUse) || !errors.As(err, &owned) || owned.Owner.PID != os.Getpid() {
		t.Errorf("error %v", err)
		if err == nil {
			shut(t, s)
		}
	}
	unlock()
	shut(t, open(t, dir, bolt.Options{ReadOnly: true}))
}

// TestOwnerWaitsForLook has somebody look for an owner when one comes, as readers do.
func TestOwnerWaitsForLook(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir, bolt.Options{}))
	unlock := locked(t, dir, syscall.LOCK_SH)
	time.AfterFunc(20*time.Millisecond, unlock)
	shut(t, open(t, dir, bolt.Options{}))
}
