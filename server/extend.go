package server

import (
	"context"
	"net/http"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// What handlers of Options.Routes have of the server.

type serverKey struct{}

// extended are the routes of Options, whose handlers find the server.
func (s *Server) extended() []Route {
	routes := make([]Route, len(s.opts.Routes))
	for i, r := range s.opts.Routes {
		next := r.Handler
		if routes[i] = r; next != nil { // else the route is refused
			routes[i].Handler = func(w http.ResponseWriter, r *http.Request) {
				next(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, s)))
			}
		}
	}
	return routes
}

// TenantOf returns on whose behalf a request to a route of Options.Routes is. Its error is for
// [WriteError].
func TenantOf(r *http.Request) (string, error) {
	s, ok := r.Context().Value(serverKey{}).(*Server)
	if !ok {
		return "", nil
	}
	return s.tenantOf(r)
}

// Draining reports whether the server of a route of Options.Routes drains: a request that would have
// it do more is to be refused with [host.KindUnavailable].
func Draining(r *http.Request) bool {
	s, ok := r.Context().Value(serverKey{}).(*Server)
	return ok && s.isDraining()
}

// ReadBody reads the whole body of a request to a route of Options.Routes, with most bytes at most once it is
// unpacked, and counts it among the bytes held until release. It is called before anything is done: a
// request whose Idempotency-Key is known has been answered, and so has one whose body is refused; ok is false
// then. A route that takes no body calls it with 0 for the key's sake.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), ok bool) {
	s, found := r.Context().Value(serverKey{}).(*Server)
	if !found {
		writeProblem(w, problem(host.KindHost, "", "the route is not one of Options.Routes"))
		return nil, nil, false
	}
	if most == 0 {
		return nil, func() {}, s.once(w, r, nil)
	}
	if refused := refusedCoding(w, r.Header.Get("Content-Encoding")); refused != "" {
		writeProblem(w, problem(api.KindUnsupportedMediaType, "", refused))
		return nil, nil, false
	}
	a, ok := s.open(w, host.Transform{}, bodyOverhead)
	if !ok {
		return nil, nil, false
	}
	if body, ok = s.bodyUpTo(w, r, host.Transform{}, a, bound{most, "the route's own"}); !ok {
		a.close()
		return nil, nil, false
	}
	return body, a.close, true
}

// KeyParameter describes [HeaderKey], for routes of Options.Routes that heed it by [ReadBody].
func KeyParameter() Parameter { return keyParameter }

// WriteJSON answers a request to a route of Options.Routes with JSON. It counts among the bytes held
// (Options.MaxHeld) until the client has taken it. Where there is no room for a large answer to a GET,
// that is refused instead.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	respond(w, status, v, r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// WriteProblem answers with a problem document.
func WriteProblem(w http.ResponseWriter, e api.Error) { writeProblem(w, e) }

// WriteError answers a request to a route of Options.Routes with the error of a task, an argument's
// or one of [TenantOf].
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if s, ok := r.Context().Value(serverKey{}).(*Server); ok {
		s.fail(w, r, "", err)
		return
	}
	writeProblem(w, api.Of("", err))
}
