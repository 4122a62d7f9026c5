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
// then. A route that takes no body calls [HeedKey] instead.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), ok bool) {
	s, found := r.Context().Value(serverKey{}).(*Server)
	if !found {
		writeProblem(w, notExtended())
		return nil, nil, false
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

// HeedKey heeds the Idempotency-Key of a request to a route of Options.Routes that takes no body. It is called
// before anything is done. A request whose key is known, or cannot be, has been answered: ok is false then.
func HeedKey(w http.ResponseWriter, r *http.Request) (ok bool) {
	s, found := r.Context().Value(serverKey{}).(*Server)
	if !found {
		writeProblem(w, notExtended())
		return false
	}
	return s.once(w, r, nil)
}

// notExtended is of a route to which the server has not given itself.
func notExtended() api.Error {
	return problem(host.KindHost, "", "the route is not one of Options.Routes")
}

// KeyParameter describes [HeaderIdempotencyKey], for routes of Options.Routes that heed it by [ReadBody] or [HeedKey].
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
