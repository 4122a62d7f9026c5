package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// Scopes returns the scopes that a principal may have, in the order in which they are shown.
func Scopes() []Scope { return []Scope{ScopeCall, ScopeRead, ScopeAdmin} }

// Grant is what somebody may do.
type Grant struct {
	// Name is the principal's, which logs and audit records show.
	Name string
	// Scopes are what it may do.
	Scopes []Scope
	// Tenant is on whose behalf its tasks run, see [host.Client].
	Tenant string
	// AnyTenant has the principal say in each request on whose behalf it acts. It is for services
	// that have identified their own callers. Tenant holds where a request does not say.
	AnyTenant bool
	// Transforms are the names of the transforms that it may call; one that ends in * stands for
	// all that begin so. None stands for all.
	Transforms []string
	// Rate is how many tasks it may begin a second, and Burst how many at once; 0 for no limit. A
	// line of JSON lines is a task. A Burst below 1 counts as 1.
	Rate  float64
	Burst int
	// Urgent is whether its jobs may go before those of others, see [host.PriorityUrgent].
	Urgent bool
}

// Principal is who sent a request. It is safe for concurrent use.
type Principal struct {
	grant  Grant
	limit  *rate.Limiter   // nil without a rate
	ctx    context.Context // ends when the principal is withdrawn
	end    context.CancelFunc
	anyone bool
}

// NewPrincipal returns one that may do what is granted.
func NewPrincipal(g Grant) *Principal {
	return newPrincipal(g, limiter(g))
}

func newPrincipal(g Grant, limit *rate.Limiter) *Principal {
	p := &Principal{grant: g, limit: limit}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

// limiter returns what keeps somebody to a rate, nil without one.
func limiter(g Grant) *rate.Limiter {
	if g.Rate <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(g.Rate), max(g.Burst, 1))
}

// anonymous is who sends requests to a server without identities: it may do everything.
var anonymous = &Principal{grant: Grant{Scopes: Scopes(), Urgent: true}, ctx: context.Background(), anyone: true}

type principalKey struct{}

// With returns a context of a request that the principal sent.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// Of returns who sent the request of a context. Where a server has no identities, that is one that
// may do everything, and whose Name is "".
func Of(ctx context.Context) *Principal {
	if p, ok := ctx.Value(principalKey{}).(*Principal); ok {
		return p
	}
	return anonymous
}

// Name is the principal's, "" of an anonymous one.
func (p *Principal) Name() string { return p.grant.Name }

// Anonymous reports whether nobody was asked who they are.
func (p *Principal) Anonymous() bool { return p.anyone }

// Grant returns what the principal may do. Its lists are not to be changed.
func (p *Principal) Grant() Grant { return p.grant }

// Has reports whether the principal has a scope. All have [ScopeNone] and [ScopeAny].
func (p *Principal) Has(s Scope) bool {
	return s == ScopeNone || s == ScopeAny || slices.Contains(p.grant.Scopes, s)
}

// Require returns the error of a request that lacks a scope.
func (p *Principal) Require(s Scope) error {
	if p.Has(s) {
		return nil
	}
	return &Error{
		Kind: api.KindForbidden, Detail: fmt.Sprintf("%s lacks the scope %s", p.grant.Name, s),
		Challenge: `Bearer realm="resonhost", error="insufficient_scope", scope="` + string(s) + `"`,
	}
}

// MayCall returns the error of a request for a transform that the principal may not call.
func (p *Principal) MayCall(transform string) error {
	if p.grant.Transforms == nil || slices.ContainsFunc(p.grant.Transforms, func(pattern string) bool { return matches(pattern, transform) }) {
		return nil
	}
	// It need not say whether there is such a transform.
	return &Error{Kind: api.KindForbidden, Detail: p.grant.Name + " may not call this transform"}
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// MayChoose returns the error of a request for a priority that the principal may not choose.
func (p *Principal) MayChoose(priority host.Priority) error {
	if priority != host.PriorityUrgent || p.grant.Urgent {
		return nil
	}
	return &Error{Kind: api.KindForbidden, Detail: p.grant.Name + " may not have urgent jobs; its line of the tokens lacks priority=urgent"}
}

// TenantOf returns on whose behalf a request is that names the tenants, which come from a header.
// One that names another than its own is an error: its sender would take its streams for another's.
func (p *Principal) TenantOf(named []string) (string, error) {
	switch {
	case len(named) == 0:
		return p.grant.Tenant, nil
	case p.grant.AnyTenant:
		return named[0], nil
	case slices.ContainsFunc(named, func(n string) bool { return n != p.grant.Tenant }):
		return "", &Error{Kind: api.KindForbidden, Detail: fmt.Sprintf("%s acts for the tenant %q alone", p.grant.Name, p.grant.Tenant)}
	}
	return p.grant.Tenant, nil
}

// Take counts n tasks that are to begin now. Its error says when there is room for one again.
func (p *Principal) Take(n int) error {
	if p.limit == nil {
		return nil
	}
	now := time.Now()
	if p.limit.AllowN(now, n) {
		return nil
	}
	after := time.Second
	if r := p.limit.ReserveN(now, min(n, p.limit.Burst())); r.OK() {
		after = r.DelayFrom(now)
		r.CancelAt(now)
	}
	return &Error{
		Kind: api.KindRateLimited, RetryAfter: after,
		Detail: fmt.Sprintf("%s may begin %s tasks a second, and %d at once", p.grant.Name, trim(p.grant.Rate), p.limit.Burst()),
	}
}

// Next counts a task that begins as soon as the rate allows it, and returns how long it is to wait
// until then. One that will not begin after all gives its place back with undo, which is nil if there
// is no wait. The error is that the principal has been withdrawn.
func (p *Principal) Next() (wait time.Duration, undo func(), err error) {
	switch {
	case p.Withdrawn():
		return 0, nil, p.gone()
	case p.limit == nil:
		return 0, nil, nil
	}
	r := p.limit.Reserve()
	if wait = r.Delay(); wait <= 0 {
		return 0, nil, nil
	}
	return wait, r.Cancel, nil
}

func (p *Principal) gone() error {
	return &Error{Kind: api.KindUnauthorized, Detail: p.grant.Name + " has been withdrawn or changed", Challenge: challengeInvalid}
}

// Until returns a context that ends with ctx, and once the principal is withdrawn. Its cause is an
// [*Error] then. cancel is to be called.
func (p *Principal) Until(ctx context.Context) (until context.Context, cancel context.CancelFunc) {
	until, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { end(p.gone()) })
	return until, func() {
		stop()
		end(nil)
	}
}

// Withdrawn reports whether the principal's line has gone, or its rights have changed, since the
// request was let in: what goes on for long ends then.
func (p *Principal) Withdrawn() bool { return p.ctx.Err() != nil }

// Done returns a channel that is closed once the principal is withdrawn. It is nil of an anonymous
// one.
func (p *Principal) Done() <-chan struct{} { return p.ctx.Done() }

// trim shows a rate without digits that say nothing.
func trim(perSecond float64) string { return fmt.Sprintf("%.4g", perSecond) }

// Error is why a request is refused.
type Error struct {
	// Kind is api.KindUnauthorized, api.KindForbidden or api.KindRateLimited.
	Kind host.Kind
	// Detail is for the caller. It has nothing of what the caller sent as a secret.
	Detail string
	// Challenge is the header WWW-Authenticate of the answer, "" for none.
	Challenge string
	// RetryAfter is when to come again, 0 if that is not known.
	RetryAfter time.Duration
	// Delay is how long the answer is to wait: of those that come too often, so that they come less
	// often.
	Delay time.Duration
}

func (e *Error) Error() string { return e.Detail }

// Challenges of answers with 401.
const (
	challenge        = `Bearer realm="resonhost"`
	challengeInvalid = `Bearer realm="resonhost", error="invalid_token"`
)
