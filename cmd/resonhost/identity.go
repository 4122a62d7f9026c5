package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/server/auth"
)

// access is who may call a server, and over what.
type access struct {
	files    auth.Files
	scopes   *[]auth.Scope // of certificates without a line; nil for the default
	audit    string
	insecure bool
	// asksNobody is of a command that cannot ask.
	asksNobody bool
}

// identitySettings are about who may call.
func (o *options) identitySettings() []setting {
	a := &o.access
	return []setting{
		{"tokens", "ask callers for a token of `FILE`, which resonhost token new writes; it is read again when it changes", "", value.Text(&a.files.Tokens)},
		{"tls-cert", "serve HTTPS with the certificate of `FILE` in PEM, its chain after it; it is read again when it changes", "", value.Text(&a.files.Certificate)},
		{"tls-key", "`FILE` has the key of --tls-cert", "", value.Text(&a.files.Key)},
		{"tls-client-ca", "take client certificates that an authority of `FILE` has signed; lines of --tokens have their names", "", value.Text(&a.files.ClientCA)},
		{"tls-client-scopes", "give client certificates without a line in --tokens the scopes of `LIST`, with commas, or none", "call,read without --tokens, else none", scopes{&a.scopes}},
		insecureSetting(&a.insecure),
		{"audit", "append a line of JSON to `FILE` for each admin action and each reading of tokens and certificates", "", value.Text(&a.audit)},
	}
}

func insecureSetting(p *bool) setting {
	return setting{"insecure", "let anybody call who can reach an address beyond this machine", "", value.Toggle{P: p}}
}

// scopes are words with commas between, or none.
type scopes struct{ p **[]auth.Scope }

// String returns what Set has taken.
func (v scopes) String() string {
	switch {
	case v.p == nil || *v.p == nil:
		return ""
	case len(**v.p) == 0:
		return "none"
	}
	return scopeList(**v.p)
}

func (v scopes) Set(s string) error {
	list := []auth.Scope{}
	if s != "none" {
		var rule string
		if list, rule = auth.ParseScopes(s); rule != "" {
			return errors.New(rule + `, and "none"`)
		}
	}
	*v.p = &list
	return nil
}

// asks reports whether callers have to show who they are.
func (a *access) asks() bool { return a.files.Tokens != "" || a.files.ClientCA != "" }

// checkExposed refuses an address that others can reach if nobody is asked who they are.
func (a *access) checkExposed(listen string, local bool) error {
	if local || a.insecure || a.asks() {
		return nil
	}
	cure := "say who may: --tokens FILE, which resonhost token new writes, or --tls-client-ca FILE; or say --insecure if something else keeps them out"
	if a.asksNobody {
		cure = "take an address of the loopback interface, or say --insecure if something else keeps them out"
	}
	return usagef("--listen %s: others can reach this address, and could run tasks and change plugins; %s", listen, cure)
}

// guard refuses an address at which a listener is, if others can reach it and nobody is asked who they
// are. It is known only then who reaches a name, and what stands for all addresses. Otherwise it warns
// of what others can do. A socket of the file system has permissions of its own.
func (a *access) guard(at net.Addr, listen string, log *slog.Logger) error {
	local := at.Network() == "unix"
	if tcp, ok := at.(*net.TCPAddr); ok {
		local = tcp.IP.IsLoopback() // also of an address of IPv4 in IPv6
	}
	if err := a.checkExposed(listen, local); err != nil {
		return err
	}
	switch {
	case local:
	case !a.asks():
		log.Warn("anybody who can reach this address can run tasks and change plugins (--insecure)")
	case a.files.Certificate == "":
		log.Warn("tokens and tasks cross the network unencrypted; set --tls-cert and --tls-key, or have a proxy encrypt them")
	}
	return nil
}

// staysLocal reports whether an address that nobody listens at yet is of this machine alone. A name
// that nothing resolves counts as one: to listen there will tell.
func staysLocal(ctx context.Context, addr string) bool {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // which is told
	}
	if name == "" {
		return false
	}
	all, err := net.DefaultResolver.LookupIPAddr(ctx, name)
	if err != nil {
		return true
	}
	for _, a := range all {
		if !a.IP.IsLoopback() {
			return false
		}
	}
	return true
}

// checkAccess checks what can be told without any file.
func (a *access) checkAccess() error {
	f := &a.files
	switch {
	case (f.Certificate == "") != (f.Key == ""):
		return usagef("--tls-cert and --tls-key: must be set together")
	case f.ClientCA != "" && f.Certificate == "":
		return usagef("--tls-client-ca: needs --tls-cert and --tls-key, as clients show certificates over TLS alone")
	}
	return nil
}

// check says all that is wrong with who may call, as far as files tell. It makes none.
func (a *access) check(ctx context.Context, listen string) error {
	errs := []error{a.checkAccess(), a.checkExposed(listen, staysLocal(ctx, listen))}
	if errs[0] == nil {
		k, err := auth.Open(a.files)
		if errs = append(errs, fileFault(err)); err == nil {
			k.Close()
		}
	}
	return errors.Join(errs...)
}

// openAccess reads the files, and follows them. It opens the audit file, too.
func (a *access) openAccess(log *slog.Logger) (*auth.Keeper, *auth.Trail, error) {
	if err := a.checkAccess(); err != nil {
		return nil, nil, err
	}
	trail, err := auth.NewTrail(log, a.audit)
	if err != nil {
		return nil, nil, usagef("--audit %s: %w", a.audit, reason(err))
	}
	f := a.files
	f.Logger, f.Audit = log, trail
	switch {
	case a.scopes != nil:
		f.CertificateScopes = *a.scopes
	case f.Tokens == "":
		f.CertificateScopes = []auth.Scope{auth.ScopeCall, auth.ScopeRead}
	}
	k, err := auth.Open(f)
	if err != nil {
		return nil, nil, errors.Join(fileFault(err), trail.Close())
	}
	return k, trail, nil
}

// fileFlags are the flags of auth.Files.
var fileFlags = map[string]string{"Tokens": "--tokens", "Certificate": "--tls-cert", "Key": "--tls-key", "ClientCA": "--tls-client-ca"}

// fileFault says what is wrong with a file in terms of the command, by its lines if it has some.
func fileFault(err error) error {
	file := (*auth.FileError)(nil)
	if !errors.As(err, &file) {
		return err
	}
	var lines []string
	for _, e := range each(file.Err) {
		line := (*auth.LineError)(nil)
		if errors.As(e, &line) {
			lines = append(lines, fmt.Sprintf("%s:%d: %s: %s", file.Path, line.Line, line.Field, line.Rule))
		} else {
			line := fmt.Sprintf("%s %s: %v", fileFlags[file.Field], file.Path, e)
			if file.Field == "Tokens" && errors.Is(e, fs.ErrNotExist) {
				line += "; resonhost token new makes one"
			}
			lines = append(lines, line)
		}
	}
	return usagef("%s", strings.Join(lines, "\n"))
}

// quiet is a handler of net/http's own log. Anybody can have it tell of handshakes that fail, as often
// as they like: of these it logs some, and how many there were before.
type quiet struct {
	slog.Handler

	limit *rate.Limiter
	left  *atomic.Int64 // how many were left out since the last that was logged
}

// handshake is how net/http's messages begin of clients that do not speak TLS as the server does.
const handshake = "http: TLS handshake error"

func newQuiet(h slog.Handler) quiet {
	return quiet{h, rate.NewLimiter(1, 10), new(atomic.Int64)}
}

// Handle implements [slog.Handler].
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, handshake) {
		return q.Handler.Handle(ctx, r)
	}
	if !q.limit.Allow() {
		q.left.Add(1)
		return nil
	}
	r.AddAttrs(slog.Int64("left_out", q.left.Swap(0)))
	return q.Handler.Handle(ctx, r)
}
