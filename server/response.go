package server

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/pack"
	"github.com/resonhost/resonhost/server/replay"
)

// response is the ResponseWriter of a route: it gives each piece of the answer the
// whole of a timeout to be taken, and keeps status and error for the metrics.
type response struct {
	http.ResponseWriter

	request *http.Request
	control *http.ResponseController // of ResponseWriter
	timeout time.Duration
	packs   *pack.Pool
	held    *budget
	when    Compression
	status  int   // 0 before the header
	written int64 // bytes of the answer
	err     error // with which the answer was cut short

	waits   bool // net/http may wait for the rest of the body before it sends anything
	asked   bool // the client was asked for the body
	whole   bool // of which there is no more
	lingers bool // what is left of it is read after the answer

	call *replay.Call // of a request whose answer is to be kept; nil otherwise
}

// extend starts the timeout anew. A connection without deadlines has none to miss.
func (w *response) extend() {
	timeout := w.timeout
	if w.waits { // which is the body's time, and not the answer's
		timeout *= 2
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(timeout))
}

// begun takes note of a header that goes out by itself.
func (w *response) begun() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter]. A client who takes a large answer slowly, but does, is
// as good as any: the time is for a piece, and not for all.
func (w *response) Write(p []byte) (n int, err error) {
	w.begun()
	for {
		now := p[n:min(len(p), n+piece)]
		w.extend()
		m, err := w.ResponseWriter.Write(now)
		n += m
		w.written += int64(m)
		if err != nil {
			w.fail(err)
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
	}
}

// fail takes note of what has cut the answer short. An answer that has no body by its status, or
// to HEAD, is whole without.
func (w *response) fail(err error) {
	if w.err == nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		w.err = err
	}
}

// FlushError sends what is buffered.
func (w *response) FlushError() error {
	w.begun()
	w.extend()
	err := w.control.Flush()
	if err != nil {
		w.fail(err)
	} else if w.request.ProtoMajor > 1 {
		// HTTP/2 ends an answer at its deadline, though nothing is to be written. The next piece
		// has one of its own.
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return err
}

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handle adds a route whose requests are counted.
func (s *Server) handle(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		out := &response{ResponseWriter: w, request: r, control: http.NewResponseController(w), timeout: s.opts.StallTimeout, packs: s.packs, held: s.held, when: s.opts.Compression, waits: r.ContentLength != 0}
		s.inFlight.Inc()
		if s.isDraining() { // the connection is of no more use, and soon gone
			w.Header().Set("Connection", "close")
		}
		defer func() {
			defer out.giveUp()
			s.inFlight.Dec()
			s.ended(out, r, pattern, recover())
		}()
		h(out, r)
		if out.written > piece && out.err == nil {
			_ = out.FlushError() // whose error is kept
		}
		if out.lingers {
			s.linger(out)
		}
	})
}

// ended counts a request that has ended, and logs one whose answer was cut short, or whose
// handler has panicked.
func (s *Server) ended(out *response, r *http.Request, pattern string, panicked any) {
	code := strconv.Itoa(out.status)
	if out.status == 0 {
		code = "200" // what net/http makes of an answer without a status
	}
	switch {
	case panicked == nil && out.err != nil:
		code = aborted
		s.log.InfoContext(r.Context(), "an answer was cut short", "route", pattern, "written", out.written, "error", out.err)
	case panicked == http.ErrAbortHandler: //nolint:errorlint // as net/http compares it
		code = aborted // whoever did it has logged why
	case panicked != nil:
		s.panics.Inc()
		s.log.ErrorContext(r.Context(), "a handler panicked", "route", pattern, "panic", panicked, "stack", string(debug.Stack()))
		code = aborted
		defect := problem(host.KindHost, "", "the server has a defect, which it has logged")
		if out.status == 0 {
			writeProblem(out, defect)
			code, panicked = "500", nil
		} else {
			out.keep(defect.Status, api.MediaTypeProblem, problemDocument(&defect))
		}
	}
	s.requests.WithLabelValues(pattern, code).Inc()
	if panicked != nil {
		panic(http.ErrAbortHandler)
	}
}

// aborted is the code by which answers that were cut short are counted.
const aborted = "aborted"
