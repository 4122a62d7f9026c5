package server

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/events"
)

// eventRoutes stream what happens, if somebody publishes it.
func (s *Server) eventRoutes() []Route {
	if s.opts.Events == nil {
		return nil
	}
	return []Route{{
		Method: http.MethodGet, Path: "/v1/events", Scope: auth.ScopeRead, Handler: s.streamEvents, Query: EventParameters(),
		Doc: Operation{
			ID: "streamEvents", Summary: "streams what happens as server-sent events",
			Headers: []Parameter{
				{Name: events.HeaderLast, Description: "The ID of the event after which the stream goes on."},
				{Name: HeaderTenant, Description: "Whose tasks are told of, where the server believes it; else those of all to who has the scope admin."},
			},
			Response: []Body{{MediaType: events.MediaType, Description: "Server-sent events, of which each has an Event as its data.", Item: api.Event{}}},
			Errors:   []host.Kind{host.KindInvalidArgument, api.KindForbidden, host.KindQueueFull},
		},
	}}
}

// EventParameters are the query parameters of a route that streams events, see [events.Parse].
func EventParameters() []Parameter {
	return []Parameter{
		{Name: events.ParameterKinds, Description: "The kinds of events to send, with commas; all without it.", Example: "plugin.changed,task.completed"},
		{Name: events.ParameterPlugin, Description: "Send events of this plugin and of its tasks alone."},
		{Name: events.ParameterTransform, Description: "Send events of tasks of this transform alone."},
		{Name: events.ParameterOutputs, Description: "Whether task.completed has the outputs of tasks.", Values: []string{"true", "false"}},
		{Name: events.ParameterRate, Description: "How many events a second to send of the kinds that come with every task, tick or save, from 1 to 1000000; the others are left out and counted.", Example: "20"},
		{Name: events.ParameterLast, Description: "As the header Last-Event-ID, for clients that cannot send one; 0 for all that is kept.", Example: "0"},
	}
}

func (s *Server) eventCollectors() []prometheus.Collector {
	if s.opts.Events == nil {
		return nil
	}
	return s.opts.EventHub.Collectors()
}

// streamEvents is GET /v1/events.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	q, err := s.eventQuery(r)
	if err == nil {
		err = s.feed.Serve(w, r, q)
	}
	if err != nil {
		s.fail(w, r, "", err)
	}
}

// eventQuery is what the sender of a request asks for and may have. Who does not see all tenants' tasks
// sees none of the kinds that may tell of all.
func (s *Server) eventQuery(r *http.Request) (q events.Query, err error) {
	if q, err = events.Parse(r, s.opts.EventKinds...); err != nil {
		return q, err
	}
	if q.Owner, err = s.tenantOf(r); err != nil {
		return q, err
	}
	if q.Tenant, err = s.sees(r); err != nil {
		return q, err
	}
	if q.Tenant != nil {
		mine := slices.DeleteFunc(slices.Clone(q.Kinds), func(k event.Kind) bool { return !k.ForTenants() })
		switch {
		case len(mine) < len(q.Kinds) && r.URL.Query().Has(events.ParameterKinds):
			return q, refuseLogs(r)
		case len(mine) == 0: // which would stand for all kinds
			return q, &abi.FieldError{Field: events.ParameterKinds, Rule: "has none to send: all kinds of these events may tell of all tenants"}
		}
		q.Kinds = mine
	}
	q.Notes = s.unknownNames(auth.Of(r.Context()), &q)
	q.Withdrawn = auth.Of(r.Context()).Done()
	return q, nil
}

// unknownNames says which names of a query nothing has. That is no error: a plugin may come later.
func (s *Server) unknownNames(who *auth.Principal, q *events.Query) (notes []string) {
	note := func(what, name string, known []string) {
		if name != "" && !slices.Contains(known, name) {
			notes = append(notes, fmt.Sprintf("no %s has the name %q by now%s", what, foreign.Cut(name), spell.DidYouMean(name, known)))
		}
	}
	var plugins, transforms []string
	for _, p := range s.host.Plugins() {
		plugins = append(plugins, p.Name, p.Source)
	}
	for _, t := range s.transforms(who) {
		transforms = append(transforms, t.Name)
	}
	note("plugin", q.Plugin, plugins)
	note("transform", q.Transform, transforms)
	return notes
}
