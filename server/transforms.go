package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/lines"
)

// MediaTypeLines is JSON lines.
const MediaTypeLines = "application/x-ndjson"

// HeaderStream carries the key of a task's stream, where the body is of the
// transform's own media type.
const HeaderStream = "Resonhost-Stream"

// runTransform is POST /v1/transforms/{name}. The body is one JSON value, JSON
// lines, or a payload of the transform's media type, by its Content-Type; so is
// the answer.
func (s *Server) runTransform(w http.ResponseWriter, r *http.Request) {
	if s.isDraining() {
		s.unavailable(w, "draining")
		return
	}
	t, err := s.host.Lookup(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, r.PathValue("name"), err)
		return
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch {
	case kind == t.Input && kind != manifest.MediaTypeJSON:
		s.runPayload(w, r, t)
	case kind == manifest.MediaTypeJSON:
		s.runJSON(w, r, t)
	case kind == MediaTypeLines:
		s.runLines(w, r, t)
	default:
		writeProblem(w, problem{
			Status: http.StatusUnsupportedMediaType, Kind: "unsupported_media_type", Transform: t.Name,
			Detail: fmt.Sprintf("the Content-Type must be %s, %s or %s", manifest.MediaTypeJSON, MediaTypeLines, t.Input),
		})
	}
}

func (s *Server) runPayload(w http.ResponseWriter, r *http.Request, t host.Transform) {
	body, ok := s.body(w, r, t)
	if !ok {
		return
	}
	out, err := s.run(r.Context(), t.Name, r.Header.Get(HeaderStream), body)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	s.answer(w, t.Output, out)
}

func (s *Server) runJSON(w http.ResponseWriter, r *http.Request, t host.Transform) {
	c, err := s.codecs.For(t)
	if err != nil {
		writeProblem(w, problem{Status: http.StatusUnsupportedMediaType, Kind: "unsupported_media_type", Transform: t.Name, Detail: err.Error()})
		return
	}
	body, ok := s.body(w, r, t)
	if !ok {
		return
	}
	call, err := c.Decode(body)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	out, err := s.run(r.Context(), t.Name, call.Stream, call.Payload)
	if err == nil {
		if out, err = call.Encode(out); err != nil {
			err = &host.Error{Kind: host.KindABI, Transform: t.Name, Message: "the output is not of its media type: " + err.Error(), Err: err}
		}
	}
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	s.answer(w, manifest.MediaTypeJSON, append(out, '\n'))
}

func (s *Server) run(ctx context.Context, transform, stream string, payload []byte) ([]byte, error) {
	if stream == "" {
		return s.host.Run(ctx, transform, payload)
	}
	return s.host.Stream(stream).Run(ctx, transform, payload)
}

// body reads the whole body. It has answered if ok is false.
func (s *Server) body(w http.ResponseWriter, r *http.Request, t host.Transform) (b []byte, ok bool) {
	b, err := io.ReadAll(&stallReader{http.MaxBytesReader(w, r.Body, s.opts.MaxBody), http.NewResponseController(w), s.opts.StallTimeout})
	if err == nil {
		return b, true
	}
	p := problem{Status: http.StatusBadRequest, Kind: host.KindInvalidArgument, Transform: t.Name, Detail: "the body broke off"}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		p.Status, p.Detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLarge.Limit)
	}
	writeProblem(w, p)
	return nil, false
}

func (s *Server) answer(w http.ResponseWriter, mediaType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	out := &stallWriter{w, http.NewResponseController(w), s.opts.StallTimeout}
	_, _ = out.Write(body) // a client that has gone wants no answer
}

// fail answers with the error of a task. What the plugin says of it goes into the
// log alone: a caller is not told of the plugin's inside.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, transform string, err error) {
	if r.Context().Err() != nil {
		s.log.DebugContext(r.Context(), "the client has gone", "transform", transform)
		return
	}
	if e := (*host.Error)(nil); errors.As(err, &e) && e.Stack != "" {
		s.log.WarnContext(r.Context(), "a task failed", "transform", transform, "kind", e.Kind,
			"message", e.Message, "plugin", e.Plugin, "version", e.Version, "hash", e.Hash, "stack", e.Stack)
	}
	p := problemOf(transform, err)
	if p.Kind == host.KindUnknownTransform {
		p.Detail += "; there are " + strings.Join(s.names(), ", ")
	}
	writeProblem(w, p)
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
	control := http.NewResponseController(w)
	// HTTP/2 is full duplex by itself, and says that it does not support this.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.WarnContext(r.Context(), "no full duplex", "error", err)
	}
	w.Header().Set("Content-Type", MediaTypeLines)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := control.Flush(); err != nil { // the client may wait for the header before it writes
		return
	}
	out := &stallWriter{w, control, s.opts.StallTimeout}
	_, err := lines.Run(r.Context(), s.host, s.codecs, t.Name, r.Body, out, lines.Options{
		StreamField: r.URL.Query().Get("stream_field"), MaxLine: int(min(s.opts.MaxBody, codec.MaxBytes)), Stop: s.draining,
	})
	if err == nil && s.isDraining() {
		err = json.NewEncoder(out).Encode(lines.Failure{Error: lines.ErrorBody{Kind: host.KindUnavailable, Message: "draining: further lines were not read"}})
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

// stallWriter gives each Write and flush the whole of a timeout.
type stallWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
}

func (s *stallWriter) Write(p []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // as above
	return s.w.Write(p)
}

// FlushError sends what is buffered.
func (s *stallWriter) FlushError() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // as above
	return s.control.Flush()
}
