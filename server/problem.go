package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// problem is an error as RFC 9457 has it. It leaves out the type, which stands for
// about:blank: its title is the status's, and what tells problems apart is the
// member kind.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Kind is a host.Kind, or one of the server's own: not_found,
	// method_not_allowed, unsupported_media_type, cross_origin, foreign_host.
	Kind host.Kind `json:"kind"`
	// Field is the argument that is at fault, where that is known.
	Field     string `json:"field,omitempty"`
	Transform string `json:"transform,omitempty"`
	Plugin    string `json:"plugin,omitempty"`
	Version   string `json:"version,omitempty"`
}

func writeProblem(w http.ResponseWriter, p problem) {
	p.Title = http.StatusText(p.Status)
	if p.Status == statusClientClosed {
		p.Title = "Client Closed Request"
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	var doc bytes.Buffer
	_ = json.NewEncoder(&doc).Encode(p) // which has nothing that could fail
	h.Set("Content-Length", strconv.Itoa(doc.Len()))
	if out := responseOf(w); out != nil {
		out.refuse()
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(doc.Bytes()) // the client has gone, or it arrives
}

// retryAfter is when a refused client may come again, in seconds: a queue of
// tasks of milliseconds has drained by then.
const retryAfter = 1

// statusClientClosed is what others too have metrics and logs show for a client
// that went before its answer came. It hardly reaches anybody.
const statusClientClosed = 499

// statuses are those of the kinds of errors.
var statuses = map[host.Kind]int{
	host.KindInvalidArgument:  http.StatusBadRequest,
	host.KindUnknownTransform: http.StatusNotFound,
	host.KindQueueFull:        http.StatusTooManyRequests,
	host.KindTimeout:          http.StatusGatewayTimeout,
	host.KindCancelled:        http.StatusServiceUnavailable,
	host.KindFailed:           http.StatusUnprocessableEntity,
	host.KindTrap:             http.StatusBadGateway,
	host.KindExit:             http.StatusBadGateway,
	host.KindOutOfMemory:      http.StatusBadGateway,
	host.KindOutOfFuel:        http.StatusGatewayTimeout,
	host.KindABI:              http.StatusBadGateway,
	host.KindUnavailable:      http.StatusServiceUnavailable,
	host.KindHost:             http.StatusInternalServerError,
}

// problemOf describes the error of a task, or a codec's.
func problemOf(transform string, err error) problem {
	p := problem{Status: http.StatusBadRequest, Kind: host.KindInvalidArgument, Detail: err.Error(), Transform: transform}
	if f := (*abi.FieldError)(nil); errors.As(err, &f) {
		p.Field = f.Field
	}
	if e := (*host.Error)(nil); errors.As(err, &e) {
		p.Status, p.Kind, p.Detail = statuses[e.Kind], e.Kind, e.Message
		p.Plugin, p.Version = e.Plugin, e.Version
	}
	if errors.Is(err, host.ErrMemoryBudget) { // the host's shortage, and no fault of the plugin's
		p.Status = http.StatusServiceUnavailable
	}
	return p
}

func (s *Server) unavailable(w http.ResponseWriter, why string) {
	writeProblem(w, problem{Status: http.StatusServiceUnavailable, Kind: host.KindUnavailable, Detail: why})
}
