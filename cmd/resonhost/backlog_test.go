package main

import (
	"bytes"
	"io"
	"sync"
	"testing"
)

// backlog is a pipe that takes all that is written, whether somebody reads it or not: a command whose
// log nobody reads goes on.
type backlog struct {
	mu      sync.Mutex
	written bytes.Buffer // guarded by mu
	closed  bool         // guarded by mu
	more    *sync.Cond
}

func newBacklog() *backlog {
	b := &backlog{}
	b.more = sync.NewCond(&b.mu)
	return b
}

func (b *backlog) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.more.Broadcast()
	return b.written.Write(p)
}

// Read waits until there is something, or nothing more will come.
func (b *backlog) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.written.Len() == 0 && !b.closed {
		b.more.Wait()
	}
	return b.written.Read(p)
}

// Close has readers find an end once they have read what there is.
func (b *backlog) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.more.Broadcast()
	return nil
}

// TestBacklog writes more than a pipe holds before anything is read.
func TestBacklog(t *testing.T) {
	b := newBacklog()
	flood := bytes.Repeat([]byte("x"), 1<<20)
	if n, err := b.Write(flood); n != len(flood) || err != nil {
		t.Fatal(n, err)
	}
	b.Close()
	if got, err := io.ReadAll(b); !bytes.Equal(got, flood) || err != nil {
		t.Errorf("%d bytes, err %v", len(got), err)
	}
}
