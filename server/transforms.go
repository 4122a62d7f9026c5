package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/lines"
)

// MediaTypeLines is JSON lines.
const MediaTypeLines = "application/x-ndjson"

// HeaderStream carries the key of a task's stream. JSON lines have
// ?stream_field=NAME instead.
const HeaderStream = "Resonhost-Stream"

// HeaderTenant carries on whose behalf tasks are submitted, see [host.Client], if
// Options.TrustTenant is set.
const HeaderTenant = "Resonhost-Tenant"

// hold reserves room for a body until release is called. It has answered if ok is
// false.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, t host.Transform) (release func(), ok bool) {
	n := min(s.opts.MaxBody, s.opts.MaxHeld) // one request of any size may pass
	if r.ContentLength >= 0 {
		n = min(n, r.ContentLength+bodyOverhead)
	}
	if s.take(n) {
		return func() { s.give(n) }, true
	}
	writeProblem(w, problem{
		Status: http.StatusTooManyRequests, Kind: host.KindQueueFull, Transform: t.Name,
		Detail: fmt.Sprintf("the requests under way hold all of the %d bytes that they may", s.opts.MaxHeld),
	})
	return nil, false
}

// take takes n bytes of what all requests may hold; give gives them back.
func (s *Server) take(n int64) bool {
	if !s.held.TryAcquire(n) {
		return false
	}
	s.holding.Add(float64(n))
	return true
}

func (s *Server) give(n int64) {
	s.held.Release(n)
	s.holding.Sub(float64(n))
}

// bodyOverhead is what a request takes beside its body, in bytes, about.
const bodyOverhead = 1 << 10

// runTransform is POST /v1/transforms/{name}. The body is one JSON value, JSON
// lines, or a payload of the transform's media type, by its Content-Type; so is
// the answer.
func (s *Server) runTransform(w http.ResponseWriter, r *http.Request) {
	if s.isDraining() {
		s.unavailable(w, "draining")
		return
	}
	// For what is left of the body if it is not read here; net/http does.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.StallTimeout))
	t, err := s.host.Lookup(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, r.PathValue("name"), err)
		return
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	unsupported := func(detail string) {
		writeProblem(w, problem{
			Status: http.StatusUnsupportedMediaType, Kind: "unsupported_media_type", Transform: t.Name, Detail: detail,
		})
	}
	encoding, charset := r.Header.Get("Content-Encoding"), params["charset"]
	switch {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		unsupported(fmt.Sprintf("a body of Content-Encoding %.40q is not taken; send it as it is", encoding))
	case kind == t.Input && kind != manifest.MediaTypeJSON:
		s.runPayload(w, r, t)
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		unsupported(fmt.Sprintf("the charset of JSON must be utf-8, not %.40q", charset))
	case kind == manifest.MediaTypeJSON:
		s.runJSON(w, r, t)
	case kind == MediaTypeLines:
		s.runLines(w, r, t)
	default:
		unsupported(fmt.Sprintf("the Content-Type must be %s, %s or %s", manifest.MediaTypeJSON, MediaTypeLines, t.Input))
	}
}

func (s *Server) runPayload(w http.ResponseWriter, r *http.Request, t host.Transform) {
	release, ok := s.hold(w, r, t)
	if !ok {
		return
	}
	defer release()
	body, ok := s.body(w, r, t)
	if !ok {
		return
	}
	out, err := s.run(r, t.Name, "", body)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	answer(w, t.Output, out)
}

func (s *Server) runJSON(w http.ResponseWriter, r *http.Request, t host.Transform) {
	c, err := s.codecs.For(t)
	if err != nil {
		writeProblem(w, problem{Status: http.StatusUnsupportedMediaType, Kind: "unsupported_media_type", Transform: t.Name, Detail: err.Error()})
		return
	}
	release, ok := s.hold(w, r, t)
	if !ok {
		return
	}
	defer release()
	body, ok := s.body(w, r, t)
	if !ok {
		return
	}
	call, err := c.Decode(body)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	out, err := s.run(r, t.Name, call.Stream, call.Payload)
	if err == nil {
		if out, err = call.Encode(out); err != nil {
			err = &host.Error{Kind: host.KindABI, Transform: t.Name, Message: "the output is not of its media type: " + err.Error(), Err: err}
		}
	}
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	answer(w, manifest.MediaTypeJSON, append(out, '\n'))
}

// run runs a task in the stream that its document or the request's header names,
// if one does.
func (s *Server) run(r *http.Request, transform, stream string, payload []byte) ([]byte, error) {
	tenant, err := s.tenantOf(r)
	if err != nil {
		return nil, err
	}
	client := s.host.Client(tenant, host.PriorityNormal)
	keys := r.Header.Values(HeaderStream)
	switch {
	case len(keys) > 1:
		return nil, &abi.FieldError{Field: HeaderStream, Rule: "must not be there twice"}
	case len(keys) == 1 && stream != "":
		return nil, &abi.FieldError{Field: HeaderStream, Rule: "must not be there besides the document's own stream"}
	case len(keys) == 1:
		return client.Stream(keys[0]).Run(r.Context(), transform, payload)
	case stream != "":
		return client.Stream(stream).Run(r.Context(), transform, payload)
	}
	return client.Run(r.Context(), transform, payload)
}

func (s *Server) tenantOf(r *http.Request) (string, error) {
	names := r.Header.Values(HeaderTenant)
	switch {
	case !s.opts.TrustTenant:
		return "", nil
	case len(names) > 1:
		return "", &abi.FieldError{Field: HeaderTenant, Rule: "must not be there twice"}
	case len(names) == 0:
		return "", nil
	case len(names[0]) > host.MaxTenant:
		return "", &abi.FieldError{Field: HeaderTenant, Rule: fmt.Sprintf("must have at most %d bytes, has %d", host.MaxTenant, len(names[0]))}
	}
	return names[0], nil
}

// body reads the whole body. It has answered if ok is false.
func (s *Server) body(w http.ResponseWriter, r *http.Request, t host.Transform) (b []byte, ok bool) {
	control := http.NewResponseController(w)
	b, err := io.ReadAll(&stallReader{http.MaxBytesReader(w, r.Body, s.opts.MaxBody), control, s.opts.StallTimeout})
	if err == nil {
		// Its passing would have the client seem gone, however long the task takes.
		_ = control.SetReadDeadline(time.Time{})
		return b, true
	}
	p := problem{Status: http.StatusBadRequest, Kind: host.KindInvalidArgument, Transform: t.Name, Detail: "the body broke off"}
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		p.Status, p.Detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Status, p.Kind = http.StatusRequestTimeout, host.KindTimeout
		p.Detail = fmt.Sprintf("no byte of the body came for %v", s.opts.StallTimeout)
	}
	writeProblem(w, p)
	return nil, false
}

func answer(w http.ResponseWriter, mediaType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // a client that has gone wants no answer
}

// fail answers with the error of a task. What the plugin's inside is like, or the
// host's, goes into the log alone: a caller is not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, transform string, err error) {
	p := problemOf(transform, err)
	switch {
	case p.Kind == host.KindUnknownTransform:
		if names := s.names(); len(names) > 0 {
			p.Detail += "; there are " + strings.Join(names, ", ")
		}
	case p.Kind == host.KindCancelled && errors.Is(context.Cause(r.Context()), context.Canceled):
		// By net/http, at the connection's end: an interrupt of the daemon's has
		// another cause, and its client is still there.
		p.Status = statusClientClosed
		s.log.DebugContext(r.Context(), "the client has gone", "transform", transform)
	default:
		s.logFailure(r.Context(), err)
	}
	writeProblem(w, p)
}

// logFailure logs what a plugin's author or the operator has to know of an error.
func (s *Server) logFailure(ctx context.Context, err error) {
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Stack == "" && statuses[e.Kind] != http.StatusBadGateway && statuses[e.Kind] != http.StatusInternalServerError {
		return
	}
	s.log.WarnContext(ctx, "a task failed", "transform", e.Transform, "kind", e.Kind,
		"message", e.Message, "plugin", e.Plugin, "version", e.Version, "hash", e.Hash, "stack", e.Stack)
}

// names are those of all transforms.
func (s *Server) names() []string {
	var names []string
	for _, p := range s.host.Plugins() {
		for _, t := range p.Transforms {
			names = append(names, t.Name)
		}
	}
	return names
}

// runLines answers JSON lines while it reads them. ?stream_field=NAME is
// lines.Options.StreamField. What cuts the answer short breaks the connection off,
// so that the client can tell.
func (s *Server) runLines(w http.ResponseWriter, r *http.Request, t host.Transform) {
	if _, err := s.codecs.For(t); err != nil {
		writeProblem(w, problem{Status: http.StatusUnsupportedMediaType, Kind: "unsupported_media_type", Transform: t.Name, Detail: err.Error()})
		return
	}
	if len(r.Header.Values(HeaderStream)) > 0 {
		s.fail(w, r, t.Name, &abi.FieldError{Field: HeaderStream, Rule: "is for single tasks; JSON lines have ?stream_field=NAME"})
		return
	}
	tenant, err := s.tenantOf(r)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	control := http.NewResponseController(w)
	// HTTP/2 is full duplex by itself, and says that it does not support this.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.WarnContext(r.Context(), "no full duplex", "error", err)
	}
	_ = control.SetReadDeadline(time.Time{}) // lines may pause
	w.Header().Set("Content-Type", MediaTypeLines)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := control.Flush(); err != nil { // the client may wait for the header before it writes
		panic(http.ErrAbortHandler)
	}
	summary, err := lines.Run(r.Context(), s.host, s.codecs, t.Name, r.Body, w, lines.Options{
		StreamField: r.URL.Query().Get("stream_field"), Tenant: tenant, MaxLine: int(min(s.opts.MaxBody, codec.MaxBytes)), Stop: s.draining,
		Hold:    func(n int) bool { return s.take(int64(n)) },
		Release: func(n int) { s.give(int64(n)) },
		Failed:  func(_ int, err error) { s.logFailure(r.Context(), err) },
	})
	if err == nil && summary.Stopped {
		err = json.NewEncoder(w).Encode(lines.Failure{Error: lines.ErrorBody{Kind: host.KindUnavailable, Message: "draining: further lines were not read"}})
		// A Read may still wait for a line, and would hold up the answer's end.
		_ = control.SetReadDeadline(time.Now())
	}
	if err != nil {
		s.log.InfoContext(r.Context(), "JSON lines were cut short", "transform", t.Name, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// stallReader gives each Read the whole of a timeout.
type stallReader struct {
	r       io.Reader
	control *http.ResponseController
	timeout time.Duration
}

func (s *stallReader) Read(p []byte) (int, error) {
	// A connection without deadlines has none to miss.
	_ = s.control.SetReadDeadline(time.Now().Add(s.timeout))
	return s.r.Read(p)
}
