// Package pack packs and unpacks the bodies of HTTP with gzip and zstd, in bounded memory. It knows no
// server.
package pack

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Coding is how a body is packed, by its name in Content-Encoding.
type Coding string

// The codings.
const (
	None Coding = "" // not at all
	Gzip Coding = "gzip"
	Zstd Coding = "zstd"
)

// Accepted names the codings of bodies that are taken, as a header has them.
const Accepted = "gzip, zstd"

// Of returns the coding that a header Content-Encoding names. ok is false if that is none of these.
func Of(contentEncoding string) (c Coding, ok bool) {
	switch strings.ToLower(strings.TrimSpace(contentEncoding)) {
	case "", "identity":
		return None, true
	case "gzip", "x-gzip":
		return Gzip, true
	case "zstd":
		return Zstd, true
	}
	return None, false
}

// Choose returns the coding that a header Accept-Encoding prefers: of two that it likes equally, zstd.
// What it means by * is not packed.
func Choose(acceptEncoding string) Coding {
	best, quality := None, 0.0
	for part := range strings.SplitSeq(acceptEncoding, ",") {
		name, params, _ := strings.Cut(part, ";")
		c, ok := Of(name)
		if !ok || c == None {
			continue
		}
		q := 1.0
		if value, there := strings.CutPrefix(strings.TrimSpace(params), "q="); there {
			var err error
			if q, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
				continue
			}
		}
		if q > 0 && q <= 1 && (q > quality || q == quality && c == Zstd) {
			best, quality = c, q
		}
	}
	return best
}

// windows are the sizes of decoders of zstd, by how far back a body refers, in bytes. RFC 9659 allows no
// more than the last in HTTP.
func windows() []int { return []int{128 << 10, 1 << 20, 8 << 20} }

// What it takes to unpack a body with gzip, beside a window to do it with zstd, and to pack one, in
// bytes, about.
const (
	gzipMemory   = 64 << 10
	zstdMemory   = 512 << 10
	WriterMemory = 1 << 20
)

// Pool keeps what packs and unpacks. It is safe for concurrent use.
type Pool struct {
	gzipReaders sync.Pool
	zstdReaders []sync.Pool // by windows
	writers     map[Coding]*sync.Pool
	packing     chan struct{} // has room for as many as may pack at once
	unpacking   chan struct{} // and for as many as may unpack
}

// New returns an empty pool.
func New() *Pool {
	return &Pool{
		zstdReaders: make([]sync.Pool, len(windows())), packing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		unpacking: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), // other requests have the rest
		writers:   map[Coding]*sync.Pool{Gzip: {}, Zstd: {}},
	}
}

// Pack returns a document packed, or nil if that is no shorter. As many are packed at once as there
// are processors; others wait.
func (p *Pool) Pack(c Coding, doc []byte) []byte {
	p.packing <- struct{}{}
	defer func() { <-p.packing }()
	var out bytes.Buffer
	out.Grow(len(doc)/4 + 512)
	w := p.Writer(c, &out)
	_, err := w.Write(doc)
	if err == nil {
		err = w.Close()
	}
	if err != nil || out.Len() >= len(doc) {
		return nil
	}
	return out.Bytes()
}

// encoder is what both libraries have.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// Writer packs what is written to it.
type Writer struct {
	pool *sync.Pool
	to   encoder
}

// Writer returns one, which takes WriterMemory until it is closed or forgotten. It panics for None.
func (p *Pool) Writer(c Coding, w io.Writer) *Writer {
	pool := p.writers[c]
	to, ok := pool.Get().(encoder)
	if !ok {
		to = newEncoder(c)
	}
	to.Reset(w)
	return &Writer{pool, to}
}

// newEncoder makes one. What is packed is what a task has just made, so that a fast one is wanted.
func newEncoder(c Coding) encoder {
	if c == Gzip {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // there is no such level
		}
		return w
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(windows()[0]), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // there is no such option
	}
	return w
}

// Write implements [io.Writer].
func (w *Writer) Write(b []byte) (int, error) { return w.to.Write(b) }

// Flush writes out what was written, so that who unpacks it has it all.
func (w *Writer) Flush() error { return w.to.Flush() }

// Close writes the end. The Writer must not be used after it.
func (w *Writer) Close() error {
	err := w.to.Close()
	w.to.Reset(nil)
	w.pool.Put(w.to)
	w.to = nil
	return err
}

// window returns the first of the windows that has so many bytes, or the last.
func window(size uint64) int {
	all := windows()
	if i := slices.IndexFunc(all, func(w int) bool { return uint64(w) >= size }); i >= 0 {
		return i
	}
	return len(all) - 1
}
