package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/strictjson"
	"github.com/resonhost/resonhost/invoke"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/server/openapi"
)

// HeaderJobState has, in answers of results, the state in which the job was when they began.
const HeaderJobState = "Resonhost-Job-State"

// Query parameters of jobs.
const (
	transformField = "transform"
	priorityField  = "priority"
	timeoutField   = "timeout"
	stateField     = "state"
	followField    = "follow"
	offsetField    = "offset"
	limitField     = "limit"
	cursorField    = "cursor"
	removeField    = "remove"
)

// resultsOverhead is what an answer of results takes, in bytes.
const resultsOverhead = 64 << 10

// What routes of jobs have in common.
var (
	jobTenant  = Parameter{Name: HeaderTenant, Description: "Whose jobs these are, where the server believes it."}
	preferWait = Parameter{Name: "Prefer", Description: "wait=N has the answer wait for the job's end for N seconds, at most 60.", Example: "wait=30"}
	oneJob     = []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Job{}}}
)

// jobRoutes are about jobs.
func (s *Server) jobRoutes() []Route {
	id := []Parameter{{Name: "id", Description: "The job's ID."}}
	flags := []string{"true", "false"}
	return []Route{
		s.submitRoute(),
		{
			Method: http.MethodGet, Path: "/v1/jobs", Scope: auth.ScopeCall, Handler: s.listJobs,
			Query: []Parameter{
				{Name: stateField, Description: "List jobs in this state alone.", Values: stateNames()},
				{Name: limitField, Description: "How many jobs to list, at most 1000, the default."},
				{Name: cursorField, Description: "The member next of a list, behind which this one begins."},
			},
			Doc: Operation{
				ID: "listJobs", Summary: "lists the caller's jobs", Headers: []Parameter{jobTenant},
				Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Jobs{}}}, Errors: []host.Kind{host.KindInvalidArgument, host.KindQueueFull},
			},
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}", Scope: auth.ScopeCall, Handler: s.getJob,
			Doc: Operation{
				ID: "getJob", Summary: "answers a job's state, at once or once it is over", Path: id,
				Headers:  []Parameter{jobTenant, preferWait},
				Response: oneJob, Sends: []Header{appliedHeader}, Errors: []host.Kind{host.KindInvalidArgument, host.KindQueueFull, api.KindUnknownJob},
			},
		},
		{
			Method: http.MethodGet, Path: "/v1/jobs/{id}/results", Scope: auth.ScopeCall, Handler: s.jobResults,
			Query: []Parameter{
				{Name: followField, Description: "Whether the answer goes on until the job is over.", Values: flags},
				{Name: offsetField, Description: "At which byte of the results to begin, at most their size if the job is over; default 0.", Example: "0"},
			},
			Doc: Operation{
				ID: "jobResults", Summary: "answers a job's results so far, as JSON lines", Path: id, Headers: []Parameter{jobTenant},
				Response: []Body{{MediaType: MediaTypeLines, Description: "For each task its result or a Failure, in the tasks' order.", Item: orFailure(nil)}},
				Sends:    []Header{{Name: HeaderJobState, Description: "The state in which the job was when the answer began.", Always: true}},
				Errors:   []host.Kind{host.KindInvalidArgument, host.KindQueueFull, api.KindUnknownJob},
			},
		},
		{
			Method: http.MethodDelete, Path: "/v1/jobs/{id}", Scope: auth.ScopeCall, Handler: s.cancelJob,
			Query: []Parameter{{Name: removeField, Description: "Whether the job is forgotten, too, with its results.", Values: flags}},
			Doc: Operation{
				ID: "cancelJob", Summary: "cancels a job", Path: id, Headers: []Parameter{jobTenant},
				Response: oneJob, Errors: []host.Kind{host.KindInvalidArgument, host.KindStateUnavailable, host.KindHost, api.KindUnknownJob},
			},
		},
	}
}

// submitRoute takes a job.
func (s *Server) submitRoute() Route {
	return Route{
		Method: http.MethodPost, Path: "/v1/jobs", Scope: auth.ScopeCall, Handler: s.submitJob,
		Query: []Parameter{
			{Name: transformField, Description: "Of JSON lines: the transform.", Example: "thumbnail"},
			{Name: streamField, Description: "Of JSON lines: the member of a line that is the key of its task's stream."},
			{Name: priorityField, Description: "Of JSON lines: the priority of the tasks.", Values: api.Priorities()},
			{Name: timeoutField, Description: "Of JSON lines: how long the job may take from its start, such as 30s.", Example: "30s"},
		},
		Doc: Operation{
			ID: "submitJob", Summary: "takes one task, or many as JSON lines, to be done in the background",
			Headers: []Parameter{jobTenant, preferWait, keyParameter},
			Request: []Body{
				{MediaType: manifest.MediaTypeJSON, Of: api.JobRequest{}, Description: "One task."},
				{MediaType: MediaTypeLines, Description: "A task in each line.", Item: openapi.Schema{}},
			},
			NoBody: true, // which is no line
			Status: http.StatusAccepted, Response: oneJob,
			Sends: []Header{{Name: "Location", Description: "The path of the job.", Always: true}, appliedHeader},
			Errors: []host.Kind{
				host.KindInvalidArgument, host.KindUnknownTransform, host.KindQueueFull, host.KindTimeout, host.KindUnavailable,
				host.KindStateUnavailable, host.KindHost, api.KindUnsupportedMediaType,
			},
		},
	}
}

func stateNames() (names []string) {
	for _, s := range api.JobStates() {
		names = append(names, string(s))
	}
	return names
}

// oneOf is the error of a value that is none of those that there are.
func oneOf(field, value string, names []string) error {
	did := spell.DidYouMean(value, names)
	return &abi.FieldError{Field: field, Rule: fmt.Sprintf("must be %s or %s, is %q%s", strings.Join(names[:len(names)-1], ", "), names[len(names)-1], foreign.Cut(value), did)}
}

// owner is whose jobs those of a request are.
func (s *Server) owner(r *http.Request) (jobs.Owner, error) {
	tenant, err := s.tenantOf(r)
	return jobs.Owner{Tenant: tenant, Principal: auth.Of(r.Context()).Name()}, err
}

// submitJob is POST /v1/jobs.
func (s *Server) submitJob(w http.ResponseWriter, r *http.Request) {
	if s.isDraining() {
		s.unavailable(w, "draining")
		return
	}
	owner, err := s.owner(r)
	if err == nil && len(r.Header.Values(HeaderStream)) > 0 {
		err = &abi.FieldError{Field: HeaderStream, Rule: "is not for jobs; one task has the member stream, and JSON lines have ?stream_field=NAME"}
	}
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, encoding := params["charset"], r.Header.Get("Content-Encoding")
	var detail string
	switch {
	case err != nil, kind != manifest.MediaTypeJSON && kind != MediaTypeLines:
		detail = "the Content-Type must be " + manifest.MediaTypeJSON + " or " + MediaTypeLines
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		detail = fmt.Sprintf("the charset must be utf-8, not %.40q", charset)
	default:
		detail = refusedCoding(w, encoding)
	}
	if detail != "" {
		w.Header().Set("Accept", manifest.MediaTypeJSON+", "+MediaTypeLines)
		writeProblem(w, problem(api.KindUnsupportedMediaType, "", detail))
		return
	}
	a, ok := s.open(w, host.Transform{}, bodyOverhead)
	if !ok {
		return
	}
	defer a.close()
	spec := jobs.Spec{Owner: owner, Pace: auth.Of(r.Context()).Next, Withdrawn: auth.Of(r.Context()).Done()}
	if kind == MediaTypeLines {
		ok = s.linesJob(w, r, a, &spec)
	} else {
		ok = s.taskJob(w, r, a, &spec)
	}
	if !ok {
		return
	}
	job, err := s.jobs.Submit(r.Context(), spec)
	if err != nil {
		s.fail(w, r, spec.Transform, err)
		return
	}
	a.close() // the body is the job's
	job = s.waitForNew(w, r, owner, job)
	w.Header().Set("Location", "/v1/jobs/"+job.ID)
	writeStatus(w, http.StatusAccepted, job)
}

// may looks whether a job's transform and priority may be so. It has answered otherwise.
func (s *Server) may(w http.ResponseWriter, r *http.Request, spec *jobs.Spec) bool {
	by, transform := auth.Of(r.Context()), spec.Transform
	err := by.MayCall(transform)
	if err == nil {
		err = by.MayChoose(spec.Priority)
	}
	var t host.Transform
	if err == nil {
		t, err = s.host.Lookup(transform)
	}
	if err != nil {
		s.fail(w, r, foreign.Cut(transform), err)
		return false
	}
	if _, err := invoke.Of(t, s.codecs); err != nil {
		writeProblem(w, problem(api.KindUnsupportedMediaType, t.Name, err.Error()+"; jobs take JSON alone"))
		return false
	}
	return true
}

// linesJob reads a job that comes as JSON lines. It has answered if ok is false.
func (s *Server) linesJob(w http.ResponseWriter, r *http.Request, a *account, spec *jobs.Spec) (ok bool) {
	query, err := r.URL.Query(), error(nil)
	field := query.Get(streamField)
	spec.Transform, spec.StreamField = query.Get(transformField), field
	switch {
	case spec.Transform == "":
		err = &abi.FieldError{Field: transformField, Rule: "must name the transform of the lines, as in ?transform=NAME"}
	case query.Has(streamField) && (field == "" || len(field) > host.MaxStreamKey):
		err = &abi.FieldError{Field: streamField, Rule: fmt.Sprintf("must have 1 to %d bytes, has %d", host.MaxStreamKey, len(field))}
	}
	if err == nil {
		err = schedule(spec, query.Get(priorityField), query.Get(timeoutField))
	}
	if err != nil {
		s.fail(w, r, "", err)
		return false
	}
	if !s.may(w, r, spec) {
		return false
	}
	spec.Input, ok = s.bodyUpTo(w, r, host.Transform{Name: spec.Transform}, a, bound{s.jobs.MaxInput(), "an eighth of MaxBytes, --max-job-bytes"})
	return ok
}

// taskJob reads a job of one task. It has answered if ok is false.
func (s *Server) taskJob(w http.ResponseWriter, r *http.Request, a *account, spec *jobs.Spec) (ok bool) {
	for name := range r.URL.Query() {
		s.fail(w, r, "", &abi.FieldError{Field: name, Rule: "is for JSON lines; a job of one task has it in its body"})
		return false
	}
	body, ok := s.body(w, r, host.Transform{}, a)
	if !ok {
		return false
	}
	if err := decodeJob(body, spec); err != nil {
		s.fail(w, r, "", err)
		return false
	}
	return s.may(w, r, spec)
}

// decodeJob reads a [api.JobRequest].
func decodeJob(body []byte, spec *jobs.Spec) error {
	body, err := foreign.UTF8(body)
	var request api.JobRequest
	if err == nil {
		err = strictjson.Unmarshal(body, &request)
	}
	if field := (*abi.FieldError)(nil); err != nil && !errors.As(err, &field) {
		err = &abi.FieldError{Field: "document", Rule: err.Error()}
	}
	switch {
	case err != nil:
		return err
	case request.Transform == "":
		return &abi.FieldError{Field: transformField, Rule: "must name the task's transform"}
	case len(request.Input) == 0:
		return &abi.FieldError{Field: "input", Rule: "must be there: the task's JSON"}
	case len(request.Stream) > host.MaxStreamKey:
		return &abi.FieldError{Field: "stream", Rule: fmt.Sprintf("must have at most %d bytes, has %d", host.MaxStreamKey, len(request.Stream))}
	}
	var line bytes.Buffer
	if err := json.Compact(&line, request.Input); err != nil { // which has been decoded
		return &abi.FieldError{Field: "input", Rule: err.Error()}
	}
	spec.Transform, spec.Stream, spec.Input = request.Transform, request.Stream, line.Bytes()
	return schedule(spec, request.Priority, request.Timeout)
}

// schedule takes the priority and the timeout of a job.
func schedule(spec *jobs.Spec, priority, timeout string) (err error) {
	if priority != "" {
		var ok bool
		if spec.Priority, ok = api.ParsePriority(priority); !ok {
			return oneOf(priorityField, priority, api.Priorities())
		}
	}
	if timeout != "" {
		if spec.Timeout, err = time.ParseDuration(timeout); err != nil || spec.Timeout <= 0 {
			return &abi.FieldError{Field: timeoutField, Rule: "must be a duration above 0, such as 30s or 5m"}
		}
	}
	return nil
}

// boolOf returns a query parameter that is true or false.
func boolOf(r *http.Request, name string) (bool, error) {
	values := r.URL.Query()
	if !values.Has(name) {
		return false, nil
	}
	switch values.Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, &abi.FieldError{Field: name, Rule: "must be true or false"}
}

// jobResults is GET /v1/jobs/{id}/results.
func (s *Server) jobResults(w http.ResponseWriter, r *http.Request) {
	owner, err := s.owner(r)
	var follow bool
	if err == nil {
		follow, err = boolOf(r, followField)
	}
	offset := int64(0)
	if text := r.URL.Query().Get(offsetField); err == nil && r.URL.Query().Has(offsetField) {
		if offset, err = strconv.ParseInt(text, 10, 64); err != nil || offset < 0 {
			err = &abi.FieldError{Field: offsetField, Rule: "must be a number of bytes, 0 or more"}
		}
	}
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	job, err := s.jobs.Get(owner, r.PathValue("id"))
	if err != nil {
		s.failJob(w, r, err)
		return
	}
	if offset > job.ResultBytes && job.State.Over() {
		s.fail(w, r, "", &abi.FieldError{Field: offsetField, Rule: fmt.Sprintf("must be at most %d, the size of the results, as the job is over", job.ResultBytes)})
		return
	}
	a, ok := s.open(w, host.Transform{Name: job.Transform}, resultsOverhead)
	if !ok {
		return
	}
	defer a.close()
	w.Header().Set("Content-Type", MediaTypeLines)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set(HeaderJobState, string(job.State))
	if r.Method == http.MethodHead {
		return
	}
	if err := s.sendResults(w, r, owner, job.ID, offset, follow); err != nil {
		s.log.InfoContext(r.Context(), "results of a job were cut short", "job", job.ID, "error", err)
		panic(http.ErrAbortHandler) // so that the client can tell
	}
}

// sendResults writes results until there are no more, or, if it is to follow, until there will be no
// more.
func (s *Server) sendResults(w http.ResponseWriter, r *http.Request, owner jobs.Owner, id string, offset int64, follow bool) error {
	p, out := make([]byte, resultsOverhead), http.NewResponseController(w)
	if follow { // the client may wait for the header
		if err := out.Flush(); err != nil {
			return err
		}
	}
	ctx, cancel := auth.Of(r.Context()).Until(r.Context())
	defer cancel()
	for {
		n, over, err := s.jobs.Results(ctx, owner, id, offset, p, follow)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		offset += int64(n)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		if over || n == 0 && !follow {
			return nil
		}
		if follow && n < len(p) {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// cancelJob is DELETE /v1/jobs/{id}.
func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request) {
	owner, err := s.owner(r)
	var remove bool
	if err == nil {
		remove, err = boolOf(r, removeField)
	}
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	job, err := s.jobs.Cancel(r.Context(), owner, r.PathValue("id"))
	if err == nil && remove {
		err = s.jobs.Remove(r.Context(), owner, job.ID)
	}
	if err != nil {
		s.failJob(w, r, err)
		return
	}
	writeJSON(w, job)
}

// failJob answers that a job was not found, or that its store failed.
func (s *Server) failJob(w http.ResponseWriter, r *http.Request, err error) {
	withdrawn := (*auth.Error)(nil)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		writeProblem(w, problem(api.KindUnknownJob, "", err.Error()))
		return
	case errors.As(err, &withdrawn):
		s.refuse(w, r, err)
		return
	}
	s.log.ErrorContext(r.Context(), "a job failed", "job", r.PathValue("id"), "error", err)
	writeProblem(w, problem(jobs.StoreKind(err), "", "the job could not be read or changed; the server has logged why"))
}

// Close ends the jobs: it takes no further one, and waits for those that there are. When ctx ends
// first it ends those that are left, and says how many there were. It is to be called before the
// host is closed.
func (s *Server) Close(ctx context.Context) error {
	lost := s.jobs.Close(ctx)
	if s.flushed != nil {
		s.flushed() // jobs are over, and stored
	}
	if n := s.jobs.Len(); n > 0 && s.opts.Jobs.Store == nil {
		s.log.InfoContext(ctx, "jobs and their results end with the process, whether they were read or not", "jobs", n)
	}
	if lost > 0 {
		return fmt.Errorf("%d jobs were not over: their tasks were given up", lost)
	}
	return nil
}
