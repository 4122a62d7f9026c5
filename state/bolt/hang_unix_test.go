//go:build unix

package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// TestOpenHangs opens a file that does not open, as on a disk that does not answer: a pipe that nobody writes to. Open
// ends with its context all the same, and gives the directory up once the pipe is open.
func TestOpenHangs(t *testing.T) {
	for name, opt := range map[string]bolt.Options{"owner": {}, "reader": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe := filepath.Join(dir, "state.db")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := bolt.Open(ctx, dir, opt); state.FaultOf(err) != state.FaultTimeout || !strings.HasSuffix(err.Error(), ": the disk does not answer: context deadline exceeded") {
				t.Errorf("error %v", err)
			}
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
			if err == nil {
				err = errors.Join(w.Close(), os.Remove(pipe))
			}
			if err != nil {
				t.Fatal(err)
			}
			for tries := time.NewTicker(time.Millisecond); ; {
				s, err := bolt.Open(t.Context(), dir, bolt.Options{})
				if err == nil {
					shut(t, s)
					return
				}
				if !errors.Is(err, state.ErrInUse) {
					t.Fatal(err)
				}
				select {
				case <-tries.C:
				case <-t.Context().Done():
					t.Fatal("the directory is still in use")
				}
			}
		})
	}
}
