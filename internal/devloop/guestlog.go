package devloop

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// maxHeldRecords is how many records of a deployment are kept for the case that it fails.
const maxHeldRecords = 100

// GuestLog has what guests log at an input be logged once, though the input is run as a
// self-test, for its outcome, and many times for its time. Its methods may be called
// concurrently. A nil one does nothing.
type GuestLog struct {
	mu   sync.Mutex
	mode logMode
	held []heldRecord // that differ
}

// logMode is what becomes of records.
type logMode int

const (
	passing  logMode = iota
	holding          // kept, each once
	dropping         // and not counted against what a plugin may log
)

type heldRecord struct {
	handler slog.Handler
	record  slog.Record
	text    string
}

// Handler returns a handler that hands on to next.
func (g *GuestLog) Handler(next slog.Handler) slog.Handler { return guestHandler{next, g} }

func (g *GuestLog) hold() { g.set(holding) }
func (g *GuestLog) drop() { g.set(dropping) }

func (g *GuestLog) set(m logMode) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode, g.held = m, nil
}

// release has records pass again, and those that were held too if they are wanted.
func (g *GuestLog) release(wanted bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	held := g.held
	g.mode, g.held = passing, nil
	g.mu.Unlock()
	if !wanted {
		return
	}
	for _, h := range held {
		_ = h.handler.Handle(context.Background(), h.record) // as slog does
	}
}

// guestHandler is a handler through a [GuestLog].
type guestHandler struct {
	slog.Handler

	log *GuestLog
}

// Enabled implements [slog.Handler].
func (h guestHandler) Enabled(ctx context.Context, level slog.Level) bool {
	h.log.mu.Lock()
	off := h.log.mode == dropping || h.log.mode == holding && len(h.log.held) >= maxHeldRecords
	h.log.mu.Unlock()
	return !off && h.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h guestHandler) Handle(ctx context.Context, r slog.Record) error {
	h.log.mu.Lock()
	mode := h.log.mode
	if mode == holding {
		h.log.keepLocked(h.Handler, r)
	}
	h.log.mu.Unlock()
	if mode != passing {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (g *GuestLog) keepLocked(next slog.Handler, r slog.Record) {
	var b strings.Builder
	fmt.Fprint(&b, r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprint(&b, a)
		return true
	})
	same := func(h heldRecord) bool { return h.text == b.String() }
	if len(g.held) < maxHeldRecords && !slices.ContainsFunc(g.held, same) {
		g.held = append(g.held, heldRecord{next, r.Clone(), b.String()})
	}
}

// WithAttrs implements [slog.Handler].
func (h guestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guestHandler{h.Handler.WithAttrs(attrs), h.log}
}

// WithGroup implements [slog.Handler].
func (h guestHandler) WithGroup(name string) slog.Handler {
	return guestHandler{h.Handler.WithGroup(name), h.log}
}
