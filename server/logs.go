package server

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/server/auth"
)

// tailField is the query parameter that says how many lines of a log are wanted.
const tailField = "tail"

// errLogs refuses the log of a plugin to who acts for a tenant.
var errLogs = &auth.Error{
	Kind:   api.KindForbidden,
	Detail: "what plugins log, and what happens to the store of states, may tell of all tenants: it takes the scope admin, and a request that names no tenant",
}

// refuseLogs says why a request sees no logs.
func refuseLogs(r *http.Request) error {
	if err := auth.Of(r.Context()).Require(auth.ScopeAdmin); err != nil {
		return err
	}
	return errLogs
}

// logRoutes show what plugins log, if it is told.
func (s *Server) logRoutes() []Route {
	if s.opts.Events == nil {
		return nil
	}
	return []Route{{
		Method: http.MethodGet, Path: "/v1/logs/{name}", Scope: auth.ScopeRead, Handler: s.logs,
		Query: []Parameter{{Name: tailField, Description: fmt.Sprintf("How many of the last lines to answer with, 0 to %d; all that are kept without it.", event.LogLines)}},
		Doc: Operation{
			ID: "pluginLogs", Summary: "answers the last lines that a plugin has logged, to who has the scope admin too and acts for no tenant",
			Path:     []Parameter{{Name: "name", Description: "The plugin's name, or that of its file without .wasm."}},
			Headers:  []Parameter{{Name: HeaderTenant, Description: "For whom the request is, where the server believes it: such requests are refused."}},
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Logs{}}},
			Errors:   []host.Kind{host.KindInvalidArgument, api.KindForbidden, api.KindUnknownPlugin, host.KindQueueFull},
		},
	}}
}

// logs is GET /v1/logs/{name}.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	tenant, err := s.sees(r)
	if err == nil && tenant != nil {
		err = refuseLogs(r)
	}
	tail := event.LogLines
	if query := r.URL.Query(); err == nil && query.Has(tailField) {
		if tail, err = strconv.Atoi(query.Get(tailField)); err != nil || tail < 0 || tail > event.LogLines {
			err = &abi.FieldError{Field: tailField, Rule: fmt.Sprintf("must be a number from 0 to %d", event.LogLines)}
		}
	}
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	// Lines that come in between are left to the stream of events that goes on from here.
	until := s.opts.Events.Last()
	out, known := s.logOf(r.PathValue("name"))
	if !known {
		name, names := r.PathValue("name"), []string{}
		for _, p := range s.host.Plugins() {
			names = append(names, p.Source, p.Name)
		}
		s.failChange(w, fmt.Errorf("%w %q%s", host.ErrUnknownPlugin, foreign.Cut(name), spell.DidYouMean(name, names)))
		return
	}
	out.LastEventID = s.feed.ID(until)
	for _, e := range s.opts.Events.Logged(out.Source) {
		if b, ok := e.Body.(event.PluginLogged); ok && e.Seq <= until {
			out.Lines = append(out.Lines, api.LogLine{
				ID: s.feed.ID(e.Seq), Time: e.Time.UTC(), Hash: b.Hash, Level: b.Level, Stream: b.Stream, Text: b.Text, Dropped: b.Dropped,
			})
		}
	}
	out.Lines = out.Lines[max(0, len(out.Lines)-tail):]
	w.Header().Set("Cache-Control", "no-store")
	writeList(w, out)
}

// logOf finds a plugin as the host does: a source's name goes before a manifest's. One that is unloaded
// is known for as long as lines of it are kept.
func (s *Server) logOf(name string) (out api.Logs, known bool) {
	out = api.Logs{Plugin: name, Source: name, Lines: []api.LogLine{}}
	for _, p := range s.host.Plugins() {
		switch {
		case p.Source == name:
			return api.Logs{Plugin: cmp.Or(p.Name, name), Source: name, Lines: out.Lines}, true
		case p.Name == name && !known:
			out.Source, known = p.Source, true
		}
	}
	return out, known || len(s.opts.Events.Logged(name)) > 0
}
