package auth

import (
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/api"
)

// Options are how callers are identified.
type Options struct {
	// Logger receives failed attempts, of which it is told the address and the reason, some each
	// second at most; default discards them.
	Logger *slog.Logger
	// CertificateScopes are the scopes of a client certificate whose names no line of the tokens has;
	// none refuses it. A line's name without cert is refused too: else a certificate would go past
	// what its line allows.
	CertificateScopes []Scope
}

// Authenticator says who has sent a request. It is called at once by many.
type Authenticator interface {
	// Authenticate returns who has sent a request. An error that is no [*Error] is the server's own
	// fault. It must not read the request's body.
	Authenticate(r *http.Request) (*Principal, error)
}

var _ Authenticator = (*Identity)(nil)

// Identity knows who may call a server. It is safe for concurrent use.
type Identity struct {
	opts     Options
	change   sync.Mutex // one SetTokens at a time
	table    atomic.Pointer[table]
	attempts attempts
	logs     *rate.Limiter
	unlogged atomic.Int64 // failed attempts since the last that was logged
	refused  *prometheus.CounterVec
	known    prometheus.GaugeFunc
}

// table is what a file of tokens says. It is not changed once it is published.
type table struct {
	tokens       map[hash]*credential
	certificates map[string]*Principal // by name
	limits       map[string]*rate.Limiter
	names        map[string]bool // of all lines
}

// credential is a token. Each is a principal of its own, so that one can be withdrawn; those of a
// name share its rate.
type credential struct {
	hash      hash
	principal *Principal
}

// New returns an Identity that knows nobody yet.
func New(o Options) *Identity {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Identity{
		opts: o, logs: rate.NewLimiter(1, 20),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_auth_refused_total", Help: "Requests that did not show who sent them, by reason.",
		}, []string{"reason"}),
	}
	i.table.Store(&table{})
	i.known = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "resonhost_auth_credentials", Help: "Tokens, and names of certificates, that the file of tokens has.",
	}, func() float64 {
		t := i.table.Load()
		return float64(len(t.tokens) + len(t.certificates))
	})
	for _, reason := range []string{reasonMissing, reasonMalformed, reasonUnknown, reasonLimited, reasonCertificate} {
		i.refused.WithLabelValues(reason)
	}
	return i
}

// Reasons why requests are refused.
const (
	reasonMissing     = "missing"     // without a token or a certificate
	reasonMalformed   = "malformed"   // what was sent is no token
	reasonUnknown     = "unknown"     // what was sent is a token that the file does not have
	reasonLimited     = "limited"     // malformed or unknown, from an address that sends many
	reasonCertificate = "certificate" // the certificate is nobody's, or no longer valid
)

// Collectors returns the metrics of an Identity.
func (i *Identity) Collectors() []prometheus.Collector {
	return []prometheus.Collector{i.refused, i.known}
}

// SetTokens replaces what was read of a file of tokens before. With an error that still holds.
// Principals whose lines are the same stay what they are, with the rate that they have used up. The
// others are withdrawn, see [Principal.Withdrawn].
func (i *Identity) SetTokens(b []byte) ([]Entry, error) {
	entries, err := Parse(b)
	if err != nil {
		return nil, err
	}
	i.change.Lock()
	defer i.change.Unlock()
	before := i.table.Load()
	now := &table{tokens: make(map[hash]*credential), certificates: make(map[string]*Principal), limits: make(map[string]*rate.Limiter), names: make(map[string]bool)}
	for n := range entries {
		e := &entries[n]
		now.names[e.Name] = true
		limit := limiter(e.Grant)
		if old := before.limits[e.Name]; old != nil && limit != nil && old.Limit() == limit.Limit() && old.Burst() == limit.Burst() {
			limit = old
		}
		if limit != nil {
			now.limits[e.Name] = limit
		}
		keep := func(old *Principal) *Principal {
			if old != nil && reflect.DeepEqual(old.grant, e.Grant) {
				return old
			}
			return newPrincipal(e.Grant, limit)
		}
		for _, h := range e.hashes {
			var old *Principal
			if c := before.tokens[h]; c != nil {
				old = c.principal
			}
			now.tokens[h] = &credential{h, keep(old)}
		}
		if e.Certificate {
			now.certificates[e.Name] = keep(before.certificates[e.Name])
		}
	}
	i.table.Store(now)
	before.withdraw(now)
	return entries, nil
}

// Named returns the principals of the line of that name, one for each of its credentials.
func (i *Identity) Named(name string) (list []*Principal) {
	t := i.table.Load()
	for _, c := range t.tokens {
		if c.principal.Name() == name {
			list = append(list, c.principal)
		}
	}
	if p := t.certificates[name]; p != nil {
		list = append(list, p)
	}
	return list
}

// withdraw ends the principals of a table that another does not have.
func (t *table) withdraw(now *table) {
	for h, c := range t.tokens {
		if n := now.tokens[h]; n == nil || n.principal != c.principal {
			c.principal.end()
		}
	}
	for name, p := range t.certificates {
		if now.certificates[name] != p {
			p.end()
		}
	}
}

// Authenticate returns who has sent a request, by its token or else its client certificate. The
// error is an [*Error].
func (i *Identity) Authenticate(r *http.Request) (*Principal, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) > 0:
		return i.byToken(r, values)
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		return i.byCertificate(r, r.TLS.VerifiedChains[0][0])
	}
	i.refused.WithLabelValues(reasonMissing).Inc()
	return nil, &Error{Kind: api.KindUnauthorized, Detail: "a token is needed: send the header Authorization: Bearer TOKEN", Challenge: challenge}
}

func (i *Identity) byToken(r *http.Request, values []string) (*Principal, error) {
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case len(values) > 1:
		return nil, i.failed(r, reasonMalformed, "the header Authorization is there twice")
	case !strings.EqualFold(scheme, "Bearer"):
		return nil, i.failed(r, reasonMalformed, "the header Authorization must be Bearer and a token")
	}
	if len(token) == tokenLen {
		// The look-up is by a hash of what was sent: how long it takes tells nothing of a token.
		h := hashOf(token)
		if c := i.table.Load().tokens[h]; c != nil && subtle.ConstantTimeCompare(c.hash[:], h[:]) == 1 {
			return c.principal, nil
		}
	}
	if err := CheckToken(token); err != nil {
		return nil, i.failed(r, reasonMalformed, "what the header Authorization has "+err.Error())
	}
	return nil, i.failed(r, reasonUnknown, "the token is not known")
}

// byCertificate returns whose certificate the client has, which the TLS handshake has verified.
func (i *Identity) byCertificate(r *http.Request, c *x509.Certificate) (*Principal, error) {
	if now := time.Now(); now.After(c.NotAfter) || now.Before(c.NotBefore) { // since the connection began
		return nil, i.failed(r, reasonCertificate, "the client certificate is not valid at this time")
	}
	t, names := i.table.Load(), namesOf(c)
	for _, name := range names {
		if p := t.certificates[name]; p != nil {
			return p, nil
		}
	}
	for _, name := range names {
		if t.names[name] {
			return nil, i.failed(r, reasonCertificate, "the line of the tokens with a name of the client certificate lacks cert")
		}
	}
	for _, name := range names {
		if len(i.opts.CertificateScopes) > 0 && CheckName(name) == "" {
			return NewPrincipal(Grant{Name: name, Scopes: i.opts.CertificateScopes, Tenant: name}), nil
		}
	}
	return nil, i.failed(r, reasonCertificate, "no line of the tokens has a name of the client certificate")
}

// namesOf are the names that a certificate has, the most particular first.
func namesOf(c *x509.Certificate) (names []string) {
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(append(names, c.EmailAddresses...), c.DNSNames...)
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// Penalty is how long the answer to a failed attempt waits, once its address has had too many.
const Penalty = 500 * time.Millisecond

// failed counts an attempt that failed, and returns the error that answers it.
func (i *Identity) failed(r *http.Request, reason, detail string) error {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // what is no address is counted as one
	from := at.Addr()
	wait, first := i.attempts.failed(from, time.Now())
	switch {
	case first:
		i.opts.Logger.WarnContext(r.Context(), "too many failed attempts of an address; from now on they are answered late", "from", from, "reason", reason, "for", wait.Round(time.Second))
	case wait == 0 && i.logs.Allow():
		i.opts.Logger.InfoContext(r.Context(), "a request was refused", "from", from, "reason", reason, "before", i.unlogged.Swap(0))
	default:
		i.unlogged.Add(1)
	}
	if wait > 0 {
		i.refused.WithLabelValues(reasonLimited).Inc()
		return &Error{
			Kind: api.KindRateLimited, RetryAfter: wait, Delay: Penalty,
			Detail: fmt.Sprintf("too many failed attempts from this address; the last: %s", detail),
		}
	}
	i.refused.WithLabelValues(reason).Inc()
	return &Error{Kind: api.KindUnauthorized, Detail: detail, Challenge: challengeInvalid}
}
