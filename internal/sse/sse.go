// Package sse reads server-sent events, as HTML's standard has them.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ErrTooLong is wrapped by the error of an event that is longer than it may be.
var ErrTooLong = errors.New("the event is too long")

// maxRetry is the longest pause that a server may ask for.
const maxRetry = time.Hour

// Event is one event.
type Event struct {
	// Kind is its field event; "message" if it has none.
	Kind string
	// Data is valid until the next event is read. Lines of it are joined by "\n".
	Data []byte
}

// Reader reads the events of one stream. It is for one goroutine at a time.
type Reader struct {
	in  *bufio.Reader
	max int

	lastID string
	retry  time.Duration
	begun  bool // past what may be a byte order mark
	cr     bool // the line before ended with CR, which LF may follow

	line, data []byte
	kind, id   string
	named      bool // the event has an ID
	some       bool // it has data
}

// NewReader returns a reader of events that have at most so many bytes each, comments included.
func NewReader(r io.Reader, maxEvent int) *Reader {
	return &Reader{in: bufio.NewReader(r), max: maxEvent}
}

// LastID is the ID of the last event that had one, by which a client goes on; "" if none had.
func (r *Reader) LastID() string { return r.lastID }

// Retry is how long the server wants a client to wait before it comes again, 0 if it has not said so.
func (r *Reader) Retry() time.Duration { return r.retry }

// Next returns the next event. Its error is that of the stream, [io.EOF] at the end, or wraps
// [ErrTooLong]. What is left of an event that the stream's end cuts off is no event.
func (r *Reader) Next() (Event, error) {
	r.data, r.kind, r.named, r.some = r.data[:0], "", false, false
	for size := 0; ; {
		if err := r.readLine(r.max - size); err != nil {
			return Event{}, err
		}
		size += len(r.line) + 1
		if len(r.line) > 0 {
			r.field()
			continue
		}
		if r.named {
			r.lastID = r.id
		}
		if r.some {
			kind := r.kind
			if kind == "" {
				kind = "message"
			}
			return Event{Kind: kind, Data: r.data}, nil
		}
		r.kind, r.named, size = "", false, 0
	}
}

// readLine reads a line of at most so many bytes.
func (r *Reader) readLine(most int) error {
	r.line = r.line[:0]
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return err
		}
		after := r.cr
		r.cr = false
		switch {
		case c == '\n' && after:
			continue
		case c == '\n' || c == '\r':
			r.cr = c == '\r'
			if !r.begun {
				r.begun = true
				r.line = bytes.TrimPrefix(r.line, []byte("\uFEFF"))
			}
			return nil
		case len(r.line) >= most:
			return fmt.Errorf("%w: it has more than %d bytes", ErrTooLong, r.max)
		}
		r.line = append(r.line, c)
	}
}

// field takes a line that is not empty.
func (r *Reader) field() {
	name, value, _ := bytes.Cut(r.line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) { // that of a comment is ""
	case "event":
		r.kind = strings.ToValidUTF8(string(value), "\uFFFD")
	case "data":
		if r.some {
			r.data = append(r.data, '\n')
		}
		r.data = append(r.data, value...)
		r.some = true
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			r.id, r.named = strings.ToValidUTF8(string(value), "\uFFFD"), true
		}
	case "retry":
		r.setRetry(string(value))
	}
}

// setRetry takes milliseconds, of digits alone.
func (r *Reader) setRetry(value string) {
	if strings.Trim(value, "0123456789") != "" {
		return
	}
	if ms, err := strconv.ParseUint(value, 10, 64); err == nil {
		r.retry = time.Duration(min(ms, uint64(maxRetry.Milliseconds()))) * time.Millisecond
	}
}
