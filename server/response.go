package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// response is the ResponseWriter of a route: it gives each piece of the answer the
// whole of a timeout to be taken, and keeps the status for the metrics.
type response struct {
	http.ResponseWriter

	control *http.ResponseController // of ResponseWriter
	timeout time.Duration
	status  int // 0 before the header
}

// extend starts the timeout anew. A connection without deadlines has none to miss.
func (w *response) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// FlushError sends what is buffered.
func (w *response) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handle adds a route whose requests are counted.
func (s *Server) handle(pattern string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		out := &response{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.opts.StallTimeout}
		code := "aborted" // unless h returns
		s.inFlight.Inc()
		if s.isDraining() { // the connection is of no more use, and soon gone
			w.Header().Set("Connection", "close")
		}
		defer func() {
			s.inFlight.Dec()
			s.requests.WithLabelValues(pattern, code).Inc()
		}()
		h(out, r)
		if code = strconv.Itoa(out.status); out.status == 0 {
			code = "200" // what net/http makes of an answer without a status
		}
	})
}

// route adds a route of one method, and refuses the others.
func (s *Server) route(method, path string, h http.HandlerFunc) {
	s.handle(method+" "+path, h)
	allow := []string{method}
	if method == http.MethodGet {
		allow = append(allow, http.MethodHead)
	}
	s.handle(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeProblem(w, problem{
			Status: http.StatusMethodNotAllowed, Kind: "method_not_allowed",
			Detail: "the method must be " + strings.Join(allow, " or "),
		})
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, problem{Status: http.StatusNotFound, Kind: "not_found", Detail: "there is nothing here; / lists what there is"})
}
