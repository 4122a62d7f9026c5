package pack

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// MaxRatio is how many times longer than itself a body may become, beyond Reader's free bytes.
const MaxRatio = 256

// FormatError is the error of a body that is not what its coding says, or that becomes too long.
type FormatError struct {
	Coding Coding
	Rule   string
}

func (e *FormatError) Error() string { return fmt.Sprintf("the %s of the body %s", e.Coding, e.Rule) }

// ErrNoRoom is the error of a body for which there is no memory to unpack it with.
var ErrNoRoom = errors.New("there is no memory to unpack the body with")

// Reader unpacks a body. Of a pool's readers half as many unpack at once as there are processors. One that
// waits for its body lets others go on, so that a slow client holds up none. An error of what it reads from is its own error, too; others are a
// [*FormatError] or [ErrNoRoom].
type Reader struct {
	pool   *Pool
	coding Coding
	from   source
	buffer *bufio.Reader // over from
	free   int64
	room   func(bytes int) bool

	decoder io.Reader // nil until the first Read
	window  int       // the index of its window, of zstd
	out     int64     // bytes that were unpacked
	err     error
}

// source counts what a decoder takes, and keeps the error.
type source struct {
	r    io.Reader
	turn chan struct{} // which its reader has, but while it waits for r
	n    int64
	err  error
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (int, error) {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	n, err := s.r.Read(b)
	s.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Reader returns one that unpacks r, which must be closed. It reads nothing before its first Read. A
// body may become free bytes long, and beyond them MaxRatio times its length. room is asked for the
// memory that unpacking takes.
func (p *Pool) Reader(c Coding, r io.Reader, free int64, room func(bytes int) bool) *Reader {
	out := &Reader{pool: p, coding: c, from: source{r: r, turn: p.unpacking}, free: free, room: room}
	out.buffer = bufio.NewReader(&out.from)
	return out
}

// Read implements [io.Reader].
func (r *Reader) Read(b []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err = r.unpack(b)
	r.out += int64(n)
	switch {
	case r.from.err != nil:
		err = r.from.err
	case errors.Is(err, ErrNoRoom), err != nil && err == io.EOF: //nolint:errorlint // the end itself, and nothing within
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = &FormatError{r.coding, "is cut off"}
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		err = &FormatError{r.coding, fmt.Sprintf("refers back by more than %d bytes, or by more than its first frame", windows()[r.window])}
	case err != nil:
		err = &FormatError{r.coding, "is damaged"}
	case r.out > r.free+MaxRatio*r.from.n:
		err = &FormatError{r.coding, fmt.Sprintf("becomes more than %d times as long", MaxRatio)}
	}
	if err != nil {
		r.err = err
	}
	return n, err
}

// unpack has the decoder read while it has a turn.
func (r *Reader) unpack(b []byte) (int, error) {
	r.pool.unpacking <- struct{}{}
	defer func() { <-r.pool.unpacking }()
	if r.decoder == nil {
		if err := r.start(); err != nil {
			return 0, err
		}
	}
	return r.decoder.Read(b)
}

// start makes the decoder, or takes one of the pool.
func (r *Reader) start() error {
	if r.coding == Gzip {
		if !r.room(gzipMemory) {
			return ErrNoRoom
		}
		if d, ok := r.pool.gzipReaders.Get().(*gzip.Reader); ok {
			r.decoder = d
			return d.Reset(r.buffer)
		}
		d, err := gzip.NewReader(r.buffer)
		if err == nil {
			r.decoder = d
		}
		return err
	}
	size, err := r.reach()
	if err != nil {
		return err
	}
	r.window = window(size)
	most := windows()[r.window]
	if !r.room(most + zstdMemory) {
		return ErrNoRoom
	}
	if d, ok := r.pool.zstdReaders[r.window].Get().(*zstd.Decoder); ok {
		r.decoder = d
		return d.Reset(r.buffer)
	}
	d, err := zstd.NewReader(r.buffer, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(most)))
	if err == nil {
		r.decoder = d
	}
	return err
}

// reach returns how far back the first frame of zstd refers, in bytes. It waits for no more of the body
// than says so.
func (r *Reader) reach() (uint64, error) {
	for n := 5; ; n++ {
		begin, err := r.buffer.Peek(n)
		if len(begin) == 0 && err != nil {
			return 0, err
		}
		var h zstd.Header
		switch decodeErr := h.Decode(begin); {
		case errors.Is(decodeErr, io.ErrUnexpectedEOF) && err == nil && n < zstd.HeaderMaxSize:
		case decodeErr != nil:
			return 0, decodeErr
		case h.Skippable:
			return uint64(windows()[len(windows())-1]), nil
		case h.SingleSegment:
			return h.FrameContentSize, nil
		default:
			return h.WindowSize, nil
		}
	}
}

// Close gives the decoder back.
func (r *Reader) Close() {
	switch d := r.decoder.(type) {
	case *gzip.Reader:
		_ = d.Reset(strings.NewReader("")) // which ends at once: it keeps nothing of the body's
		r.pool.gzipReaders.Put(d)
	case *zstd.Decoder:
		if d.Reset(nil) == nil {
			r.pool.zstdReaders[r.window].Put(d)
		}
	}
	r.decoder, r.err = nil, errors.New("pack: the Reader is closed")
}
