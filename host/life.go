package host

import (
	"context"
	"errors"
	"sync"
)

// ErrStarted is the error of a second [Host.Start].
var ErrStarted = errors.New("host is started already")

// life is how far a host has come, and what ends with it.
type life struct {
	// ctx ends when running tasks must: when Close's patience does. ending ends when
	// Close begins.
	ctx    context.Context //nolint:containedctx // the life of all that the host runs
	cancel context.CancelCauseFunc
	ending context.Context //nolint:containedctx // likewise
	end    context.CancelFunc

	mu    sync.Mutex
	stage stage // guarded by mu
}

type stage int

const (
	stageCreated stage = iota
	stageStarting
	stageStarted
	stageClosing
)

func newLife() *life {
	l := &life{}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.ending, l.end = context.WithCancel(context.Background())
	return l
}

// is reports whether the host has come so far, and no further.
func (l *life) is(s stage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage == s
}

// start begins the start, of which there is one.
func (l *life) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.stage {
	case stageCreated:
		l.stage = stageStarting
		return nil
	case stageClosing:
		return ErrClosed
	}
	return ErrStarted
}

// started ends the start, and reports whether it could: once the close has begun there is none.
func (l *life) started() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage != stageStarting {
		return false
	}
	l.stage = stageStarted
	return true
}

// close begins the close, and returns what was before.
func (l *life) close() (before stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, l.stage = l.stage, stageClosing
	return before
}

// join adds one to what the close waits for, unless that has begun, or the host has not come
// so far.
func (l *life) join(group *sync.WaitGroup, far stage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stage == stageClosing:
		return ErrClosed
	case l.stage < far:
		return ErrNotStarted
	}
	group.Add(1)
	return nil
}
