package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
)

func (s *Server) plugins() []api.Plugin {
	suspended := make(map[string]bool)
	stats := s.host.Stats().Plugins
	for i := range stats {
		suspended[stats[i].Source] = stats[i].Suspended
	}
	list := []api.Plugin{}
	for _, p := range s.host.Plugins() {
		out := api.Plugin{
			Name: p.Name, Version: p.Version, Hash: p.Hash, Kind: p.Kind, Source: p.Source, Transforms: []api.Transform{},
			Paused: p.Paused, Suspended: suspended[p.Source], Deploying: p.Deploying, Unsaved: p.Unsaved, Previous: p.Previous, Mismatch: p.Mismatch,
			Since: p.Since, By: p.By,
		}
		for _, t := range p.Transforms {
			out.Transforms = append(out.Transforms, transformOf(t))
		}
		if c := p.Canary; c != nil {
			out.Canary = &api.Canary{Version: c.Version, Hash: c.Hash, Share: c.Share, Since: c.Since, Tasks: c.Tasks, Failed: c.Failed}
		}
		if f := p.Failure; f != nil {
			out.Failure = &api.LoadFailure{Hash: f.Hash, Step: f.Step, Error: f.Err.Error(), Time: f.Time}
		}
		list = append(list, out)
	}
	return list
}

func transformOf(t host.Transform) api.Transform {
	return api.Transform{
		Name: t.Name, Input: t.Input, Output: t.Output, StateBytes: t.StateBytes, TimeoutS: t.Timeout.Seconds(),
		InputSchema: t.InputSchema, OutputSchema: t.OutputSchema,
	}
}

func (s *Server) listPlugins(w http.ResponseWriter, _ *http.Request) {
	writeList(w, api.Plugins{Plugins: s.plugins()})
}

func writeJSON(w http.ResponseWriter, v any) { writeStatus(w, http.StatusOK, v) }

// writeStatus answers with JSON. It counts until the client has taken it, and is not refused: what a
// request has changed must be told.
func writeStatus(w http.ResponseWriter, status int, v any) { respond(w, status, v, false) }

// writeList answers with JSON that grows with what there is. Where there is no room for it, the request
// is refused: clients who do not take their answers would else have many copies held.
func writeList(w http.ResponseWriter, v any) { respond(w, http.StatusOK, v, true) }

func respond(w http.ResponseWriter, status int, v any, refusable bool) {
	doc, err := json.Marshal(v)
	if err != nil {
		writeProblem(w, problem(host.KindHost, "", "the answer cannot be written: "+err.Error()))
		return
	}
	if out := responseOf(w); out != nil {
		a := &account{of: out.held}
		defer a.close()
		switch {
		case !refusable || len(doc) <= piece: // the small ones are those by which operators see why
			a.Add(len(doc))
		case !a.Take(len(doc), true):
			noRoom(w, "")
			return
		}
	}
	answer(w, status, manifest.MediaTypeJSON, append(doc, '\n'))
}

// changePlugin is POST /v1/plugins/{name}/{action}.
func (s *Server) changePlugin(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	rule, err := stateRule(r, r.PathValue("action"))
	if err != nil {
		writeProblem(w, api.Of("", err))
		return
	}
	if !s.once(w, r, nil) {
		return
	}
	if !slices.Contains(actions(), r.PathValue("action")) {
		notFound(w, r)
		return
	}
	if !s.audited(w, r, r.PathValue("action"), foreign.Cut(name)) {
		return
	}
	var changed api.Changed
	switch r.PathValue("action") {
	case "reload":
		changed.Result, err = s.host.Reload(r.Context(), name)
	case "rollback":
		err = s.host.Rollback(r.Context(), name, rule)
	case "promote":
		err = s.host.Promote(r.Context(), name)
	case "pause":
		err = s.host.Pause(r.Context(), name)
	case "resume":
		err = s.host.Resume(r.Context(), name)
	}
	s.opts.Audit.Request(r, r.PathValue("action"), foreign.Cut(name), string(changed.Result), err)
	s.boundBody(w, r) // anew, as the change may have taken longer
	if load := (*host.LoadError)(nil); r.PathValue("action") == "rollback" && errors.As(err, &load) && load.Step == host.StepState {
		err = fmt.Errorf("%w; "+resetStates+" has such streams begin anew", err)
	}
	if err != nil {
		s.failChange(w, err)
		return
	}
	for _, p := range s.plugins() {
		// As the host takes it: a source's name goes before a manifest's.
		if p.Source == name || p.Name == name && changed.Plugin == nil {
			changed.Plugin = &p
		}
	}
	writeJSON(w, changed)
}

// audited reports whether an action may be done, since the audit trail has that it begins. Else it has
// answered.
func (s *Server) audited(w http.ResponseWriter, r *http.Request, action, target string) bool {
	if s.opts.Audit.Begin(r, action, target) == nil {
		return true
	}
	writeProblem(w, problem(host.KindHost, "", "the audit file takes no record, so nothing was done; the server has logged why"))
	return false
}

// stateRuleField is the query parameter of a rollback that is a [host.StateRule].
const stateRuleField = "state_rule"

// actions are what [Server.changePlugin] does.
func actions() []string { return []string{"reload", "rollback", "promote", "pause", "resume"} }

// resetStates is the parameter by which a rollback goes past a format of state.
const resetStates = "?" + stateRuleField + "=reset"

// stateRule is the rule that a request for a rollback has, 0 without. Other changes have none.
func stateRule(r *http.Request, action string) (host.StateRule, error) {
	values := r.URL.Query()
	if !values.Has(stateRuleField) {
		return 0, nil
	}
	rule := map[string]host.StateRule{"refuse": host.StateRefuse, "reset": host.StateReset}[values.Get(stateRuleField)]
	switch {
	case action != "rollback":
		return 0, &abi.FieldError{Field: stateRuleField, Rule: "is for a rollback"}
	case rule == 0:
		return 0, &abi.FieldError{Field: stateRuleField, Rule: "must be refuse or reset"}
	}
	return rule, nil
}

// failChange answers that a plugin was not changed.
func (s *Server) failChange(w http.ResponseWriter, err error) {
	kind, load := host.KindHost, (*host.LoadError)(nil)
	switch {
	case errors.Is(err, host.ErrUnknownPlugin):
		kind = api.KindUnknownPlugin
	case errors.As(err, &load):
		kind = api.KindRefused
	case errors.Is(err, host.ErrNoPrevious), errors.Is(err, host.ErrNoCanary), errors.Is(err, host.ErrFixed):
		kind = api.KindConflict
	case errors.Is(err, host.ErrClosed), errors.Is(err, host.ErrNotStarted):
		kind = host.KindUnavailable
	}
	if kind == api.KindRefused {
		writeProblem(w, api.Refused(err))
		return
	}
	writeProblem(w, problem(kind, "", err.Error()))
}
