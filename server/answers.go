package server

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/openapi"
)

// Headers of answers that several routes have.
var (
	replayedHeader = Header{Name: HeaderReplayed, Description: "true, if this was answered before."}
	appliedHeader  = Header{Name: "Preference-Applied", Description: "How long the answer waited at most, as in wait=30, if the request preferred it to."}
)

// responses are a route's answers and its errors, by their status.
func (d *document) responses(r *Route) openapi.Schema {
	status, sends := r.Doc.Status, slices.Clone(r.Doc.Sends)
	if status == 0 {
		status = http.StatusOK
	}
	if r.heedsKey() {
		sends = append(sends, replayedHeader)
	}
	done := d.withHeaders(openapi.Schema{"description": "It is done."}, sends)
	if r.Doc.Response != nil {
		done["content"] = d.content(r.Doc.Response)
	}
	out := openapi.Schema{strconv.Itoa(status): done}
	for _, a := range r.Doc.Others {
		out[strconv.Itoa(a.Status)] = d.withHeaders(openapi.Schema{"description": a.Description}, a.Sends)
	}
	of := d.errorsOf(r)
	for _, status := range slices.Sorted(maps.Keys(of)) {
		out[strconv.Itoa(status)] = d.failed(r, status, of[status])
	}
	return out
}

// heedsKey reports whether the route knows requests that are sent again.
func (r *Route) heedsKey() bool {
	return slices.ContainsFunc(r.Doc.Headers, func(p Parameter) bool { return p.Name == HeaderIdempotencyKey })
}

// errorsOf are the kinds of a route's errors, by their status.
func (d *document) errorsOf(r *Route) map[int][]string {
	of := make(map[int][]string)
	add := func(status int, kind host.Kind) {
		if !slices.Contains(of[status], string(kind)) {
			of[status] = append(of[status], string(kind))
		}
	}
	for _, kind := range slices.Concat(d.common(r.Scope), r.Doc.Errors) {
		add(api.RuleOf(kind).Status, kind)
	}
	if r.heedsKey() {
		add(http.StatusConflict, api.KindKeyInUse)
		add(http.StatusConflict, api.KindConflict)
		add(http.StatusUnprocessableEntity, api.KindKeyReused)
		add(http.StatusTooManyRequests, host.KindQueueFull)
	}
	if r.Doc.Request != nil {
		add(http.StatusRequestEntityTooLarge, host.KindInvalidArgument)
		add(http.StatusRequestTimeout, host.KindTimeout)
		add(http.StatusTooManyRequests, host.KindQueueFull)
	}
	return of
}

// failed is an answer with an error of one of the kinds.
func (d *document) failed(r *Route, status int, kinds []string) openapi.Schema {
	examples := openapi.Schema{}
	for _, kind := range kinds {
		if api.RuleOf(host.Kind(kind)).Status == status { // and no exception, whose example is another
			examples[kind] = d.exampleOf(host.Kind(kind))
		}
	}
	form := openapi.Schema{"schema": openapi.Schema{"$ref": openapi.Prefix + "Error"}}
	if len(examples) > 0 {
		form["examples"] = examples
	}
	return d.withHeaders(openapi.Schema{
		"description": titleOf(status) + ": " + strings.Join(kinds, ", ") + ".",
		"content":     openapi.Schema{api.MediaTypeProblem: form},
	}, d.headersOf(r, status))
}

// headersOf are the headers of a route's errors of a status.
func (d *document) headersOf(r *Route, status int) (headers []Header) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if d.asks {
			headers = append(headers, Header{Name: "WWW-Authenticate", Description: "How to show who one is, or which scope it takes."})
		}
	case http.StatusUnsupportedMediaType:
		headers = append(headers,
			Header{Name: "Accept", Description: "The media types that are taken, if that of the body is not."},
			Header{Name: "Accept-Encoding", Description: "The encodings that are taken, if that of the body is not."})
	case http.StatusConflict:
		if r.heedsKey() {
			headers = append(headers, Header{Name: "Retry-After", Description: "In how many seconds to come again, with the kind key_in_use."})
		}
	}
	if retries(status) {
		headers = append(headers, Header{Name: "Retry-After", Description: "In how many seconds to come again.", Always: true})
	}
	if r.heedsKey() && lasts(status) {
		headers = append(headers, replayedHeader)
	}
	return headers
}

// withHeaders adds to an answer its headers, and those of all answers.
func (d *document) withHeaders(answer openapi.Schema, headers []Header) openapi.Schema {
	out := openapi.Schema{}
	for _, h := range slices.Concat(headers, d.all) {
		schema := openapi.Schema{"type": "string"}
		if h.Name == "Retry-After" {
			schema = openapi.Schema{"type": "integer", "minimum": 1}
		}
		one := openapi.Schema{"description": h.Description, "schema": schema}
		if h.Always {
			one["required"] = true
		}
		out[h.Name] = one
	}
	if len(out) > 0 {
		answer["headers"] = out
	}
	return answer
}
