package fleet_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// does fails the test unless a fleet of a host and a client does a task.
func does(t *testing.T, f, client *fleet.Fleet) {
	t.Helper()
	work(t, f, hostile(t, time.Minute))
	s := submit(t, client, "")
	frames := client.Client("", host.PriorityNormal).Frames("hostile.echo", inputs(100, 10))
	echoed(t, frames, replies(t, s, send(t, s, frames...)))
	s.Close()
	if out, err := client.Client("", host.PriorityNormal).Run(t.Context(), "hostile.echo", []byte("a")); err != nil || string(out) != "a" {
		t.Errorf("a call: %q, error %v", out, err)
	}
}

// TestTLS has a fleet of a server that encrypts and asks clients for a certificate.
func TestTLS(t *testing.T) {
	authority, other := certtest.New(t), certtest.New(t)
	s := natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, 10
		o.TLSConfig = &tls.Config{
			Certificates: []tls.Certificate{authority.Server(t, "nats").TLS(t)}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
			MinVersion: tls.VersionTLS12,
		}
	})
	cfg := small(strings.Replace(s.URL(), "nats://", "tls://", 1), "a")
	cfg.TLS = &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{authority.Client(t, "host").TLS(t)}, MinVersion: tls.VersionTLS12}
	f := open(t, cfg)
	does(t, f, f)
	for name, bad := range map[string]*tls.Config{
		"another authority":           {RootCAs: other.Pool(), Certificates: cfg.TLS.Certificates, MinVersion: tls.VersionTLS12},
		"no certificate":              {RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
		"a certificate of a stranger": {RootCAs: authority.Pool(), Certificates: []tls.Certificate{other.Client(t, "host").TLS(t)}, MinVersion: tls.VersionTLS12},
		"the system's authorities":    nil,
	} {
		cfg.TLS = bad
		if _, err := fleet.Open(t.Context(), cfg); err == nil || errors.Is(err, nats.ErrNoServers) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// pair makes a pair of keys, and returns its public one.
func pair(t *testing.T, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	p, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := p.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p, public
}

// credentials makes an account with a user, which an operator signs, and returns the claims of the account and the file of the user.
func credentials(t *testing.T, operator nkeys.KeyPair, limits jwt.JetStreamLimits) (account, claims, file string) {
	t.Helper()
	accountKey, account := pair(t, nkeys.CreateAccount)
	of := jwt.NewAccountClaims(account)
	of.Limits.JetStreamLimits = limits
	claims, err := of.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	userKey, user := pair(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(user).Encode(accountKey)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := userKey.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return account, claims, file
}

// TestCredentials has a server of an operator with two accounts. Each has a fleet of the same name, and knows nothing of the other's.
func TestCredentials(t *testing.T) {
	operator, public := pair(t, nkeys.CreateOperator)
	unlimited := jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	system, systemClaims, _ := credentials(t, operator, jwt.JetStreamLimits{}) // which may have no JetStream
	account, claims, file := credentials(t, operator, unlimited)
	otherAccount, otherClaims, otherFile := credentials(t, operator, unlimited)
	_, _, stranger := credentials(t, operator, unlimited)
	resolver := &server.MemAccResolver{}
	for name, of := range map[string]string{system: systemClaims, account: claims, otherAccount: otherClaims} {
		if err := resolver.Store(name, of); err != nil {
			t.Fatal(err)
		}
	}
	s := natstest.Start(t, func(o *server.Options) {
		o.TrustedKeys, o.AccountResolver, o.SystemAccount = []string{public}, resolver, system
	})
	cfg := small(s.URL(), "a")
	cfg.Credentials = file
	f := open(t, cfg)
	cfg.Credentials = otherFile
	other := open(t, cfg)
	if _, err := other.Client("", host.PriorityNormal).Run(t.Context(), "hostile.echo", nil); host.KindOf(err) != host.KindUnavailable {
		t.Errorf("a fleet without hosts: error %v", err)
	}
	does(t, f, f)
	if _, err := other.Client("", host.PriorityNormal).Run(t.Context(), "hostile.echo", nil); host.KindOf(err) != host.KindUnavailable {
		t.Errorf("the hosts of another account: error %v", err)
	}
	for _, bad := range []string{"", stranger} {
		cfg.Credentials = bad
		if _, err := fleet.Open(t.Context(), cfg); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	cfg.Credentials = file + "x"
	if _, err := fleet.Open(t.Context(), cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
}

// TestPermissions has a client that may do what docs/how-to/fleet.md lists for clients. That is enough to submit and to call, and not
// to answer or to take frames.
func TestPermissions(t *testing.T) {
	user, file := key(t)
	owner, ownerFile := key(t)
	user.Permissions = &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"resonhost.default.task.*", "resonhost.default.call", "$JS.API.INFO", "$JS.API.STREAM.INFO.RESONHOST_default_TASKS",
			"$JS.API.STREAM.INFO.RESONHOST_default_RESULTS", "$JS.API.STREAM.INFO.RESONHOST_default_DEAD",
			"$JS.API.STREAM.MSG.GET.RESONHOST_default_TASKS", "$JS.API.DIRECT.GET.RESONHOST_default_RESULTS.>",
			"$JS.API.STREAM.PURGE.RESONHOST_default_RESULTS", "$JS.API.CONSUMER.*.RESONHOST_default_RESULTS.>", "$JS.API.CONSUMER.MSG.NEXT.RESONHOST_default_RESULTS.*",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{user, owner} })
	cfg := small(s.URL(), "a")
	cfg.NKey = ownerFile
	f := open(t, cfg)
	var log logged
	cfg.NKey, cfg.Name, cfg.Logger = file, "client", log.logger()
	client := open(t, cfg)
	does(t, f, client)
	if n := log.count("ermission"); n > 0 {
		t.Errorf("the client was refused something: %s", log.lines)
	}
	key, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{"resonhost.default.result.key.0", "$JS.API.CONSUMER.MSG.NEXT.RESONHOST_default_TASKS.worker", "resonhost.other.task.any"} {
		if _, err := nc.Request(subject, nil, 200*time.Millisecond); err == nil || errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: error %v", subject, err)
		}
	}
}
