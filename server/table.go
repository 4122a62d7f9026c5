package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/openapi"
)

// table returns all routes: the server's own, and those of Options.
func (s *Server) table() []Route {
	return slices.Concat(s.taskRoutes(), s.jobRoutes(), s.pluginRoutes(), s.stateRoutes(), s.fleetRoutes(), s.logRoutes(), s.eventRoutes(), s.operatorRoutes(), s.extended())
}

// text is the body of answers for people and probes.
var text = []Body{{MediaType: "text/plain", Description: "Text in lines."}}

// runTransformID is of the route that the transforms' own paths are.
const runTransformID = "runTransform"

// taskRoutes run tasks.
func (s *Server) taskRoutes() []Route {
	return []Route{{
		Method: http.MethodPost, Path: "/v1/transforms/{name}", Scope: auth.ScopeCall, Handler: s.runTransform,
		Query: []Parameter{{Name: streamField, Description: "The member of a JSON line that is the key of its task's stream.", Example: "session"}},
		Doc: Operation{
			ID: runTransformID, Summary: "runs one task, or many as JSON lines",
			Path: []Parameter{{Name: "name", Description: "The transform's name."}},
			Headers: []Parameter{
				{Name: HeaderStream, Description: "The key of a single task's stream.", Example: "session-1"},
				{Name: HeaderTenant, Description: "Whose task it is, where the server believes it.", Example: "acme"},
				keyParameter,
			},
			Request: []Body{
				{MediaType: manifest.MediaTypeJSON, Description: "One task."},
				{MediaType: MediaTypeLines, Description: "A task in each line.", Item: openapi.Schema{}},
				{MediaType: "*/*", Description: "A payload of the transform's own media type."},
			},
			NoBody: true, // which is no line, or an empty payload
			Response: []Body{
				{MediaType: manifest.MediaTypeJSON, Description: "The task's result."},
				{MediaType: MediaTypeLines, Description: "For each line its task's result or a Failure, in the lines' order.", Item: orFailure(nil)},
				{MediaType: "*/*", Description: "An output of the transform's own media type."},
			},
			Errors: append(host.Kinds(), api.KindUnsupportedMediaType),
		},
	}, {
		Method: http.MethodGet, Path: "/v1/transforms", Scope: auth.ScopeRead, Handler: s.listTransforms,
		Doc: Operation{
			ID: "listTransforms", Summary: "lists the transforms that serve and that the caller may call, with their schemas",
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Transforms{}}}, Errors: []host.Kind{host.KindQueueFull},
		},
	}, {
		Method: http.MethodGet, Path: "/v1/openapi.json", Scope: auth.ScopeRead, Handler: s.openAPI,
		Doc: Operation{
			ID: "openAPI", Summary: "describes all this, as OpenAPI 3.1",
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Description: "A document of OpenAPI 3.1."}}, Errors: []host.Kind{host.KindQueueFull},
		},
	}}
}

// pluginRoutes show plugins, and change them.
func (s *Server) pluginRoutes() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/v1/plugins", Scope: auth.ScopeRead, Handler: s.listPlugins,
			Doc: Operation{
				ID: "listPlugins", Summary: "lists the plugins and what serves",
				Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Plugins{}}}, Errors: []host.Kind{host.KindQueueFull},
			},
		},
		{
			Method: http.MethodPost, Path: "/v1/plugins/{name}/{action}", Scope: auth.ScopeAdmin, Handler: s.changePlugin,
			Query: []Parameter{{Name: stateRuleField, Description: "Of a rollback: what becomes of streams whose state the version before cannot read.", Values: []string{"refuse", "reset"}}},
			Doc: Operation{
				ID: "changePlugin", Summary: "changes a plugin: " + strings.Join(actions(), ", "),
				Path: []Parameter{
					{Name: "name", Description: "The plugin's name, or that of its file without .wasm."},
					{Name: "action", Description: "What is done.", Values: actions()},
				},
				Headers:  []Parameter{keyParameter},
				Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Changed{}}},
				Errors: []host.Kind{
					host.KindInvalidArgument, api.KindNotFound, api.KindUnknownPlugin, api.KindRefused, api.KindConflict,
					host.KindUnavailable, host.KindHost,
				},
			},
		},
	}
}

// operatorRoutes are for probes, for Prometheus and for who looks around.
func (s *Server) operatorRoutes() []Route {
	index := Operation{ID: "index", Summary: "lists these paths as text", Response: text}
	if s.opts.Home != "" {
		index.Others = []Answer{{
			Status: http.StatusSeeOther, Description: "Leads those to " + s.opts.Home + " who ask for HTML.",
			Sends: []Header{{Name: "Location", Description: "The path of what browsers show.", Always: true}},
		}}
	}
	return []Route{
		{
			Method: http.MethodGet, Path: "/healthz", Handler: s.health, Query: []Parameter{{Name: AnyParameter}},
			Doc: Operation{ID: "health", Summary: "answers 200 while the process lives", Response: text},
		},
		{
			Method: http.MethodGet, Path: "/readyz", Handler: s.ready, Query: []Parameter{{Name: AnyParameter}},
			Doc: Operation{
				ID: "ready", Summary: "answers 200 when at least one plugin takes tasks, else 503",
				Response: text, Errors: []host.Kind{host.KindUnavailable},
			},
		},
		{
			Method: http.MethodGet, Path: "/metrics", Scope: auth.ScopeRead,
			Query:   []Parameter{{Name: "name[]", Description: "A metric that is wanted, instead of all.", Example: "resonhost_http_requests_total"}},
			Handler: s.metrics,
			Doc:     Operation{ID: "metrics", Summary: "answers metrics in Prometheus's format, or in OpenMetrics", Response: text},
		},
		{
			Method: http.MethodGet, Path: "/v1/stats", Scope: auth.ScopeRead, Handler: s.stats,
			Doc: Operation{
				ID: "stats", Summary: "answers what the host does now: workers, queues, tasks and latencies",
				Headers:  []Parameter{{Name: HeaderTenant, Description: "Whose queues are shown, where the server believes it; else those of all to who has the scope admin."}},
				Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Stats{}}}, Errors: []host.Kind{host.KindQueueFull},
			},
		},
		s.selfRoute(),
		{
			Method: http.MethodGet, Path: "/{$}", Handler: s.index,
			Doc: index,
		},
	}
}
