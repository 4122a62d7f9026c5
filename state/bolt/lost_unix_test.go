//go:build unix

// Windows moves no file that is open.

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

// TestMoved moves, deletes and replaces the directory or the file of a store that is open: each save has an error
// from then on, and what was moved and put back has what was saved meanwhile.
func TestMoved(t *testing.T) {
	for name, way := range map[string]struct{ move, back func(dir string) error }{
		"directory": {
			func(dir string) error { return os.Rename(dir, dir+".away") },
			func(dir string) error { return os.Rename(dir+".away", dir) },
		},
		"file": {
			func(dir string) error { return os.Rename(filepath.Join(dir, "state.db"), filepath.Join(dir, "away")) },
			func(dir string) error { return os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "state.db")) },
		},
		"replaced": {
			func(dir string) error {
				return errors.Join(os.Rename(filepath.Join(dir, "state.db"), filepath.Join(dir, "away")),
					os.WriteFile(filepath.Join(dir, "state.db"), []byte("a copy"), 0o600))
			},
			func(dir string) error { return os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "state.db")) },
		},
		"deleted": {move: os.RemoveAll},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "states")
			s := open(t, dir, bolt.Options{})
			statetest.Save(t, s, statetest.Change("a", "1"))
			if err := s.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if err := way.move(dir); err != nil {
				t.Fatal(err)
			}
			lost := func(what string, err error) {
				t.Helper()
				if state.FaultOf(err) != state.FaultLost || !strings.Contains(err.Error(), filepath.Join(dir, "state.db")+": the file was moved, deleted or replaced while it was open") {
					t.Errorf("%s: error %v", what, err)
				}
			}
			lost("without changes", s.Save(t.Context(), nil))
			lost("with a change", s.Save(t.Context(), []state.Change{statetest.Change("b", "2")}))
			lost("again", s.Save(t.Context(), nil))
			lost("compact", s.Compact(t.Context()))
			if way.back == nil {
				shut(t, s)
				return
			}
			if err := way.back(dir); err != nil {
				t.Fatal(err)
			}
			statetest.Save(t, s, statetest.Change("c", "3"))
			shut(t, s)
			s = open(t, dir, bolt.Options{})
			statetest.Want(t, s, statetest.Change("a", "1"))
			statetest.Want(t, s, statetest.Change("b", "2"))
			statetest.Want(t, s, statetest.Change("c", "3"))
			shut(t, s)
		})
	}
}

// TestCutOffWhileIdle cuts the file off under a store that nobody reads: a save without changes tells it, in words
// for operators.
func TestCutOffWhileIdle(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, bolt.Options{})
	statetest.Save(t, s, statetest.Change("a", strings.Repeat("x", 100_000)))
	for _, size := range []int64{64 << 10, 0} {
		if err := os.Truncate(filepath.Join(dir, "state.db"), size); err != nil {
			t.Fatal(err)
		}
		err := s.Save(t.Context(), nil)
		if want := filepath.Join(dir, "state.db") + ": is corrupt: it was damaged while it was open, and must be opened anew"; err == nil || err.Error() != want || state.FaultOf(err) != state.FaultCorrupt {
			t.Errorf("%d bytes: error %v, want %s", size, err, want)
		}
	}
	shut(t, s)
}
