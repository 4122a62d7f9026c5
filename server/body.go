package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/pack"
)

// piece is how much of a body or an answer must go on within StallTimeout, unless it is at its
// end by then, in bytes. With the default that is 2.2 kB/s.
const piece = 64 << 10

// progress is a body whose client must go on: it has StallTimeout for each piece.
type progress struct {
	r       io.Reader
	control *http.ResponseController
	timeout time.Duration
	left    int // of the piece
}

func (p *progress) begin() {
	p.left = piece
	// A connection without deadlines has none to miss.
	_ = p.control.SetReadDeadline(time.Now().Add(p.timeout))
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.left -= n; p.left <= 0 && err == nil {
		p.begin()
	}
	return n, err
}

// lineProgress is a body of lines, which may pause between them. While a line is not at its
// end its client must go on.
type lineProgress struct {
	progress

	within  bool        // a line
	stalled atomic.Bool // it did not go on
	ended   atomic.Bool // the body, or what came of it

	mu   sync.Mutex // guards over, and is held while a deadline is set
	over bool       // nothing of the body is wanted any more
}

// deadline sets when a Read ends, unless that is past already.
func (p *lineProgress) deadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		_ = p.control.SetReadDeadline(t)
	}
}

// end ends a Read that waits, and those that come.
func (p *lineProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.control.SetReadDeadline(time.Now())
}

// begin hides progress's own, which knows of no end.
func (p *lineProgress) begin() {
	p.left = piece
	p.deadline(time.Now().Add(p.timeout))
}

func (p *lineProgress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	switch before := p.within; {
	case err != nil: // the last Read; of a deadline that passes later the client would seem gone
		p.stalled.Store(p.within && errors.Is(err, os.ErrDeadlineExceeded))
		p.ended.Store(true)
		p.deadline(time.Time{})
	case n == 0:
	case b[n-1] == '\n':
		p.within = false
		if before {
			p.deadline(time.Time{})
		}
	case !before || bytes.IndexByte(b[:n], '\n') >= 0:
		p.within = true
		p.begin()
	default:
		if p.left -= n; p.left <= 0 {
			p.begin()
		}
	}
	return n, err
}

// bound is how long a body may be, in bytes, and what sets that.
type bound struct {
	bytes int64
	by    string
}

// body reads the body of a task, as bodyUpTo does.
func (s *Server) body(w http.ResponseWriter, r *http.Request, t host.Transform, a *account) (b []byte, ok bool) {
	return s.bodyUpTo(w, r, t, a, bound{s.opts.MaxBody, "MaxBody, --max-input"})
}

// bodyUpTo reads the whole body, of which the account holds what has come. It has answered if ok is
// false: also as the request's key is not new, see once.
func (s *Server) bodyUpTo(w http.ResponseWriter, r *http.Request, t host.Transform, a *account, most bound) (b []byte, ok bool) {
	length := r.ContentLength         // of the body once unpacked; below 0 if that is not known
	if r.ContentLength > most.bytes { // before it is asked for
		bodyTooLarge(w, t, most)
		return nil, false
	}
	control := http.NewResponseController(w)
	// The request's own body stays what it is: net/http looks whether its client waits to be
	// asked for it.
	from := io.Reader(http.MaxBytesReader(underlying(w), r.Body, most.bytes))
	if c := contentCoding(r); c != pack.None {
		packed, closed := s.unpack(c, from, most.bytes, a)
		defer closed()
		from, length = packed, -1
	}
	in := &progress{r: from, control: control, timeout: s.opts.StallTimeout}
	in.begin()
	if out := responseOf(w); out != nil {
		out.asked = true
	}
	got := &pieces{pool: &s.pieces, length: length}
	defer got.close()
	for {
		if !a.Take(int(got.next()-got.room), false) {
			noRoom(w, t.Name)
			return nil, false
		}
		for got.grow(); len(got.free()) > 0; {
			n, err := in.Read(got.free())
			got.n += int64(n)
			switch {
			case got.n > most.bytes: // once it is unpacked
				bodyTooLarge(w, t, most)
				return nil, false
			case got.overrun():
				s.failBody(w, t, errOverrun, most)
				return nil, false
			case errors.Is(err, io.EOF):
				// Its passing would have the client seem gone, however long the task takes.
				_ = control.SetReadDeadline(time.Time{})
				if out := responseOf(w); out != nil {
					out.whole, out.waits = true, false
				}
				b = got.body()
				a.Add(cap(b) - int(got.room))
				return b, s.once(w, r, b)
			case err != nil:
				s.failBody(w, t, err, most)
				return nil, false
			}
		}
	}
}

// errOverrun is of a body that pieces.overrun reports.
var errOverrun = errors.New("the body is longer than the request's Content-Length")

func bodyTooLarge(w http.ResponseWriter, t host.Transform, most bound) {
	p := problem(host.KindInvalidArgument, t.Name, fmt.Sprintf("the body is longer than %d bytes, the limit (%s)", most.bytes, most.by))
	p.Status = http.StatusRequestEntityTooLarge
	t.CountFailed(p.Kind)
	writeProblem(w, p)
}

// failBody answers that a body did not come.
func (s *Server) failBody(w http.ResponseWriter, t host.Transform, err error, most bound) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		bodyTooLarge(w, t, most)
		return
	}
	p := problem(host.KindInvalidArgument, t.Name, "the body broke off")
	switch format := (*pack.FormatError)(nil); {
	case errors.Is(err, pack.ErrNoRoom):
		noRoom(w, t.Name)
		return
	case errors.As(err, &format), errors.Is(err, errOverrun):
		p.Detail = err.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p = problem(host.KindTimeout, t.Name, fmt.Sprintf("the body did not go on by %d bytes within %v (StallTimeout)", piece, s.opts.StallTimeout))
		p.Status = http.StatusRequestTimeout // the client's time, and not the task's
	}
	writeProblem(w, p)
}

// underlying is net/http's own writer, which wants to be told of a body that is too long.
func underlying(w http.ResponseWriter) http.ResponseWriter {
	if out := responseOf(w); out != nil {
		return out.ResponseWriter
	}
	return w
}
