package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// Plugin is a plugin in answers of /v1/plugins.
type Plugin struct {
	// Name, Version and Hash are empty while nothing serves under the source's name.
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	Hash       string      `json:"hash"`
	Source     string      `json:"source"`
	Transforms []Transform `json:"transforms"`
	Paused     bool        `json:"paused"`
	// Suspended is whether it is given a rest, for failing in a row.
	Suspended bool `json:"suspended"`
	// Mismatch is of the last task that the interpreter answered differently.
	Mismatch string `json:"mismatch,omitempty"`
	// Since is when that version began to serve, and By what had it do so: loaded, swapped,
	// promoted or rolled_back.
	Since time.Time         `json:"since,omitzero"`
	By    host.ReloadResult `json:"by,omitempty"`
	// Previous is the hash of the version that a rollback goes back to.
	Previous string   `json:"previous,omitempty"`
	Canary   *Canary  `json:"canary,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
}

// Transform is a transform of a [Plugin].
type Transform struct {
	Name       string  `json:"name"`
	Input      string  `json:"input"`
	Output     string  `json:"output"`
	StateBytes int     `json:"state_bytes"`
	TimeoutS   float64 `json:"timeout_seconds"`
}

// Canary is a version on trial.
type Canary struct {
	Version string    `json:"version"`
	Hash    string    `json:"hash"`
	Share   float64   `json:"share"`
	Since   time.Time `json:"since"`
	Tasks   uint64    `json:"tasks"`
	Failed  uint64    `json:"failed"`
}

// Failure is why the newest version does not serve.
type Failure struct {
	Hash  string    `json:"hash,omitempty"`
	Step  host.Step `json:"step"`
	Error string    `json:"error"`
	Time  time.Time `json:"time"`
}

// Plugins is the answer of GET /v1/plugins.
type Plugins struct {
	Plugins []Plugin `json:"plugins"`
}

// Changed is the answer of POST /v1/plugins/{name}/{action}.
type Changed struct {
	Result host.ReloadResult `json:"result,omitempty"` // of reload
	Plugin *Plugin           `json:"plugin,omitempty"`
}

func (s *Server) plugins() []Plugin {
	suspended := make(map[string]bool)
	stats := s.host.Stats().Plugins
	for i := range stats {
		suspended[stats[i].Source] = stats[i].Suspended
	}
	list := []Plugin{}
	for _, p := range s.host.Plugins() {
		out := Plugin{
			Name: p.Name, Version: p.Version, Hash: p.Hash, Source: p.Source, Transforms: []Transform{},
			Paused: p.Paused, Suspended: suspended[p.Source], Previous: p.Previous, Mismatch: p.Mismatch,
			Since: p.Since, By: p.By,
		}
		for _, t := range p.Transforms {
			out.Transforms = append(out.Transforms, Transform{
				Name: t.Name, Input: t.Input, Output: t.Output, StateBytes: t.StateBytes, TimeoutS: t.Timeout.Seconds(),
			})
		}
		if c := p.Canary; c != nil {
			out.Canary = &Canary{Version: c.Version, Hash: c.Hash, Share: c.Share, Since: c.Since, Tasks: c.Tasks, Failed: c.Failed}
		}
		if f := p.Failure; f != nil {
			out.Failure = &Failure{Hash: f.Hash, Step: f.Step, Error: f.Err.Error(), Time: f.Time}
		}
		list = append(list, out)
	}
	return list
}

func (s *Server) listPlugins(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, Plugins{s.plugins()})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone, or it arrives
}

// changePlugin is POST /v1/plugins/{name}/{action}.
func (s *Server) changePlugin(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	rule, err := stateRule(r, r.PathValue("action"))
	if err != nil {
		writeProblem(w, problemOf("", err))
		return
	}
	var changed Changed
	switch r.PathValue("action") {
	case "reload":
		changed.Result, err = s.host.Reload(r.Context(), name)
	case "rollback":
		err = s.host.Rollback(r.Context(), name, rule)
	case "promote":
		err = s.host.Promote(name)
	case "pause":
		err = s.host.Pause(name)
	case "resume":
		err = s.host.Resume(name)
	default:
		notFound(w, r)
		return
	}
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

// resetStates is the parameter by which a rollback goes past a format of state.
const resetStates = "?state_rule=reset"

// stateRule is the rule that a request for a rollback has, 0 without. Other changes have none.
func stateRule(r *http.Request, action string) (host.StateRule, error) {
	values := r.URL.Query()
	if !values.Has("state_rule") {
		return 0, nil
	}
	rule := map[string]host.StateRule{"refuse": host.StateRefuse, "reset": host.StateReset}[values.Get("state_rule")]
	switch {
	case action != "rollback":
		return 0, &abi.FieldError{Field: "state_rule", Rule: "is for a rollback"}
	case rule == 0:
		return 0, &abi.FieldError{Field: "state_rule", Rule: "must be refuse or reset"}
	}
	return rule, nil
}

// failChange answers that a plugin was not changed.
func (s *Server) failChange(w http.ResponseWriter, err error) {
	p := problem{Status: http.StatusInternalServerError, Kind: host.KindHost, Detail: err.Error()}
	load := (*host.LoadError)(nil)
	switch {
	case errors.Is(err, host.ErrUnknownPlugin):
		p.Status, p.Kind = http.StatusNotFound, "unknown_plugin"
	case errors.As(err, &load):
		p.Status, p.Kind, p.Plugin = http.StatusUnprocessableEntity, "refused", load.Source
	case errors.Is(err, host.ErrNoPrevious), errors.Is(err, host.ErrNoCanary), errors.Is(err, host.ErrFixed):
		p.Status, p.Kind = http.StatusConflict, "conflict"
	case errors.Is(err, host.ErrClosed), errors.Is(err, host.ErrNotStarted):
		p.Status, p.Kind = http.StatusServiceUnavailable, host.KindUnavailable
	}
	writeProblem(w, p)
}
