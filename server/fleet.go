package server

import (
	"context"
	"net/http"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
)

// Fleet is the fleet that a server's host is of. Its methods are called by several goroutines at once.
type Fleet interface {
	// Name is the fleet's name.
	Name() string
	// Look says what the fleet does, until ctx ends. It is asked by each request, and must not reach the fleet each time. The caller only
	// reads what it returns.
	Look(ctx context.Context) (*api.Fleet, error)
}

// fleetRoutes show the fleet.
func (s *Server) fleetRoutes() []Route {
	return []Route{{
		Method: http.MethodGet, Path: "/v1/fleet", Scope: auth.ScopeRead, Handler: s.fleet,
		Doc: Operation{
			ID: "fleet", Summary: "answers what the fleet does that the host is of: hosts, plugins, roll-outs and what waits",
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Fleet{}}},
			Errors:   []host.Kind{api.KindNotFound, host.KindUnavailable, host.KindQueueFull},
		},
	}}
}

// fleet is GET /v1/fleet.
func (s *Server) fleet(w http.ResponseWriter, r *http.Request) {
	if s.opts.Fleet == nil {
		writeProblem(w, problem(api.KindNotFound, "", "this host is of no fleet"))
		return
	}
	f, err := s.opts.Fleet.Look(r.Context())
	if err != nil {
		s.unavailable(w, "the fleet cannot be read: "+err.Error())
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeList(w, f)
}
