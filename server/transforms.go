package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/invoke"
	"github.com/resonhost/resonhost/lines"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/pack"
)

// MediaTypeLines is JSON lines.
const MediaTypeLines = "application/x-ndjson"

// HeaderStream carries the key of a task's stream. JSON lines have
// ?stream_field=NAME instead.
const HeaderStream = "Resonhost-Stream"

// HeaderTenant carries on whose behalf tasks are submitted, see [host.Client], if
// Options.TrustTenant is set.
const HeaderTenant = "Resonhost-Tenant"

// Overheads are what a request takes beside its body, in bytes, about.
const (
	bodyOverhead  = 1 << 10
	linesOverhead = 136 << 10 // buffers for reading and writing
)

// runTransform is POST /v1/transforms/{name}. The body is one JSON value, JSON
// lines, or a payload of the transform's media type, by its Content-Type; so is
// the answer.
func (s *Server) runTransform(w http.ResponseWriter, r *http.Request) {
	if s.isDraining() {
		s.unavailable(w, "draining")
		return
	}
	if err := auth.Of(r.Context()).MayCall(r.PathValue("name")); err != nil {
		s.refuse(w, r, err)
		return
	}
	t, err := s.host.Lookup(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, foreign.Cut(r.PathValue("name")), err)
		return
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	unsupported := func(detail string) { s.unsupported(w, t, detail) }
	encoding, charset := r.Header.Get("Content-Encoding"), params["charset"]
	refused := refusedCoding(w, encoding)
	switch {
	case refused != "":
		unsupported(refused)
	case charset != "" && !strings.EqualFold(charset, "utf-8") && (kind != t.Input || kind == manifest.MediaTypeJSON || strings.HasPrefix(kind, "text/")):
		unsupported(fmt.Sprintf("the charset of JSON and text must be utf-8, not %.40q", charset))
	case kind == t.Input && kind != manifest.MediaTypeJSON:
		s.runPayload(w, r, t)
	case kind == manifest.MediaTypeJSON:
		s.runJSON(w, r, t)
	case kind == MediaTypeLines:
		s.runLines(w, r, t)
	default:
		types := s.accepted(t)
		last := len(types) - 1
		list := types[last]
		if last > 0 {
			list = strings.Join(types[:last], ", ") + " or " + list
		}
		unsupported("the Content-Type must be " + list)
	}
}

// accepted are the media types that bodies of a transform's tasks may have.
func (s *Server) accepted(t host.Transform) (types []string) {
	if _, err := s.codecs.For(t); err == nil {
		types = []string{manifest.MediaTypeJSON, MediaTypeLines}
	}
	if t.Input != manifest.MediaTypeJSON {
		types = append(types, t.Input)
	}
	return types
}

// unsupported answers that a body is not of a form that is taken, and which are.
func (s *Server) unsupported(w http.ResponseWriter, t host.Transform, detail string) {
	w.Header().Set("Accept", strings.Join(s.accepted(t), ", "))
	writeProblem(w, problem(api.KindUnsupportedMediaType, t.Name, detail))
}

// form is how a single task comes and is answered.
type form struct {
	// decode makes the task of a body. What that takes beside the body it takes of the account.
	decode    func(body []byte, a *account) (invoke.Task, error)
	mediaType string // of the answer
	end       string // of the answer
	expansion int    // how many times its size an output counts until it is the answer
}

// runPayload does a task whose body is its payload, and whose answer is the output.
func (s *Server) runPayload(w http.ResponseWriter, r *http.Request, t host.Transform) {
	s.runSingle(w, r, t, form{
		decode:    func(body []byte, _ *account) (invoke.Task, error) { return invoke.Payload(t, body), nil },
		mediaType: t.Output, expansion: 1,
	})
}

// runJSON does a task whose body and answer are JSON.
func (s *Server) runJSON(w http.ResponseWriter, r *http.Request, t host.Transform) {
	c, err := invoke.Of(t, s.codecs)
	if err != nil {
		s.unsupported(w, t, err.Error()+"; the Content-Type must be "+t.Input)
		return
	}
	s.runSingle(w, r, t, form{
		decode: func(body []byte, a *account) (invoke.Task, error) {
			body, err := foreign.UTF8(body)
			if err != nil {
				return invoke.Task{}, c.Refused(&abi.FieldError{Field: "document", Rule: err.Error()})
			}
			task, err := c.Decode(body, "")
			if err == nil && !a.Take(task.Added(), false) {
				err = c.Refused(invoke.NoMemory(t.Name))
			}
			return task, err
		},
		mediaType: manifest.MediaTypeJSON, end: "\n", expansion: invoke.Expansion,
	})
}

// runSingle does a single task.
func (s *Server) runSingle(w http.ResponseWriter, r *http.Request, t host.Transform, f form) {
	if !single(w, r) {
		return
	}
	if err := auth.Of(r.Context()).Take(1); err != nil {
		s.refuse(w, r, err)
		return
	}
	a, ok := s.open(w, t, bodyOverhead)
	if !ok {
		return
	}
	defer a.close()
	body, ok := s.body(w, r, t, a)
	if !ok {
		return
	}
	task, err := f.decode(body, a)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	out, err := s.run(w, r, &t, task, func(n int) bool { return a.Take(f.expansion*n, true) })
	if err == nil {
		before := len(out)
		out, err = task.Encode(out)
		a.Add(len(out) - f.expansion*before)
	}
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	answer(w, http.StatusOK, f.mediaType, append(out, f.end...))
}

// single refuses what only JSON lines have.
func single(w http.ResponseWriter, r *http.Request) bool {
	if !r.URL.Query().Has(streamField) {
		return true
	}
	writeProblem(w, api.Of("", &abi.FieldError{Field: streamField, Rule: "is for JSON lines; a single task has the header " + HeaderStream}))
	return false
}

// streamField is the query parameter of JSON lines that is lines.Options.StreamField.
const streamField = "stream_field"

// run runs a task in the stream that its document or the request's header names,
// if one does. room is for its output.
func (s *Server) run(w http.ResponseWriter, r *http.Request, t *host.Transform, task invoke.Task, room func(n int) bool) ([]byte, error) {
	tenant, err := s.tenantOf(r)
	if err != nil {
		return nil, err
	}
	keys, rule := r.Header.Values(HeaderStream), ""
	switch {
	case len(keys) > 1:
		rule = "must not be there twice"
	case len(keys) == 1 && task.Stream() != "":
		rule = "must not be there besides the document's own stream"
	case len(keys) == 1 && (keys[0] == "" || len(keys[0]) > host.MaxStreamKey):
		rule = fmt.Sprintf("must have 1 to %d bytes, has %d", host.MaxStreamKey, len(keys[0]))
	case len(keys) == 1:
		task = task.InStream(keys[0])
	}
	if rule != "" {
		t.CountFailed(host.KindInvalidArgument)
		return nil, &abi.FieldError{Field: HeaderStream, Rule: rule}
	}
	// Whether a client is still there that has closed its side is seen by writing alone: one
	// that has gone answers with a reset. What can be written before an answer is that it is
	// worked on.
	defer whenHalfClosed(r, func() {
		if r.ProtoAtLeast(1, 1) {
			w.WriteHeader(http.StatusContinue)
		}
	})()
	return task.Run(r.Context(), s.host.Client(tenant, host.PriorityNormal).WithRoom(room))
}

// answer answers with a whole body, packed if that is wanted.
func answer(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	if out := responseOf(w); out != nil {
		out.keep(status, mediaType, body)
	}
	if len(body) >= minPacked {
		body = packed(w, mediaType, body)
	}
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) //nolint:gosec // response keeps the error; the media type is said, and browsers do not guess it
}

// fail answers with the error of a task. What the plugin's inside is like, or the
// host's, goes into the log alone: a caller is not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, transform string, err error) {
	if refused := (*auth.Error)(nil); errors.As(err, &refused) {
		s.refuse(w, r, err)
		return
	}
	p := api.Of(transform, err)
	switch {
	case p.Kind == host.KindUnknownTransform:
		p.Detail += suggest(transform, s.names(auth.Of(r.Context())))
	case p.Kind == host.KindCancelled && errors.Is(context.Cause(r.Context()), context.Canceled):
		// By net/http, at the connection's end: an interrupt of the daemon's has
		// another cause, and its client is still there.
		p.Status = api.StatusClientClosed
		s.log.DebugContext(r.Context(), "the client has gone", "transform", transform)
	default:
		s.logFailure(r.Context(), err)
	}
	writeProblem(w, p)
}

// logFailure logs what a plugin's author or the operator has to know of an error.
func (s *Server) logFailure(ctx context.Context, err error) {
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Kind == host.KindMemoryFull {
		return
	}
	status := api.RuleOf(e.Kind).Status
	if e.Stack == "" && status != http.StatusBadGateway && status != http.StatusInternalServerError {
		return
	}
	s.log.WarnContext(ctx, "a task failed", "transform", e.Transform, "kind", e.Kind,
		"message", e.Message, "plugin", e.Plugin, "version", e.Version, "hash", e.Hash, "stack", e.Stack)
}

// maxNames is how many names of transforms an answer lists.
const maxNames = 20

// suggest says which of the names that there are may have been meant.
func suggest(name string, names []string) string {
	switch did := spell.DidYouMean(name, names); {
	case did != "":
		return did
	case len(names) > maxNames:
		return fmt.Sprintf("; there are %s and %d others, see /v1/plugins", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
	}
	return spell.ThereAre(names)
}

// names are those of all transforms that somebody may call.
func (s *Server) names(who *auth.Principal) []string {
	var names []string
	for _, p := range s.host.Plugins() {
		for _, t := range p.Transforms {
			if who.MayCall(t.Name) == nil {
				names = append(names, t.Name)
			}
		}
	}
	return names
}

// runLines answers JSON lines while it reads them. What cuts the answer short breaks the
// connection off, so that the client can tell.
func (s *Server) runLines(w http.ResponseWriter, r *http.Request, t host.Transform) {
	if _, err := s.codecs.For(t); err != nil {
		s.unsupported(w, t, err.Error()+"; the Content-Type must be "+t.Input)
		return
	}
	field, tenant, err := s.linesOf(r)
	if err != nil {
		s.fail(w, r, t.Name, err)
		return
	}
	a, ok := s.open(w, t, linesOverhead)
	if !ok {
		return
	}
	defer a.close()
	control := http.NewResponseController(w)
	s.beginLines(w, r, control)
	out, finish := s.packLines(w, a)
	if err := control.Flush(); err != nil { // the client may wait for the header before it writes
		s.cutShort(r, t, err)
	}
	probe := make(chan struct{})
	defer whenHalfClosed(r, func() { close(probe) })()
	in := &lineProgress{progress: progress{r: s.unpackLines(r, a), control: control, timeout: s.opts.StallTimeout}}
	defer whileUnread(r, func() bool { return !in.ended.Load() })()
	ctx, release := outlive(r, in.end)
	defer release()
	summary, err := lines.Run(ctx, s.host, s.codecs, t.Name, in, out, lines.Options{
		StreamField: field, Tenant: tenant, MaxLine: int(min(s.opts.MaxBody, int64(s.codecs.MaxBytes()))), Stop: s.draining,
		Pace: auth.Of(r.Context()).Next, Wake: auth.Of(r.Context()).Done(),
		Memory: a, MaxHeld: int(s.held.share), Probe: probe,
		Failed: func(_ int, err error) { s.logFailure(r.Context(), err) },
	})
	last := api.Error{}
	broken, refused := (*lines.ReadError)(nil), (*auth.Error)(nil)
	switch {
	case err == nil && summary.Stopped:
		last = problem(host.KindUnavailable, t.Name, "draining: further lines were not read")
	case errors.As(err, &refused): // who sent them is withdrawn meanwhile
		last = problem(refused.Kind, t.Name, refused.Detail+"; further lines were not read")
	case errors.As(err, &broken):
		last = s.brokenOff(t, broken)
	case err != nil && in.stalled.Load(): // for which net/http has ended the context
		last = problem(host.KindTimeout, t.Name, fmt.Sprintf("a line did not go on by %d bytes within %v (StallTimeout); lines that are not answered before this were given up", piece, s.opts.StallTimeout))
	case err == nil && finish() == nil && (in.ended.Load() || s.linger(responseOf(w))): // lines may end before the body
		return
	}
	if format := (*pack.FormatError)(nil); errors.As(err, &format) { // the rest of the body comes as if it were well
		if errors.Join(json.NewEncoder(out).Encode(api.Failure{Error: last}), finish()) == nil && s.linger(responseOf(w)) {
			return
		}
		s.cutShort(r, t, err)
	}
	in.end() // a Read may still wait for a line, and would hold up the answer's end
	spent := spend(r)
	_ = r.Body.Close() // net/http itself would do so when it is too late for it to find the body's end
	if last.Kind != "" {
		err = errors.Join(json.NewEncoder(out).Encode(api.Failure{Error: last}), finish())
	}
	if err == nil && !spent {
		err = errors.Join(control.Flush(), errors.New(cmp.Or(last.Detail, "further lines were not read")))
	}
	if err != nil {
		s.cutShort(r, t, err)
	}
}

// linesOf says which member of the lines is their stream's key, "" if none is, and whose they are.
func (s *Server) linesOf(r *http.Request) (field, tenant string, err error) {
	query := r.URL.Query()
	field = query.Get(streamField)
	switch {
	case len(r.Header.Values(HeaderStream)) > 0:
		err = &abi.FieldError{Field: HeaderStream, Rule: "is for single tasks; JSON lines have ?stream_field=NAME"}
	case len(r.Header.Values(HeaderIdempotencyKey)) > 0:
		err = &abi.FieldError{Field: HeaderIdempotencyKey, Rule: "is not for JSON lines, which are answered before they have all come; POST /v1/jobs takes them with a key"}
	case query.Has(streamField) && (field == "" || len(field) > host.MaxStreamKey):
		err = &abi.FieldError{Field: streamField, Rule: fmt.Sprintf("must have 1 to %d bytes, has %d", host.MaxStreamKey, len(field))}
	default:
		tenant, err = s.tenantOf(r)
	}
	return field, tenant, err
}

// beginLines makes ready for lines that come while others are answered.
func (s *Server) beginLines(w http.ResponseWriter, r *http.Request, control *http.ResponseController) {
	// HTTP/2 is full duplex by itself, and says that it does not support this.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.WarnContext(r.Context(), "no full duplex", "error", err)
	}
	if out := responseOf(w); out != nil {
		out.waits = false
	}
	_ = control.SetReadDeadline(time.Time{}) // lines may pause
	if r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// The answer's header comes before the first line, which the client would not send after
		// it. Of that Read would ask.
		w.WriteHeader(http.StatusContinue)
	}
	w.Header().Set("Content-Type", MediaTypeLines)
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// brokenOff is the last line of an answer whose body did not come to its end.
func (s *Server) brokenOff(t host.Transform, at *lines.ReadError) api.Error {
	if errors.Is(at, os.ErrDeadlineExceeded) {
		return problem(host.KindTimeout, t.Name, fmt.Sprintf("line %d did not go on by %d bytes within %v (StallTimeout)", at.Line, piece, s.opts.StallTimeout)).At(at.Line)
	}
	where := "before"
	if at.Within {
		where = "within"
	}
	message := fmt.Sprintf("the body broke off %s line %d", where, at.Line)
	if !errors.Is(at, io.ErrUnexpectedEOF) {
		message += ": " + at.Err.Error()
	}
	return problem(host.KindInvalidArgument, t.Name, message).At(at.Line)
}

// cutShort breaks a connection off whose answer is not whole.
func (s *Server) cutShort(r *http.Request, t host.Transform, err error) {
	s.log.InfoContext(r.Context(), "JSON lines were cut short", "transform", t.Name, "error", err)
	panic(http.ErrAbortHandler)
}
