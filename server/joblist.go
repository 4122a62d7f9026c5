package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/jobs"
)

const (
	// maxPage is how many jobs a list has at most.
	maxPage = 1000
	// maxWait is how long a client may have its answer wait for a job.
	maxWait = time.Minute
	// waitOverhead is what a request takes that waits, in bytes, about: its connection and its goroutines.
	waitOverhead = 16 << 10
)

// listJobs is GET /v1/jobs.
func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) {
	owner, err := s.owner(r)
	query, limit := r.URL.Query(), maxPage
	var states []api.JobState
	if err == nil && query.Has(stateField) {
		if state := query.Get(stateField); slices.Contains(stateNames(), state) {
			states = []api.JobState{api.JobState(state)}
		} else {
			err = oneOf(stateField, state, stateNames())
		}
	}
	if err == nil && query.Has(limitField) {
		var bad error
		if limit, bad = strconv.Atoi(query.Get(limitField)); bad != nil || limit < 1 || limit > maxPage {
			err = &abi.FieldError{Field: limitField, Rule: fmt.Sprintf("must be 1 to %d", maxPage)}
		}
	}
	var list api.Jobs
	if err == nil {
		list.Jobs, list.Next, err = s.jobs.Page(owner, query.Get(cursorField), limit, states...)
	}
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	writeList(w, list)
}

// getJob is GET /v1/jobs/{id}.
func (s *Server) getJob(w http.ResponseWriter, r *http.Request) {
	owner, err := s.owner(r)
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	wait := preferredWait(r.Header.Values("Prefer"))
	if wait > 0 {
		a, ok := s.open(w, host.Transform{}, waitOverhead)
		if !ok {
			return
		}
		defer a.close()
	}
	job, err := s.waitFor(r, owner, r.PathValue("id"), wait)
	if err != nil {
		s.failJob(w, r, err)
		return
	}
	applied(w, wait)
	writeJSON(w, job)
}

// applied says how long the answer has waited, at most.
func applied(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
}

// waitFor returns a job once it is over, or wait has passed. The error is an [*auth.Error] if who asks
// has been withdrawn meanwhile.
func (s *Server) waitFor(r *http.Request, owner jobs.Owner, id string, wait time.Duration) (api.Job, error) {
	if wait == 0 {
		return s.jobs.Get(owner, id)
	}
	until, cancel := auth.Of(r.Context()).Until(r.Context())
	defer cancel()
	ctx, cancel := context.WithTimeout(until, wait)
	defer cancel()
	job, err := s.jobs.Wait(ctx, owner, id)
	if withdrawn := (*auth.Error)(nil); err == nil && errors.As(context.Cause(until), &withdrawn) {
		err = withdrawn
	}
	return job, err
}

// waitForNew waits for a job that the request has submitted, as far as the client prefers that and there
// is room. The job is taken in any case.
func (s *Server) waitForNew(w http.ResponseWriter, r *http.Request, owner jobs.Owner, job api.Job) api.Job {
	wait, a := preferredWait(r.Header.Values("Prefer")), &account{of: s.held}
	if wait == 0 || !a.Take(waitOverhead, false) {
		return job
	}
	defer a.close()
	applied(w, wait)
	if later, err := s.waitFor(r, owner, job.ID, wait); err == nil {
		return later
	}
	return job
}

// preferredWait is how long a client prefers to wait for an answer (RFC 7240), as far as it is
// granted; 0 if it does not say, or says it in a way that is none.
func preferredWait(prefer []string) time.Duration {
	for _, header := range prefer {
		for preference := range strings.SplitSeq(header, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			// The first counts.
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
			if err != nil {
				return 0
			}
			return min(time.Duration(n)*time.Second, maxWait)
		}
	}
	return 0
}
