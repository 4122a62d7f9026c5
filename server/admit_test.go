package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// callers are who may call a server of a test, by name: their headers Authorization.
type callers struct {
	*auth.Identity

	file    string
	headers map[string]string
}

// with adds somebody with what follows a hash in a line of the file of tokens.
func (c *callers) with(t *testing.T, name, rights string) *callers {
	t.Helper()
	token, hashed := auth.NewToken()
	c.headers[name] = "Bearer " + token
	c.file += name + " " + hashed + " " + rights + "\n"
	c.set(t, c.file)
	return c
}

func (c *callers) set(t *testing.T, file string) {
	t.Helper()
	if _, err := c.SetTokens([]byte(file)); err != nil {
		t.Fatal(err)
	}
}

func newCallers() *callers {
	return &callers{Identity: auth.New(auth.Options{}), headers: make(map[string]string)}
}

// as sends a request of somebody's.
func (s *served) as(t *testing.T, c *callers, name, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	if h := c.headers[name]; h != "" {
		header = append(header, "Authorization", h)
	}
	return s.do(t, method, path, "text/plain", body, header...)
}

// TestIdentity asks for every route as everybody.
func TestIdentity(t *testing.T) {
	c := newCallers().with(t, "caller", "scopes=call").with(t, "reader", "scopes=read").with(t, "admin", "scopes=admin").with(t, "all", "scopes=call,read,admin")
	wrong, _ := auth.NewToken()
	c.headers["wrong"] = "Bearer " + wrong
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	scopes := map[string]string{
		"POST /v1/transforms/{name}":          "caller",
		"GET /v1/plugins":                     "reader",
		"GET /v1/stats":                       "reader",
		"GET /v1/fleet":                       "reader",
		"GET /v1/self":                        "anybody",
		"POST /v1/jobs":                       "caller",
		"GET /v1/jobs":                        "caller",
		"GET /v1/jobs/{id}":                   "caller",
		"GET /v1/jobs/{id}/results":           "caller",
		"DELETE /v1/jobs/{id}":                "caller",
		"GET /v1/openapi.json":                "reader",
		"GET /v1/transforms":                  "reader",
		"GET /metrics":                        "reader",
		"POST /v1/plugins/{name}/{action}":    "admin",
		"POST /v1/state/save":                 "admin",
		"GET /healthz":                        "",
		"GET /readyz":                         "",
		"GET /":                               "",
		"GET /nothing":                        "",
		"DELETE /v1/transforms/{name}":        "",
		"OPTIONS /v1/plugins/{name}/{action}": "",
	}
	_, _, index := s.do(t, http.MethodGet, "/", "", "")
	for line := range strings.Lines(index) {
		method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		path, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if _, ok := scopes[method+" "+path]; strings.HasPrefix(path, "/") && !ok {
			t.Errorf("nothing here says who may ask for %s %s", method, path)
		}
	}
	for route, scope := range scopes {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{name}", "n.blow", "{action}", "pause", "{id}", "x").Replace(path)
		for _, who := range []string{"", "wrong", "caller", "reader", "admin", "all"} {
			status, header, body := s.as(t, c, who, method, path, "1")
			challenge, want := header.Get("WWW-Authenticate"), "passed"
			switch {
			case scope == "":
			case who == "":
				want = `401 unauthorized Bearer realm="resonhost"`
			case who == "wrong":
				want = `401 unauthorized Bearer realm="resonhost", error="invalid_token"`
			case scope != "anybody" && who != scope && who != "all":
				want = `403 forbidden Bearer realm="resonhost", error="insufficient_scope", scope="` + map[string]string{"caller": "call", "reader": "read", "admin": "admin"}[scope] + `"`
			}
			got := "passed"
			if who == "wrong" && status == http.StatusTooManyRequests { // it comes too often
				continue
			}
			if challenge != "" || status == http.StatusUnauthorized || status == http.StatusForbidden {
				var problem struct{ Kind string }
				if err := json.Unmarshal([]byte(body), &problem); err != nil {
					t.Errorf("%s as %q: %v", route, who, err)
				}
				got = fmt.Sprint(status, " ", problem.Kind, " ", challenge)
			}
			if got != want {
				t.Errorf("%s as %q: %s, want %s", route, who, got, want)
			}
			if secret := strings.TrimPrefix(c.headers[who], "Bearer "); secret != "" && strings.Contains(body, secret) {
				t.Errorf("%s as %q: the answer has the token", route, who)
			}
		}
	}
}

// TestTransformsAllowed says neither by a status nor by a suggestion what others may call.
func TestTransformsAllowed(t *testing.T) {
	c := newCallers().with(t, "p", "scopes=call transforms=n.b*").with(t, "q", "scopes=call transforms=n.w*,n.o*,none")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	for _, x := range []struct {
		who, transform string
		status         int
		want           string
	}{
		{"p", "n.blow", http.StatusOK, "x"},
		{"p", "n.wait", http.StatusForbidden, `"kind":"forbidden"`},
		{"p", "nothing", http.StatusForbidden, `"detail":"p may not call this transform"`},
		{"q", "n.blow", http.StatusForbidden, `"kind":"forbidden"`},
		{"q", "none", http.StatusNotFound, "there are n.wait, n.own"},
	} {
		status, _, body := s.as(t, c, x.who, http.MethodPost, "/v1/transforms/"+x.transform, "1")
		if status != x.status || !strings.Contains(body, x.want) || strings.Contains(body, "n.blow") {
			t.Errorf("%s, %s: %d %s, want %d with %s", x.who, x.transform, status, body, x.status, x.want)
		}
	}
}

// TestTenantOfPrincipal has tasks run for whom their sender acts, whatever the header says.
func TestTenantOfPrincipal(t *testing.T) {
	c := newCallers().with(t, "own", "scopes=call").with(t, "acme-1", "scopes=call tenant=acme").with(t, "gate", "scopes=call tenant=*")
	bus := event.New(0)
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		cfg.Events = bus
		o.Identity = c
	})
	done := bus.Subscribe(0, event.KindTaskCompleted)
	defer done.Close()
	for _, x := range []struct {
		who, header, want string
		status            int
	}{
		{"own", "", "own", http.StatusUnprocessableEntity},
		{"acme-1", "", "acme", http.StatusUnprocessableEntity},
		{"acme-1", "acme", "acme", http.StatusUnprocessableEntity},
		{"acme-1", "other", "", http.StatusForbidden},
		{"gate", "", "gate", http.StatusUnprocessableEntity},
		{"gate", "some", "some", http.StatusUnprocessableEntity},
		{"gate", strings.Repeat("x", 257), "", http.StatusBadRequest},
	} {
		for _, mediaType := range []string{"text/plain", server.MediaTypeLines} {
			header := []string{"Authorization", c.headers[x.who]}
			if x.header != "" {
				header = append(header, server.HeaderTenant, x.header)
			}
			status, _, body := s.do(t, http.MethodPost, "/v1/transforms/n.blow", mediaType, `"no number"`, header...)
			want := x.status
			if mediaType == server.MediaTypeLines && want == http.StatusUnprocessableEntity {
				want = http.StatusOK
			}
			if status != want {
				t.Errorf("%+v: %d %s", x, status, body)
			}
			if x.want == "" {
				continue
			}
			e, err := done.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Body.(event.TaskCompleted).Tenant; got != x.want {
				t.Errorf("%+v: for %q", x, got)
			}
		}
	}
}

// TestRateOfPrincipal refuses tasks beyond a rate, and has lines wait for it.
func TestRateOfPrincipal(t *testing.T) {
	c := newCallers().with(t, "slow", "scopes=call rate=1/h").with(t, "other", "scopes=call").with(t, "lines", "scopes=call rate=40/s burst=1")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	if status, _, body := s.as(t, c, "slow", http.MethodPost, "/v1/transforms/n.blow", "1"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	status, header, body := s.as(t, c, "slow", http.MethodPost, "/v1/transforms/n.blow", "1")
	if status != http.StatusTooManyRequests || header.Get("Retry-After") != "3600" || !strings.Contains(body, `"kind":"rate_limited"`) {
		t.Errorf("%d %v %s", status, header, body)
	}
	if status, _, body := s.as(t, c, "other", http.MethodPost, "/v1/transforms/n.blow", "1"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	began := time.Now()
	status, _, body = s.do(t, http.MethodPost, "/v1/transforms/n.blow", server.MediaTypeLines, strings.Repeat("\"1\"\n", 9), "Authorization", c.headers["lines"])
	if want := strings.Repeat("\"x\"\n", 9); status != http.StatusOK || body != want {
		t.Errorf("%d %s", status, body)
	}
	if took := time.Since(began); took < 8*time.Second/40 {
		t.Errorf("9 lines took %v at 40 a second", took)
	}
}

// TestLinesOfSlowPrincipal drains while a line waits for its turn by the rate.
func TestLinesOfSlowPrincipal(t *testing.T) {
	c := newCallers().with(t, "slow", "scopes=call rate=1/h")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	answers, send := s.lines(t, c.headers["slow"])
	send("\"1\"\n\"2\"\n")
	for _, want := range []string{`"x"`, `{"error":{"status":503,"detail":"draining: further lines were not read","kind":"unavailable","transform":"n.blow"}}`} {
		if !answers.Scan() || answers.Text() != want {
			t.Fatalf("%s, want %s; err %v", answers.Text(), want, answers.Err())
		}
		s.server.SetDraining()
	}
}

// lines begins a request with JSON lines to n.blow.
func (s *served) lines(t *testing.T, authorization string) (answers *bufio.Scanner, send func(string)) {
	t.Helper()
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/transforms/n.blow", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", server.MediaTypeLines)
	req.Header.Set("Authorization", authorization)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		out.Close()
		resp.Body.Close()
	})
	return bufio.NewScanner(resp.Body), func(text string) {
		if _, err := io.WriteString(out, text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWithdrawn ends lines whose sender's token goes while they are sent.
func TestWithdrawn(t *testing.T) {
	c := newCallers().with(t, "p", "scopes=call")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	answers, send := s.lines(t, c.headers["p"])
	send("\"2\"\n")
	if !answers.Scan() || answers.Text() != `"xx"` {
		t.Fatalf("%s, err %v", answers.Text(), answers.Err())
	}
	c.set(t, "# nobody\n")
	send("\"2\"\n")
	if want := `{"error":{"status":401,"detail":"p has been withdrawn or changed; further lines were not read","kind":"unauthorized","transform":"n.blow"}}`; !answers.Scan() || answers.Text() != want {
		t.Errorf("%s, err %v", answers.Text(), answers.Err())
	}
	if answers.Scan() {
		t.Errorf("after the end: %s", answers.Text())
	}
}

// TestWrongTokens has hostile clients send wrong tokens as fast as they can. A good one is served
// from the same address meanwhile, and the hostile ones wait.
func TestWrongTokens(t *testing.T) {
	c := newCallers().with(t, "good", "scopes=call")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	wrong, _ := auth.NewToken()
	c.headers["wrong"] = "Bearer " + wrong
	var mu sync.Mutex
	statuses := make(map[int]int)
	began := time.Now()
	var hostile sync.WaitGroup
	for range 30 {
		hostile.Go(func() {
			for range 2 {
				status, header, _ := s.as(t, c, "wrong", http.MethodPost, "/v1/transforms/n.blow", "1")
				if status == http.StatusTooManyRequests && header.Get("Retry-After") == "" {
					t.Error("it does not say when to come again")
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	for range 20 {
		if status, _, body := s.as(t, c, "good", http.MethodPost, "/v1/transforms/n.blow", "1"); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
	hostile.Wait()
	if statuses[http.StatusUnauthorized] != 10 || statuses[http.StatusTooManyRequests] != 50 || time.Since(began) < auth.Penalty {
		t.Errorf("%v in %v", statuses, time.Since(began))
	}
}

// TestAudit keeps who has changed a plugin, or tried to.
func TestAudit(t *testing.T) {
	var log logtest.Log
	file := filepath.Join(t.TempDir(), "audit")
	trail, err := auth.NewTrail(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), file)
	if err != nil {
		t.Fatal(err)
	}
	c := newCallers().with(t, "ann", "scopes=admin")
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Identity, o.Audit = c, trail })
	for _, path := range []string{"hostile/pause", "hostile/resume", "hostile/promote", "nothing/pause", strings.Repeat("x", 1000) + "/pause"} {
		s.as(t, c, "ann", http.MethodPost, "/v1/plugins/"+path, "")
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	trail.Add(t.Context(), auth.Record{Action: "late"}) // into the log alone
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		var r auth.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Time.IsZero() || !strings.HasPrefix(r.From, "127.0.0.1:") {
			t.Errorf("%+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %.10s %s %.20s", r.Who, r.Action, r.Target, r.Outcome, r.Detail))
	}
	want := []string{
		"ann pause hostile begun ", "ann pause hostile done ", "ann resume hostile begun ", "ann resume hostile done ",
		"ann promote hostile begun ", "ann promote hostile failed plugin hostile: ",
		"ann pause nothing begun ", "ann pause nothing failed unknown plugin", "ann pause xxxxxxxxxx begun ", "ann pause xxxxxxxxxx failed unknown plugin",
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(b) > 4<<10 {
		t.Errorf("%d bytes", len(b))
	}
	if n := strings.Count(log.String(), `"msg":"audit","audit":{"who":"ann","from":"127.0.0.1:`); n != len(want)/2 {
		t.Errorf("%d of %d in the log:\n%s", n, len(want)/2, log.String())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, err %v", info.Mode(), err)
	}
}

// TestAuditFull does nothing of which there would be no record.
func TestAuditFull(t *testing.T) {
	var log logtest.Log
	trail, err := auth.NewTrail(slog.New(slog.NewTextHandler(&log, nil)), "/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Audit = trail })
	for _, path := range []string{"/v1/plugins/hostile/pause", "/v1/state/save"} {
		status, _, body := s.do(t, http.MethodPost, path, "", "")
		if status != http.StatusInternalServerError || !strings.Contains(body, "the audit file takes no record, so nothing was done") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, _, body := s.do(t, http.MethodGet, "/v1/plugins", "", ""); !strings.Contains(body, `"hostile"`) || strings.Contains(body, `"paused":true`) {
		t.Errorf("paused all the same: %s", body)
	}
	if n := strings.Count(log.String(), "the audit file did not take a record"); n != 2 {
		t.Errorf("the log has it %d times, want 2:\n%s", n, log.String())
	}
}

// TestAuditOfRefusals keeps who tried what admins alone may do, and not each time.
func TestAuditOfRefusals(t *testing.T) {
	var log logtest.Log
	c := newCallers().with(t, "ann", "scopes=call").with(t, "bob", "scopes=read")
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.Identity, o.Logger = c, slog.New(slog.NewTextHandler(&log, nil))
	})
	const strangers = 100
	for range strangers {
		s.do(t, http.MethodPost, "/v1/plugins/hostile/pause", "", "")
	}
	s.as(t, c, "ann", http.MethodPost, "/v1/plugins/hostile/pause", "")
	s.as(t, c, "ann", http.MethodGet, "/v1/plugins", "") // which is nothing of admins'
	counted := func(pattern string) int { return len(regexp.MustCompile(pattern).FindAllString(log.String(), -1)) }
	n := counted(`msg=audit audit.who=unknown audit.from=127.0.0.1:\d+ audit.action=pause audit.target=hostile audit.outcome=refused audit.detail="a token is needed`)
	if n < 20 || n > strangers/2 { // one more for each second that it took
		t.Errorf("%d records of those whom nobody knows", n)
	}
	if n := counted(`msg=audit audit.who=ann .* audit.outcome=refused audit.detail="ann lacks the scope admin"`); n != 1 {
		t.Errorf("%d records of ann's; the log:\n%s", n, log.String())
	}
	_, _, metrics := s.as(t, c, "bob", http.MethodGet, "/metrics", "")
	for recorded, want := range map[string]int{"true": n + 1, "false": strangers - n} {
		if line := fmt.Sprintf("resonhost_audit_refused_total{recorded=%q} %d\n", recorded, want); !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	await(t, func() bool {
		s.do(t, http.MethodPost, "/v1/plugins/hostile/pause", "", "")
		return counted(`audit.who=unknown .* audit.unrecorded=[1-9]`) > 0
	})
}

// TestAuditOfNobody keeps a record where nobody is asked who they are, too.
func TestAuditOfNobody(t *testing.T) {
	var log logtest.Log
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.do(t, http.MethodPost, "/v1/plugins/hostile/pause", "", "")
	if !slices.ContainsFunc(strings.Split(log.String(), "\n"), func(l string) bool {
		return strings.Contains(l, "msg=audit audit.who=anonymous audit.from=127.0.0.1:") && strings.Contains(l, "audit.action=pause audit.target=hostile audit.outcome=done")
	}) {
		t.Errorf("the log has no record:\n%s", log.String())
	}
}
