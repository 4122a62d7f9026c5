package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/events"
)

// eventRoutes stream what happens, if somebody publishes it.
func (s *Server) eventRoutes() []Route {
	if s.opts.Events == nil {
		return nil
	}
	s.feed = s.opts.EventHub.Feed(s.opts.Events)
	return []Route{{
		Method: http.MethodGet, Path: "/v1/events", Scope: auth.ScopeRead, Handler: s.streamEvents, Query: EventParameters(),
		Doc: Operation{
			ID: "streamEvents", Summary: "streams what happens as server-sent events",
			Headers: []Parameter{
				{Name: events.HeaderLast, Description: "The ID of the event after which the stream goes on."},
				{Name: HeaderTenant, Description: "Whose tasks are told of, where the server believes it."},
			},
			Response: []Body{{MediaType: events.MediaType, Description: "Events, of which each has an api.Event as its data."}},
			Errors:   []host.Kind{host.KindInvalidArgument, host.KindQueueFull},
		},
	}}
}

// EventParameters are the query parameters of a route that streams events, see [events.Parse].
func EventParameters() []Parameter {
	return []Parameter{
		{Name: events.ParameterKinds, Description: "The kinds of events to send, with commas; all without it."},
		{Name: events.ParameterPlugin, Description: "Send events of this plugin and of its tasks alone."},
		{Name: events.ParameterTransform, Description: "Send events of tasks of this transform alone."},
		{Name: events.ParameterOutputs, Description: "Whether task.completed has the outputs of tasks.", Values: []string{"true", "false"}},
		{Name: events.ParameterLast, Description: "As the header Last-Event-ID, for clients that cannot send one; 0 for all that is kept."},
	}
}

func (s *Server) eventCollectors() []prometheus.Collector {
	if s.opts.Events == nil {
		return nil
	}
	return s.opts.EventHub.Collectors()
}

// streamEvents is GET /v1/events. Who has no scope admin sees the tasks of its own tenant alone, and so
// does who acts for one.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	who := auth.Of(r.Context())
	q, err := events.Parse(r)
	if err == nil {
		var tenant string
		if tenant, err = s.tenantOf(r); tenant != "" || !who.Has(auth.ScopeAdmin) {
			q.Tenant = &tenant
		}
		q.Owner = tenant
	}
	if err == nil {
		q.Withdrawn = who.Withdrawn
		err = s.feed.Serve(w, r, q)
	}
	if err != nil {
		s.fail(w, r, "", err)
	}
}
