// Package textlines reads lines that others have written, of which it keeps no more than it is told.
package textlines

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/resonhost/resonhost/internal/foreign"
)

// Options are how lines are read.
type Options struct {
	// Most is the longest line in bytes, and TooLong the error of a longer one.
	Most    int
	TooLong error
	// Take, if set, is asked before n more bytes are kept. Its error is the line's. Bytes of blank lines, and of
	// those that have an error, are given back by a negative n.
	Take func(n int) error
	// Number and Offset are those of the first line; 0 stands for line 1.
	Number int
	Offset int64
}

// Line is a line of text that is not blank, or why there is none.
type Line struct {
	// Number is the line's, and Offset where it begins in the input, in bytes.
	Number int
	Offset int64
	// Text is the line without its end. It is the caller's, who gives back what Options.Take was asked for, len(Text).
	Text []byte
	// Err is what is wrong with this line. Others may follow.
	Err error
	// Fatal is why the input cannot be read on, and Within whether a part of the line had come.
	Fatal  error
	Within bool
}

// Reader reads lines. It is for one goroutine.
type Reader struct {
	in    *bufio.Reader
	opts  Options
	parts [][]byte // of a line that is longer than in's buffer
	ended bool
}

// New returns a reader of in.
func New(in io.Reader, o Options) *Reader {
	o.Number = max(o.Number, 1)
	return &Reader{in: bufio.NewReaderSize(in, 64<<10), opts: o}
}

// Next returns the next line that is not blank. ok is false once there is none.
func (r *Reader) Next() (l Line, ok bool) {
	for !r.ended {
		l = r.line()
		taken := len(l.Text)
		if l.Number == 1 && l.Err == nil {
			if l.Text, l.Err = foreign.UTF8(l.Text); l.Err != nil {
				l.Err, r.ended = fmt.Errorf("%w; no further line was read", l.Err), true
			}
		}
		blank := len(bytes.TrimSpace(l.Text)) == 0
		if blank || l.Err != nil || l.Fatal != nil {
			l.Text = nil
		}
		r.giveBack(taken - len(l.Text))
		if !blank || l.Err != nil || l.Fatal != nil {
			return l, true
		}
	}
	return Line{}, false
}

// line reads a line, with its text as far as that may be kept.
func (r *Reader) line() (l Line) {
	l.Number, l.Offset = r.opts.Number, r.opts.Offset
	kept := 0
	for {
		part, err := r.in.ReadSlice('\n')
		r.opts.Offset += int64(len(part))
		l.Within = l.Within || len(part) > 0
		whole := !errors.Is(err, bufio.ErrBufferFull)
		if text := bytes.TrimSuffix(part, []byte("\n")); l.Err == nil {
			if l.Err = r.take(kept, len(text)); l.Err == nil {
				kept += len(text)
				r.parts = append(r.parts, bytes.Clone(text))
			} else {
				r.giveBack(kept)
				clear(r.parts)
				r.parts = r.parts[:0]
			}
		}
		if !whole {
			continue
		}
		r.opts.Number++
		l.Text = r.join(kept)
		switch {
		case errors.Is(err, io.EOF):
			r.ended = true
		case err != nil:
			l.Fatal, r.ended = err, true
		}
		return l
	}
}

// take is whether n bytes may be kept besides those of the line that are.
func (r *Reader) take(kept, n int) error {
	switch {
	case kept+n > r.opts.Most:
		return r.opts.TooLong
	case r.opts.Take != nil && n > 0:
		return r.opts.Take(n)
	}
	return nil
}

func (r *Reader) giveBack(n int) {
	if r.opts.Take != nil && n > 0 {
		_ = r.opts.Take(-n)
	}
}

// join returns the parts of a line as one, and forgets them.
func (r *Reader) join(size int) []byte {
	defer func() {
		clear(r.parts)
		r.parts = r.parts[:0]
	}()
	switch len(r.parts) {
	case 0:
		return nil
	case 1:
		return r.parts[0]
	}
	text := make([]byte, 0, size)
	for _, p := range r.parts {
		text = append(text, p...)
	}
	return text
}
