package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/openapi"
)

// openAPI is GET /v1/openapi.json. What it describes is what serves now, of transforms those that the
// caller may call.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	writeList(w, s.document(auth.Of(r.Context())))
}

// listTransforms is GET /v1/transforms.
func (s *Server) listTransforms(w http.ResponseWriter, r *http.Request) {
	list := api.Transforms{Transforms: []api.ServedTransform{}}
	for _, t := range s.transforms(auth.Of(r.Context())) {
		out := api.ServedTransform{Transform: transformOf(t), Plugin: t.Plugin, Version: t.Version, Hash: t.Hash, Takes: s.accepted(t)}
		out.InputSchema, out.OutputSchema = s.codecs.Schemas(t)
		list.Transforms = append(list.Transforms, out)
	}
	writeList(w, list)
}

// transforms are all that serve and that somebody may call, by name.
func (s *Server) transforms(who *auth.Principal) (all []host.Transform) {
	for _, p := range s.host.Plugins() {
		for _, t := range p.Transforms {
			if who.MayCall(t.Name) != nil {
				continue
			}
			// By name as a task finds it, with all that belongs to it; it may be gone by now.
			if served, err := s.host.Lookup(t.Name); err == nil {
				all = append(all, served)
			}
		}
	}
	slices.SortFunc(all, func(a, b host.Transform) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b host.Transform) bool { return a.Name == b.Name })
}

// document is a document of OpenAPI 3.1 that is being made.
type document struct {
	types *openapi.Types
	paths map[string]openapi.Schema
	// examples are of errors, by kind.
	examples openapi.Schema
	asks     bool     // who clients are
	all      []Header // of each answer
}

// document returns the document of all routes, and of the path of each transform that somebody may call.
func (s *Server) document(who *auth.Principal) openapi.Schema {
	d := &document{types: openapi.NewTypes(), paths: make(map[string]openapi.Schema), examples: openapi.Schema{}, asks: s.opts.Identity != nil, all: s.opts.Sends}
	openapi.Enum(d.types, kinds()...)
	openapi.Enum(d.types, api.JobStates()...)
	openapi.Enum(d.types, auth.Scopes()...)
	openapi.Enum(d.types, api.FleetHostStates()...)
	openapi.Enum(d.types, api.FleetRolloutStates()...)
	openapi.Enum(d.types, api.FleetSteps()...)
	openapi.Enum(d.types, api.GapSlow, api.GapRate, api.GapForgotten, api.GapUnknownID)
	openapi.Enum(d.types, api.EndDraining, api.EndClosed, api.EndWithdrawn)
	d.types.Of(api.Error{})
	d.types.Of(api.Failure{})
	d.addEvent()
	var run *Route
	for i := range s.routes {
		r := &s.routes[i]
		d.add(r)
		if r.Doc.ID == runTransformID {
			run = r
		}
	}
	for _, t := range s.transforms(who) {
		d.add(s.transformRoute(run, t, d.types))
	}
	components := openapi.Schema{"schemas": d.types.Schemas, "examples": d.examples}
	if d.asks {
		components["securitySchemes"] = schemes
	}
	return openapi.Schema{
		"openapi": "3.1.0",
		"info": openapi.Schema{
			"title": "resonhost", "version": "1", "license": openapi.Schema{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Transforms that run as sandboxed WebAssembly plugins. The paths of single transforms are those that serve at the moment.",
		},
		"servers":    []openapi.Schema{{"url": "/"}},
		"security":   []openapi.Schema{}, // of paths that say nothing else
		"paths":      d.paths,
		"components": components,
	}
}

// kinds are those of all errors.
func kinds() (all []host.Kind) {
	for _, r := range api.Rules() {
		all = append(all, r.Kind)
	}
	return all
}

// schemaOf is a JSON Schema of a transform's as a [Body] has it.
type schemaOf struct{ name string }

// transformRoute is the route of one transform's path, which [Server.runTransform] answers. It adds
// the transform's schemas.
func (s *Server) transformRoute(run *Route, t host.Transform, types *openapi.Types) *Route {
	r := *run
	r.Path = "/v1/transforms/" + t.Name
	r.Doc.ID, r.Doc.Path = r.Doc.ID+"."+t.Name, nil
	r.Doc.Summary = fmt.Sprintf("runs a task of %s, or many as JSON lines", t.Name)
	r.Doc.Request, r.Doc.Response = nil, nil
	if _, err := s.codecs.For(t); err == nil {
		takes, gives := s.codecs.Schemas(t)
		in, out := embed(types, t.Name+".input", takes), embed(types, t.Name+".output", gives)
		r.Doc.Request = []Body{
			{MediaType: manifest.MediaTypeJSON, Of: in},
			{MediaType: MediaTypeLines, Description: "Each line is as the application/json is.", Item: item(in)},
		}
		r.Doc.Response = []Body{
			{MediaType: manifest.MediaTypeJSON, Of: out},
			{MediaType: MediaTypeLines, Description: "Each line is as the application/json is, or a Failure.", Item: orFailure(out)},
		}
	}
	if t.Input != manifest.MediaTypeJSON {
		r.Doc.Request = append(r.Doc.Request, Body{MediaType: t.Input, Description: "A payload as it is."})
		if t.Output != manifest.MediaTypeJSON {
			r.Doc.Response = append(r.Doc.Response, Body{MediaType: t.Output, Description: "An output as it is."})
		}
	}
	return &r
}

// item is a schema of a transform's JSON, of which a body has many.
func item(of any) any {
	if of == nil {
		return openapi.Schema{}
	}
	return of
}

// orFailure is the schema of lines that answer tasks.
func orFailure(of any) openapi.Schema {
	if of, ok := of.(schemaOf); ok {
		return openapi.Schema{"anyOf": []any{
			openapi.Schema{"$ref": openapi.Prefix + of.name}, openapi.Schema{"$ref": openapi.Prefix + "Failure"},
		}}
	}
	return openapi.Schema{"description": "A result, or a Failure."}
}

// addEvent adds the schema of events, whose data is by their type.
func (d *document) addEvent() {
	d.types.Of(api.Event{})
	var forms []any
	for _, f := range api.EventForms() {
		forms = append(forms, openapi.Schema{"title": f.Kind, "properties": openapi.Schema{
			"type": openapi.Schema{"const": f.Kind + api.EventVersion}, "data": d.types.Of(f.Data),
		}, "required": []string{"type", "data"}})
	}
	d.types.Schemas["Event"].(openapi.Schema)["oneOf"] = forms
}

// exampleOf returns an example of an error of a kind, which it adds to the document.
func (d *document) exampleOf(kind host.Kind) openapi.Schema {
	if name := string(kind); d.examples[name] == nil {
		e := api.New(kind, "What happened, in words for people.")
		e.Title = titleOf(e.Status)
		d.examples[name] = openapi.Schema{"summary": api.RuleOf(kind).Do, "value": e}
	}
	return openapi.Schema{"$ref": "#/components/examples/" + string(kind)}
}

// embed adds a transform's schema under the name. Nil is of what is any JSON.
func embed(types *openapi.Types, name string, schema json.RawMessage) any {
	if schema == nil {
		return nil
	}
	if !openapi.Embed(types.Schemas, name, schema) {
		types.Schemas[name] = openapi.Schema{"description": "Its schema has names of its own, so that it is in the answer of /v1/transforms alone."}
	}
	return schemaOf{name}
}

// common are the kinds of errors that routes of a scope may have, whatever they do.
func (d *document) common(scope auth.Scope) []host.Kind {
	all := []host.Kind{host.KindInvalidArgument, host.KindHost, api.KindCrossOrigin, api.KindForeignHost}
	if scope != auth.ScopeNone {
		all = append(all, host.KindUnavailable) // of connections that are too many
	}
	if d.asks && scope != auth.ScopeNone {
		all = append(all, api.KindUnauthorized, api.KindForbidden, api.KindRateLimited)
	}
	return all
}

// schemes are the ways in which a client shows who it is.
var schemes = openapi.Schema{
	"token":       openapi.Schema{"type": "http", "scheme": "bearer"},
	"certificate": openapi.Schema{"type": "mutualTLS"},
}

// add adds a route.
func (d *document) add(r *Route) {
	path := templateOf(r.Path)
	maps.Copy(d.types.Members, r.Doc.Members)
	op := openapi.Schema{"operationId": r.Doc.ID, "summary": r.Doc.Summary, "responses": d.responses(r)}
	if r.Doc.ID == "" {
		op["operationId"] = strings.ToLower(r.Method) + " " + path
	}
	scopes := []auth.Scope{}
	switch r.Scope {
	case auth.ScopeNone:
		op["description"] = "Is open to everybody."
	case auth.ScopeAny:
		op["description"] = "Is open to all who show who they are, where callers are asked."
	default:
		op["description"] = "Takes the scope " + string(r.Scope) + ", where callers are asked who they are."
		scopes = append(scopes, r.Scope)
	}
	if d.asks && r.Scope != auth.ScopeNone {
		op["security"] = []openapi.Schema{{"token": scopes}, {"certificate": scopes}}
	}
	var parameters []openapi.Schema
	for _, in := range []struct {
		where string
		of    []Parameter
	}{{"path", r.Doc.Path}, {"query", r.Query}, {"header", r.Doc.Headers}} {
		for _, p := range in.of {
			if p.Name != AnyParameter {
				parameters = append(parameters, parameter(in.where, p))
			}
		}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if r.Doc.Request != nil {
		op["requestBody"] = openapi.Schema{"required": !r.Doc.NoBody, "content": d.content(r.Doc.Request)}
	}
	if d.paths[path] == nil {
		d.paths[path] = openapi.Schema{}
	}
	d.paths[path][strings.ToLower(r.Method)] = op
}

// templateOf is a path of [http.ServeMux] as OpenAPI has it, which knows neither {$} nor a parameter
// with slashes.
func templateOf(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path, "{$}"), "...}", "}")
}

func parameter(where string, p Parameter) openapi.Schema {
	schema := openapi.Schema{"type": "string"}
	if p.Values != nil {
		schema["enum"] = p.Values
	}
	if strings.HasSuffix(p.Name, "[]") {
		schema = openapi.Schema{"type": "array", "items": schema}
	}
	out := openapi.Schema{"name": p.Name, "in": where, "schema": schema, "description": p.Description}
	switch {
	case p.Example == "":
	case strings.HasSuffix(p.Name, "[]"):
		out["example"] = []string{p.Example}
	default:
		out["example"] = p.Example
	}
	if where == "path" {
		out["required"] = true
	}
	return out
}

func (d *document) content(bodies []Body) openapi.Schema {
	content := openapi.Schema{}
	for _, b := range bodies {
		form := openapi.Schema{}
		switch of := b.Of.(type) {
		case nil:
			if manifest.IsJSON(b.MediaType) {
				form["schema"] = openapi.Schema{"description": b.Description}
			} else {
				form["schema"] = openapi.Schema{"type": "string", "description": b.Description}
			}
		case schemaOf:
			form["schema"] = openapi.Schema{"$ref": openapi.Prefix + of.name}
		default:
			form["schema"] = d.types.Of(of)
		}
		if b.Item != nil { // which validators do not look at, and people do
			form["schema"].(openapi.Schema)["contentMediaType"] = b.MediaType
			form["schema"].(openapi.Schema)["contentSchema"] = openapi.Schema{"type": "array", "items": d.itemOf(b.Item)}
		}
		content[b.MediaType] = form
	}
	return content
}

// itemOf is the schema of a [Body].Item.
func (d *document) itemOf(v any) openapi.Schema {
	switch of := v.(type) {
	case openapi.Schema:
		return of
	case schemaOf:
		return openapi.Schema{"$ref": openapi.Prefix + of.name}
	}
	return d.types.Of(v)
}
