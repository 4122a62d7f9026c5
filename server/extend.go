package server

import (
	"context"
	"net/http"

	"github.com/resonhost/resonhost/api"
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
