package bolt_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/state/bolt"
)

// TestMadeIsTold has a log say that a store is new, and warn if there was one. A directory that was misspelt begins empty.
func TestMadeIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "states")
	open := func(want string) {
		t.Helper()
		var log logtest.Log
		s, err := bolt.Open(t.Context(), dir, bolt.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if text := log.String(); want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("the log says %q, want %q", text, want)
		}
	}
	open(`level=INFO msg="a new store of states is made" directory=`)
	open("")
	if err := os.Remove(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	open(`level=WARN msg="state.lock is there and state.db is not`)
}
