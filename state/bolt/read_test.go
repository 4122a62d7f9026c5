package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/statetest"
)

// filesOf has the files of a directory, and what is in them.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

// TestReads reads a directory twice at a time. Nothing is written, not even a lock.
func TestReads(t *testing.T) {
	dir := t.TempDir()
	reading := bolt.Options{ReadOnly: true}
	if _, err := bolt.Open(t.Context(), filepath.Join(dir, "none"), reading); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: error %v", err)
	}
	owner := open(t, dir, bolt.Options{})
	statetest.Save(t, owner, statetest.Change("a", "1"), statetest.Change("b", "2"))
	owned := (*state.OwnerError)(nil)
	if _, err := bolt.Open(t.Context(), dir, reading); !errors.Is(err, state.ErrInUse) || !errors.As(err, &owned) || owned.Owner.PID != os.Getpid() {
		t.Errorf("with an owner: error %v", err)
	}
	shut(t, owner)
	owner = open(t, dir, bolt.Options{})
	statetest.Save(t, owner, statetest.Change("c", strings.Repeat("x", 1<<20)))
	statetest.Save(t, owner, state.Change{Record: state.Record{Key: statetest.Key("c")}, Delete: true})
	stats, err := owner.Stats(t.Context())
	if err != nil || stats.FreeBytes < 1<<20 {
		t.Fatalf("%+v, error %v", stats, err)
	}
	shut(t, owner)
	if err := os.Remove(filepath.Join(dir, "state.lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.db.new"), []byte("half made"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := filesOf(t, dir)
	first, second := open(t, dir, reading), open(t, dir, reading)
	for _, s := range []*bolt.Store{first, second} {
		statetest.Want(t, s, statetest.Change("a", "1"))
		if st, err := s.Stats(t.Context()); err != nil || st.Usage != stats.Usage || st.FileBytes != stats.FileBytes || st.FreeBytes != stats.FreeBytes {
			t.Errorf("%+v, error %v, want %+v", st, err, stats)
		}
		for name, err := range map[string]error{
			"save":            s.Save(t.Context(), []state.Change{statetest.Change("a", "2")}),
			"save of nothing": s.Save(t.Context(), nil),
			"compact":         s.Compact(t.Context()),
		} {
			if want := dir + ": store is read-only: it was opened to be read"; err == nil || err.Error() != want || state.FaultOf(err) != state.FaultReadOnly {
				t.Errorf("%s: error %v, want %s", name, err, want)
			}
		}
	}
	shut(t, first)
	shut(t, second)
	if after := filesOf(t, dir); len(after) != len(before) || after["state.db"] != before["state.db"] {
		t.Errorf("%d files of other contents, and there were %d", len(after), len(before))
	}
	shut(t, open(t, dir, bolt.Options{}))
}
