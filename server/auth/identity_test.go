package auth_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
)

// request is one with headers Authorization, from an address.
func request(from string, authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = from
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	return r
}

// identity is one with a file of tokens.
func identity(t *testing.T, o auth.Options, file string) *auth.Identity {
	t.Helper()
	i := auth.New(o)
	if _, err := i.SetTokens([]byte(file)); err != nil {
		t.Fatal(err)
	}
	return i
}

// refused is what an error says of a request.
func refused(t *testing.T, err error) *auth.Error {
	t.Helper()
	var e *auth.Error
	if !errors.As(err, &e) {
		t.Fatalf("err is %v, want an *auth.Error", err)
	}
	return e
}

// samplesOf are the values of metrics, by their names and labels.
func samplesOf(t *testing.T, of []prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(of...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			words := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				words = append(words, l.GetValue())
			}
			all[strings.Join(words, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

func TestAuthenticate(t *testing.T) {
	token, hashed := auth.NewToken()
	unknown, _ := auth.NewToken()
	i := identity(t, auth.Options{}, "ci "+hashed+" scopes=call,read tenant=acme transforms=cascade,tick.*\n")
	for _, header := range []string{"Bearer " + token, "bearer  " + token + " "} {
		p, err := i.Authenticate(request("192.0.2.1:1", header))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if p.Name() != "ci" || p.Anonymous() || !p.Has(auth.ScopeRead) || p.Has(auth.ScopeAdmin) || !p.Has(auth.ScopeNone) {
			t.Errorf("%+v", p.Grant())
		}
		for transform, may := range map[string]bool{"cascade": true, "cascade.x": false, "tick.node": true, "tick": false, "": false} {
			if err := p.MayCall(transform); (err == nil) != may {
				t.Errorf("call %q: %v", transform, err)
			}
		}
		e := refused(t, p.Require(auth.ScopeAdmin))
		if e.Kind != api.KindForbidden || e.Detail != "ci lacks the scope admin" || e.Challenge != `Bearer realm="resonhost", error="insufficient_scope", scope="admin"` {
			t.Errorf("%+v", e)
		}
	}
	for name, c := range map[string]struct {
		headers           []string
		detail, challenge string
	}{
		"none":       {nil, "a token is needed: send the header Authorization: Bearer TOKEN", `Bearer realm="resonhost"`},
		"twice":      {[]string{"Bearer " + token, "Bearer " + token}, "the header Authorization is there twice", ""},
		"empty":      {[]string{""}, "the header Authorization must be Bearer and a token", ""},
		"basic":      {[]string{"Basic " + token}, "the header Authorization must be Bearer and a token", ""},
		"no scheme":  {[]string{token}, "the header Authorization must be Bearer and a token", ""},
		"no token":   {[]string{"Bearer"}, "what the header Authorization has is no token: one begins with rht_", ""},
		"its hash":   {[]string{"Bearer " + hashed}, "what the header Authorization has is no token: one begins with rht_", ""},
		"cut":        {[]string{"Bearer " + token[:52]}, "what the header Authorization has is a token of a wrong length; is it whole?", ""},
		"damaged":    {[]string{"Bearer " + token[:52] + "!"}, "what the header Authorization has is a damaged token: its checksum differs", ""},
		"unknown":    {[]string{"Bearer " + unknown}, "the token is not known", ""},
		"very long":  {[]string{"Bearer rht_" + strings.Repeat("x", 60<<10)}, "what the header Authorization has is a token of a wrong length; is it whole?", ""},
		"with blank": {[]string{"Bearer " + token + " x"}, "what the header Authorization has is a token of a wrong length; is it whole?", ""},
	} {
		p, err := i.Authenticate(request("192.0.2.1:1", c.headers...))
		e := refused(t, err)
		if c.challenge == "" {
			c.challenge = `Bearer realm="resonhost", error="invalid_token"`
		}
		if p != nil || (e.Kind != api.KindUnauthorized && e.Kind != api.KindRateLimited) || !strings.HasSuffix(e.Detail, c.detail) || e.Kind == api.KindUnauthorized && e.Challenge != c.challenge {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestNoAllocation has a good token cost nothing that the collector has to find.
func TestNoAllocation(t *testing.T) {
	token, hashed := auth.NewToken()
	i := identity(t, auth.Options{}, "ci "+hashed+" scopes=call rate=1000000/s")
	r := request("192.0.2.1:1", "Bearer "+token)
	if n := testing.AllocsPerRun(1000, func() {
		if p, err := i.Authenticate(r); err != nil || p.Require(auth.ScopeCall) != nil || p.MayCall("x") != nil || p.Take(1) != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { auth.Of(t.Context()) }); n != 0 {
		t.Errorf("%v allocations without an identity", n)
	}
}

// TestAnonymous may do everything, as without identities.
func TestAnonymous(t *testing.T) {
	p := auth.Of(t.Context())
	if !p.Anonymous() || p.Name() != "" || p.Require(auth.ScopeAdmin) != nil || p.MayCall("x") != nil || p.Take(1e9) != nil || nextOf(p) != nil {
		t.Errorf("%+v", p)
	}
	q := auth.NewPrincipal(auth.Grant{Name: "q"})
	if auth.Of(auth.With(t.Context(), q)) != q {
		t.Error("another one")
	}
}

func nextOf(p *auth.Principal) error {
	_, _, err := p.Next()
	return err
}

// TestTenant has the principal's tenant hold.
func TestTenant(t *testing.T) {
	own := auth.NewPrincipal(auth.Grant{Name: "p", Tenant: "acme"})
	gate := auth.NewPrincipal(auth.Grant{Name: "g", Tenant: "g", AnyTenant: true})
	for _, c := range []struct {
		p     *auth.Principal
		named []string
		want  string
	}{
		{own, nil, "acme"},
		{own, []string{"acme"}, "acme"},
		{own, []string{"other"}, `p acts for the tenant "acme" alone`},
		{own, []string{""}, `p acts for the tenant "acme" alone`},
		{own, []string{"acme", "other"}, `p acts for the tenant "acme" alone`},
		{gate, nil, "g"},
		{gate, []string{"other"}, "other"},
	} {
		got, err := c.p.TenantOf(c.named)
		if err != nil {
			got = refused(t, err).Detail
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.named, got, c.want)
		}
	}
}

// TestRate spends a rate, by tasks and by lines.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := auth.NewPrincipal(auth.Grant{Name: "p", Rate: 2, Burst: 2})
		if err := errors.Join(p.Take(1), p.Take(1)); err != nil {
			t.Fatal(err)
		}
		e := refused(t, p.Take(1))
		if e.Kind != api.KindRateLimited || e.RetryAfter != 500*time.Millisecond || e.Detail != "p may begin 2 tasks a second, and 2 at once" {
			t.Errorf("%+v", e)
		}
		for n := range 3 {
			wait, undo, err := p.Next()
			if err != nil || wait != time.Duration(n+1)*500*time.Millisecond {
				t.Errorf("the next is to wait %v: %v", wait, err)
			}
			if n == 2 {
				undo()
			}
		}
		if wait, _, err := p.Next(); err != nil || wait != 1500*time.Millisecond {
			t.Errorf("after one that gave its place back the next is to wait %v: %v", wait, err)
		}
	})
}

// TestReload replaces the tokens: who has the same line goes on, the others are withdrawn.
func TestReload(t *testing.T) {
	a, hashOfA := auth.NewToken()
	b, hashOfB := auth.NewToken()
	c, hashOfC := auth.NewToken()
	i := identity(t, auth.Options{}, "a "+hashOfA+" scopes=call rate=1/h\nb "+hashOfB+","+hashOfC+" scopes=call rate=1/h\n")
	who := func(token string) *auth.Principal {
		p, err := i.Authenticate(request("192.0.2.1:1", "Bearer "+token))
		if err != nil {
			return nil
		}
		return p
	}
	pa, pb, pc := who(a), who(b), who(c)
	if err := errors.Join(pa.Take(1), pb.Take(1)); err != nil {
		t.Fatal(err)
	}
	if pc.Take(1) == nil {
		t.Error("a name's tokens have a rate each")
	}

	entries, err := i.SetTokens([]byte("a " + hashOfA + " scope=read"))
	if err == nil || entries != nil || who(a) != pa || who(b) != pb || pa.Withdrawn() {
		t.Errorf("after a broken file: %v", err)
	}
	if _, err := i.SetTokens([]byte("# another line\nb " + hashOfC + " scopes=call,read rate=1/h\na " + hashOfA + " scopes=call rate=1/h\n")); err != nil {
		t.Fatal(err)
	}
	if who(a) != pa || pa.Withdrawn() || pa.Take(1) == nil {
		t.Error("a's line is the same, and a is another, or has its rate anew")
	}
	if who(b) != nil || !pb.Withdrawn() {
		t.Error("b's first token holds on")
	}
	if p := who(c); p == pc || !pc.Withdrawn() || !p.Has(auth.ScopeRead) || p.Take(1) == nil {
		t.Error("b's second token has what it had, or its rate anew")
	}
	if e := refused(t, nextOf(pb)); e.Kind != api.KindUnauthorized || e.Detail != "b has been withdrawn or changed" {
		t.Errorf("%+v", e)
	}
}

// TestReloadMeanwhile replaces tokens while others ask.
func TestReloadMeanwhile(t *testing.T) {
	token, hashed := auth.NewToken()
	i := identity(t, auth.Options{}, "a "+hashed+" scopes=call")
	var asking sync.WaitGroup
	for n := range 4 {
		asking.Go(func() {
			for range 500 {
				if _, err := i.Authenticate(request(fmt.Sprintf("192.0.2.%d:1", n), "Bearer "+token)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 100 {
		if _, err := i.SetTokens(fmt.Appendf(nil, "a%d %s scopes=call", n, hashed)); err != nil {
			t.Error(err)
		}
	}
	asking.Wait()
}

// TestAttempts has addresses fail too often. It looks at no good token later.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		token, hashed := auth.NewToken()
		wrong, _ := auth.NewToken()
		i := identity(t, auth.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, "a "+hashed+" scopes=call")
		kind := func(from, token string) host.Kind {
			r := request(from, "Bearer "+token)
			r.Header.Set("X-Forwarded-For", fmt.Sprint(time.Now().UnixNano())) // of which nobody knows who wrote it
			if _, err := i.Authenticate(r); err != nil {
				return refused(t, err).Kind
			}
			return ""
		}
		fail := func(from string, n int, want host.Kind) {
			t.Helper()
			for range n {
				if got := kind(from, wrong); got != want {
					t.Fatalf("%s: %s, want %s", from, got, want)
				}
			}
		}
		fail("192.0.2.1:1", 10, api.KindUnauthorized)
		fail("192.0.2.1:2", 5, api.KindRateLimited) // whatever the port
		fail("[::ffff:192.0.2.1]:1", 1, api.KindRateLimited)
		fail("192.0.2.2:1", 10, api.KindUnauthorized)
		for n := range 10 {
			fail(fmt.Sprintf("[2001:db8::%x%%eth0]:1", n), 1, api.KindUnauthorized)
		}
		fail("[2001:db8::ffff:0:0:1]:1", 1, api.KindRateLimited) // of the same 64 bits
		fail("[2001:db8:0:1::]:1", 10, api.KindUnauthorized)
		if got := kind("192.0.2.1:1", token); got != "" {
			t.Errorf("a good token from the same address: %s", got)
		}
		_, err := i.Authenticate(request("192.0.2.1:1", "Bearer "+wrong))
		if e := refused(t, err); e.RetryAfter != time.Minute || e.Delay != auth.Penalty {
			t.Errorf("%+v", e)
		}
		if kind("192.0.2.1:1", "") != api.KindRateLimited {
			t.Error("what is no token is no attempt")
		}
		for range 20 { // to send none is no attempt
			if _, err := i.Authenticate(request("192.0.2.9:1")); refused(t, err).Kind != api.KindUnauthorized {
				t.Fatal(err)
			}
		}
		if n := strings.Count(log.String(), "too many failed attempts"); n != 2 {
			t.Errorf("two addresses failed too often, the log tells of %d", n)
		}
		for _, secret := range []string{token, wrong, token[:12], wrong[:12]} {
			if strings.Contains(log.String(), secret) {
				t.Fatalf("the log has a token:\n%s", log.String())
			}
		}
		time.Sleep(time.Minute)
		fail("192.0.2.1:1", 10, api.KindUnauthorized)
		got := samplesOf(t, i.Collectors())
		if got["resonhost_auth_refused_total missing"] != 20 || got["resonhost_auth_refused_total limited"] != 9 || got["resonhost_auth_refused_total unknown"] != 50 || got["resonhost_auth_credentials"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// TestMillions has a million addresses send wrong tokens, which take a bounded memory.
func TestMillions(t *testing.T) {
	i := identity(t, auth.Options{}, "")
	wrong, _ := auth.NewToken()
	r := request("", "Bearer "+wrong)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, limited := heap(), 0
	for n := range 1_000_000 {
		r.RemoteAddr = fmt.Sprintf("[2001:db8:%x:%x::1]:1", n>>16, n&0xffff)
		_, err := i.Authenticate(r)
		if refused(t, err).Kind == api.KindRateLimited {
			limited++
		}
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	if limited < 900_000 {
		t.Errorf("%d were limited", limited)
	}
}

// certified is a request over TLS with a verified certificate.
func certified(c *x509.Certificate, authorization ...string) *http.Request {
	r := request("192.0.2.1:1", authorization...)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	return r
}

func TestCertificates(t *testing.T) {
	token, hashed := auth.NewToken()
	_, hashOfAlice := auth.NewToken()
	valid := func(c *x509.Certificate) *x509.Certificate {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		return c
	}
	spiffe, err := url.Parse("spiffe://example.org/ci")
	if err != nil {
		t.Fatal(err)
	}
	named := func(cn string) *x509.Certificate {
		return valid(&x509.Certificate{Subject: pkix.Name{CommonName: cn}})
	}
	file := "spiffe://example.org/ci cert scopes=admin\nann@example.com cert scopes=read\nweb.example.org cert scopes=call\nalice " + hashOfAlice + " scopes=read transforms=x rate=1/h\nops " + hashed + ",cert scopes=call,read"
	const lacksCert = "the line of the tokens with a name of the client certificate lacks cert"
	strict, open := identity(t, auth.Options{}, file), identity(t, auth.Options{CertificateScopes: []auth.Scope{auth.ScopeRead}}, file)
	for name, c := range map[string]struct {
		cert         *x509.Certificate
		strict, open string
	}{
		"common name":    {named("ops"), "ops [call read]", "ops [call read]"},
		"URI":            {valid(&x509.Certificate{URIs: []*url.URL{spiffe}, DNSNames: []string{"web.example.org"}}), "spiffe://example.org/ci [admin]", "spiffe://example.org/ci [admin]"},
		"e-mail":         {valid(&x509.Certificate{EmailAddresses: []string{"ann@example.com"}, Subject: pkix.Name{CommonName: "ops"}}), "ann@example.com [read]", "ann@example.com [read]"},
		"DNS":            {valid(&x509.Certificate{DNSNames: []string{"x.example.org", "web.example.org"}}), "web.example.org [call]", "web.example.org [call]"},
		"without cert":   {named("alice"), lacksCert, lacksCert}, // else it would go past alice's transforms and rate
		"one without":    {valid(&x509.Certificate{DNSNames: []string{"other"}, Subject: pkix.Name{CommonName: "alice"}}), lacksCert, lacksCert},
		"another":        {named("other"), "no line of the tokens has a name of the client certificate", "other [read]"},
		"none":           {valid(&x509.Certificate{}), "no line of the tokens has a name of the client certificate", "no line of the tokens has a name of the client certificate"},
		"like a token":   {named(token), "no line of the tokens has a name of the client certificate", "no line of the tokens has a name of the client certificate"},
		"expired":        {&x509.Certificate{Subject: pkix.Name{CommonName: "ops"}, NotAfter: time.Now().Add(-time.Second)}, "the client certificate is not valid at this time", "the client certificate is not valid at this time"},
		"with a control": {named("a\nb"), "no line of the tokens has a name of the client certificate", "no line of the tokens has a name of the client certificate"},
	} {
		for i, want := range map[*auth.Identity]string{strict: c.strict, open: c.open} {
			p, err := i.Authenticate(certified(c.cert))
			var got string
			if err != nil {
				got = refused(t, err).Detail
			} else {
				got = fmt.Sprint(p.Name(), " ", p.Grant().Scopes)
			}
			if got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
	// A token goes before the certificate, also a wrong one.
	if p, err := strict.Authenticate(certified(named("web.example.org"), "Bearer "+token)); err != nil || p.Name() != "ops" {
		t.Errorf("%v", err)
	}
	if _, err := strict.Authenticate(certified(named("ops"), "Bearer x")); err == nil {
		t.Error("a wrong token is as good as none")
	}
	// A certificate that nothing has verified is none.
	r := certified(named("ops"))
	r.TLS.VerifiedChains = nil
	if _, err := strict.Authenticate(r); err == nil {
		t.Error("nobody has verified it")
	}
}

// BenchmarkAuthenticate is what a request's token costs: its hash, and the look-up.
func BenchmarkAuthenticate(b *testing.B) {
	token, hashed := auth.NewToken()
	who := auth.New(auth.Options{})
	if _, err := who.SetTokens([]byte("ann " + hashed + " scopes=call\n")); err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/transforms/cascade", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := who.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
