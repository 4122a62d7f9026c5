package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
)

// stateRoutes are about state that outlives the host.
func (s *Server) stateRoutes() []Route {
	return []Route{{
		Method: http.MethodPost, Path: "/v1/state/save", Scope: auth.ScopeAdmin, Handler: s.saveState,
		Doc: Operation{
			ID: "saveState", Summary: "saves now all state that has changed, and answers once it is saved",
			Headers:  []Parameter{keyParameter},
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.SavedState{}}},
			Errors:   []host.Kind{api.KindConflict, host.KindStateUnavailable, host.KindUnavailable},
		},
	}}
}

// saveState is POST /v1/state/save.
func (s *Server) saveState(w http.ResponseWriter, r *http.Request) {
	if !s.once(w, r, nil) {
		return
	}
	if !s.audited(w, r, "save_state", "") {
		return
	}
	before := s.host.Stats().State
	began := time.Now()
	err := s.host.SaveState(r.Context())
	s.opts.Audit.Request(r, "save_state", "", "", err)
	s.boundBody(w, r) // anew, as saving may have taken longer
	if err != nil {
		writeProblem(w, problem(saveFault(err), "", err.Error()))
		return
	}
	after := s.host.Stats().State
	writeJSON(w, api.SavedState{
		Saved: after.Saved - before.Saved, Deleted: after.Deleted - before.Deleted, Unsaved: after.Unsaved,
		TookS: time.Since(began).Seconds(),
	})
}

func saveFault(err error) host.Kind {
	switch {
	case errors.Is(err, host.ErrNoState):
		return api.KindConflict
	case errors.Is(err, host.ErrClosed):
		return host.KindUnavailable
	}
	return host.KindStateUnavailable
}
