package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/server/auth"
)

// admit returns a request with who has sent it, if that principal has the scope. Otherwise it has
// answered. A server without identities admits all. A route without a scope admits all, also on a
// connection beyond the most there may be: a probe is to learn that the server lives.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, scope auth.Scope) (*http.Request, bool) {
	switch {
	case scope == auth.ScopeNone:
		return r, true
	case s.refuseOver(w, r):
		return nil, false
	case s.opts.Identity == nil:
		return r, true
	}
	p, err := s.opts.Identity.Authenticate(r)
	if err == nil {
		err = p.Require(scope)
	}
	if err != nil && scope == auth.ScopeAdmin {
		s.auditRefused(r, p, err)
	}
	if err != nil {
		s.refuse(w, r, err)
		return nil, false
	}
	return r.WithContext(auth.With(r.Context(), p)), true
}

// auditRefused keeps that somebody tried what administrators alone may do.
func (s *Server) auditRefused(r *http.Request, who *auth.Principal, err error) {
	action := r.PathValue("action")
	if action == "" {
		action = r.Pattern
	}
	recorded := s.opts.Audit.Refused(r, who, foreign.Cut(action), foreign.Cut(r.PathValue("name")), err)
	s.refused.WithLabelValues(strconv.FormatBool(recorded)).Inc()
}

// maxDelayed is how many refusals may wait at once. Beyond it they are answered at once: each takes
// memory while it waits.
const maxDelayed = 1024

// refuse answers a request for the sake of who has sent it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := (*auth.Error)(nil)
	if !errors.As(err, &e) {
		s.log.ErrorContext(r.Context(), "who sent a request cannot be told", "error", err)
		writeProblem(w, problem(host.KindHost, "", "who sent the request cannot be told; the server has logged why"))
		return
	}
	s.delay(r, e.Delay)
	if e.Challenge != "" {
		w.Header().Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	writeProblem(w, problem(e.Kind, "", e.Detail))
}

// delay waits before the answer to somebody who comes too often.
func (s *Server) delay(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case s.delayed <- struct{}{}:
		defer func() { <-s.delayed }()
	default:
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.draining:
	case <-r.Context().Done():
	}
}

// tenantOf returns on whose behalf a request's tasks are: whom its sender acts for, if that is known,
// or else whom its header names, if that is believed.
func (s *Server) tenantOf(r *http.Request) (string, error) {
	names, who := r.Header.Values(HeaderTenant), auth.Of(r.Context())
	switch {
	case who.Anonymous() && !s.opts.TrustTenant:
		return "", nil
	case len(names) > 1:
		return "", &abi.FieldError{Field: HeaderTenant, Rule: "must not be there twice"}
	case len(names) == 1 && len(names[0]) > host.MaxTenant:
		return "", &abi.FieldError{Field: HeaderTenant, Rule: fmt.Sprintf("must have at most %d bytes, has %d", host.MaxTenant, len(names[0]))}
	case !who.Anonymous():
		return who.TenantOf(names)
	case len(names) == 0:
		return "", nil
	}
	return names[0], nil
}

// sees returns whose tasks the sender of a request sees: a tenant's alone, or all if it is nil. All are
// seen by who has the scope admin and names no tenant that is believed: something that passes requests on for
// tenants names them, and what it gets is theirs.
func (s *Server) sees(r *http.Request) (tenant *string, err error) {
	of, err := s.tenantOf(r)
	if err != nil {
		return nil, err
	}
	who := auth.Of(r.Context())
	named := len(r.Header.Values(HeaderTenant)) > 0 && (s.opts.TrustTenant || !who.Anonymous())
	if who.Has(auth.ScopeAdmin) && !named {
		return nil, nil
	}
	return &of, nil
}
