package host

import (
	"errors"
	"sync"
	"testing"
)

// TestLife has a close that comes while the host starts: the start does not end in its stead.
func TestLife(t *testing.T) {
	l := newLife()
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	if before := l.close(); before != stageStarting {
		t.Errorf("closed from state %d, want %d", before, stageStarting)
	}
	if l.started() || !l.is(stageClosing) {
		t.Error("the start has ended after the close has begun")
	}
	var group sync.WaitGroup
	if err := l.join(&group, stageCreated); !errors.Is(err, ErrClosed) {
		t.Errorf("err %v, want ErrClosed", err)
	}
	if err := l.start(); !errors.Is(err, ErrClosed) {
		t.Errorf("start after close: err %v, want ErrClosed", err)
	}
	l = newLife()
	if err := l.join(&group, stageStarted); !errors.Is(err, ErrNotStarted) {
		t.Errorf("err %v, want ErrNotStarted", err)
	}
	if err := l.start(); err != nil || !l.started() {
		t.Errorf("the start has not ended, err %v", err)
	}
	if err := l.start(); err == nil || errors.Is(err, ErrClosed) {
		t.Errorf("a second start: err %v", err)
	}
}
