// Package logtest has a log that is read while it is written. It is for tests.
package logtest

import (
	"bytes"
	"sync"
)

// Log keeps what is written. The zero Log is empty. Its methods may be called concurrently.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer]. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
