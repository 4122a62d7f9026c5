package auth_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/server/auth"
)

// logged is a log that is written and read at the same time.
type logged struct{ logtest.Log }

// await waits until the log has so many of a text.
func (l *logged) await(t *testing.T, n int, text string) {
	t.Helper()
	for tick := time.NewTicker(5 * time.Millisecond); strings.Count(l.String(), text) < n; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("the log has not %d of %s:\n%s", n, text, l)
		}
	}
}

// kept is a keeper that a test follows in its log.
func kept(t *testing.T, f auth.Files) (*auth.Keeper, *logged) {
	t.Helper()
	log := new(logged)
	f.Logger = slog.New(slog.NewTextHandler(log, nil))
	trail, err := auth.NewTrail(f.Logger, "")
	if err != nil {
		t.Fatal(err)
	}
	f.Audit, f.Poll, f.Patience = trail, 50*time.Millisecond, 50*time.Millisecond
	k, err := auth.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return k, log
}

// TestKeepTokens changes a file of tokens.
func TestKeepTokens(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	token, hashed := auth.NewToken()
	write := func(text string) { certtest.Write(t, dir, map[string][]byte{"tokens": []byte(text)}) }
	write("a " + hashed + " scopes=call\n")
	k, log := kept(t, auth.Files{Tokens: filepath.Join(dir, "tokens")})
	defer k.Close()
	who := func() string {
		p, err := k.Identity().Authenticate(request("192.0.2.1:1", "Bearer "+token))
		if err != nil {
			return ""
		}
		return p.Name()
	}
	if who() != "a" {
		t.Errorf("it is %q", who())
	}
	write("b " + hashed + " scopes=call\n")
	log.await(t, 1, `msg=audit audit.who=file audit.from="" audit.action="reload tokens" audit.target=`+filepath.Join(dir, "tokens")+` audit.outcome=done audit.detail="names: 1"`)
	if who() != "b" {
		t.Errorf("it is %q", who())
	}
	write("c " + token + " scopes=call\n")
	log.await(t, 1, "files are broken; the server goes on with what they had before")
	log.await(t, 1, "audit.outcome=failed")
	if who() != "b" {
		t.Errorf("it is %q", who())
	}
	r := prometheus.NewRegistry()
	r.MustRegister(k.Collectors()...)
	got := samplesOf(t, k.Collectors())
	if got["resonhost_auth_reloads_total done tokens"] != 1 || got["resonhost_auth_reloads_total failed tokens"] != 1 || got["resonhost_auth_stale tokens"] != 1 {
		t.Errorf("%v", got)
	}
	lintMetrics(t, r)
	write("\n")
	log.await(t, 2, "audit.outcome=failed")
	log.await(t, 1, "is empty; resonhost token new adds a line")
	if who() != "b" {
		t.Errorf("with an empty file it is %q", who())
	}
	write("b " + hashed + " scopes=call\n") // as before: nothing is taken over
	log.await(t, 2, `audit.detail="names: 1"`)
	write("# nobody\n")
	k.Reload()
	log.await(t, 1, `audit.detail="names: 0"`)
	if who() != "" {
		t.Errorf("it is %q", who())
	}
	if strings.Contains(log.String(), token[:12]) {
		t.Errorf("the log has a token:\n%s", log)
	}
	k.Close()
	k.Close() // once more does nothing
}

func lintMetrics(t *testing.T, r *prometheus.Registry) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, err %v", problems, err)
	}
}

// files are those of a server with TLS in a directory.
func files(dir string) auth.Files {
	return auth.Files{Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca"), CertificateScopes: []auth.Scope{auth.ScopeRead}}
}

// TestKeepCertificate has clients with and without certificates come to a server whose own changes.
func TestKeepCertificate(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	ours, theirs := certtest.New(t), certtest.New(t)
	show := func(p certtest.Pair) { certtest.Write(t, dir, map[string][]byte{"cert": p.Chain, "key": p.Key}) }
	certtest.Write(t, dir, map[string][]byte{"ca": theirs.PEM})
	show(ours.Server(t, "first"))
	k, log := kept(t, files(dir))
	defer k.Close()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := k.Identity().Authenticate(r)
		if err != nil {
			io.WriteString(w, err.Error())
			return
		}
		io.WriteString(w, r.Proto+" "+p.Name())
	}))
	web.TLS = k.TLS()
	web.EnableHTTP2 = true
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	web.StartTLS()
	defer web.Close()

	// ask returns the answer, and the name of the certificate that the server shows.
	ask := func(change func(*tls.Config)) (string, string) {
		t.Helper()
		c := &tls.Config{RootCAs: ours.Pool()}
		if change != nil {
			change(c)
		}
		transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: c.NextProtos == nil}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get(web.URL)
		if err != nil { // whose text depends on what came first, the answer or the end
			return "refused", ""
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), res.TLS.PeerCertificates[0].Subject.CommonName
	}
	as := func(c tls.Certificate) func(*tls.Config) {
		return func(o *tls.Config) {
			// Whatever the server says which it takes.
			o.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
		}
	}
	for name, c := range map[string]struct {
		change func(*tls.Config)
		want   string
	}{
		"with":           {as(theirs.Client(t, "ann").TLS(t)), "HTTP/2.0 ann"},
		"with, HTTP/1.1": {func(o *tls.Config) { as(theirs.Client(t, "ann").TLS(t))(o); o.NextProtos = []string{"http/1.1"} }, "HTTP/1.1 ann"},
		"without":        {nil, "a token is needed: send the header Authorization: Bearer TOKEN"},
		"of another":     {as(ours.Client(t, "ann").TLS(t)), "refused"},
		"a server's":     {as(theirs.Server(t, "ann").TLS(t)), "refused"},
		"TLS 1.1":        {func(o *tls.Config) { o.MinVersion, o.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "refused"},
	} {
		if got, shown := ask(c.change); got != c.want || shown != "" && shown != "first" {
			t.Errorf("%s: %s, want %s; shown %s", name, got, c.want, shown)
		}
	}
	plain, err := http.Get(strings.Replace(web.URL, "https:", "http:", 1))
	if err != nil || plain.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: %v, err %v", plain, err)
	} else {
		plain.Body.Close()
	}

	second := ours.Server(t, "second")
	certtest.Write(t, dir, map[string][]byte{"cert": second.Chain}) // and no key of it yet
	log.await(t, 1, "audit.outcome=failed")
	if _, shown := ask(nil); shown != "first" {
		t.Errorf("while the pair is broken %s is shown", shown)
	}
	show(second)
	log.await(t, 1, `audit.action="reload certificate"`)
	log.await(t, 1, "audit.outcome=done")
	if _, shown := ask(nil); shown != "second" {
		t.Errorf("%s is shown", shown)
	}

	// Who was let in may not resume a session once its authority is not trusted.
	cache := tls.NewLRUClientSessionCache(8)
	resuming := func(o *tls.Config) { as(theirs.Client(t, "ann").TLS(t))(o); o.ClientSessionCache = cache }
	if got, _ := ask(resuming); got != "HTTP/2.0 ann" {
		t.Errorf("%s", got)
	}
	certtest.Write(t, dir, map[string][]byte{"ca": ours.PEM})
	log.await(t, 2, "audit.outcome=done")
	if got, _ := ask(resuming); got != "refused" {
		t.Errorf("after its authority went: %s", got)
	}
	certtest.Write(t, dir, map[string][]byte{"ca": []byte("no certificate")})
	log.await(t, 2, "audit.outcome=failed")
	if got, _ := ask(as(ours.Client(t, "bob").TLS(t))); got != "HTTP/2.0 bob" {
		t.Errorf("%s", got)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestCertificateBack breaks a certificate, and puts back the one that held.
func TestCertificateBack(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	pair := certtest.New(t).Server(t, "x")
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain, "key": pair.Key})
	k, log := kept(t, auth.Files{Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")})
	defer k.Close()
	certtest.Write(t, dir, map[string][]byte{"cert": []byte("bad")})
	log.await(t, 1, "audit.outcome=failed")
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain})
	log.await(t, 1, "audit.outcome=done")
	if text := log.String(); !strings.Contains(text, `audit.detail="expires: 2`) || strings.Contains(text, "has expired") {
		t.Errorf("the certificate that is back has not its own time:\n%s", text)
	}
}

// TestOpen says which file is wrong, and warns of what others may do with one.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	a := certtest.New(t)
	pair, other := a.Server(t, "x"), a.Server(t, "y")
	certtest.Write(t, dir, map[string][]byte{
		"cert": pair.Chain, "key": pair.Key, "ca": a.PEM, "other": other.Key, "text": []byte("a text"), "broken": []byte("\nx"), "tokens": []byte("# nobody\n"), "empty": nil,
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		files auth.Files
		want  string
	}{
		"no tokens":      {auth.Files{Tokens: at("nothing")}, "Tokens: " + at("nothing") + ": no such file or directory"},
		"empty tokens":   {auth.Files{Tokens: at("empty")}, "Tokens: " + at("empty") + ": is empty; resonhost token new adds a line, and a line with # alone says that nobody may call"},
		"a directory":    {auth.Files{Tokens: dir}, "Tokens: " + dir + ": not a regular file"},
		"broken tokens":  {auth.Files{Tokens: at("broken")}, "Tokens: " + at("broken") + ": line 2: hash: is missing after the name; resonhost token new prints a line with one"},
		"no key":         {auth.Files{Certificate: at("cert")}, "Certificate and Key: must be there together"},
		"no certificate": {auth.Files{Key: at("key")}, "Certificate and Key: must be there together"},
		"only clients'":  {auth.Files{ClientCA: at("ca")}, "ClientCA: needs Certificate and Key, as clients show certificates over TLS alone"},
		"another's key":  {auth.Files{Certificate: at("cert"), Key: at("other")}, "Key: " + at("other") + ": tls: private key does not match public key"},
		"no PEM":         {auth.Files{Certificate: at("text"), Key: at("key")}, "Certificate: " + at("text") + ": tls: failed to find any PEM data in certificate input"},
		"missing key":    {auth.Files{Certificate: at("cert"), Key: at("nothing")}, "Key: " + at("nothing") + ": no such file or directory"},
		"no authority":   {auth.Files{Certificate: at("cert"), Key: at("key"), ClientCA: at("text")}, "ClientCA: " + at("text") + ": has no certificate in PEM"},
	} {
		if k, err := auth.Open(c.files); err == nil || err.Error() != c.want || k != nil {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
	for name, mode := range map[string]os.FileMode{"tokens": 0o644, "key": 0o604} {
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	k, log := kept(t, auth.Files{Tokens: at("tokens"), Certificate: at("cert"), Key: at("key")})
	defer k.Close()
	for _, want := range []string{"others than its owner can change who may call", "others than its owner can read the key", "the file of tokens has no line"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	none, err := auth.Open(auth.Files{})
	if err != nil || none.Identity() != nil || none.TLS() != nil {
		t.Errorf("without files: %v", err)
	}
	none.Close()
}

// TestSlowHandshake is for the server's own timeout: a client that sends nothing holds no
// configuration, and blocks no other.
func TestSlowHandshake(t *testing.T) {
	dir := t.TempDir()
	a := certtest.New(t)
	pair := a.Server(t, "x")
	certtest.Write(t, dir, map[string][]byte{"cert": pair.Chain, "key": pair.Key})
	k, _ := kept(t, auth.Files{Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")})
	defer k.Close()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.TLS = k.TLS()
	web.Config.ReadHeaderTimeout = 50 * time.Millisecond
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	web.StartTLS()
	defer web.Close()
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it sent something")
	}
}
