package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/errors"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/dashboard"
)

const (
	document = "application/json"
	octets   = "application/octet-stream"
)

// service is a server that is held to its document.
type service struct {
	*httptest.Server
	host   *host.Host
	server *server.Server
	doc    []byte
	valid  validator.Validator
	kinds  map[host.Kind]bool
	heads  *headers
}

func start(t testing.TB, change func(*host.Config, *server.Options)) *service {
	t.Helper()
	return startTo(t, "", change)
}

// startTo is start to who sends that header Authorization.
func startTo(t testing.TB, authorization string, change func(*host.Config, *server.Options)) *service {
	t.Helper()
	cfg := host.Config{
		Defaults: host.PluginConfig{CompileTimeout: time.Hour}, // machines with other work take long
		Plugins:  []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}},
	}
	opts := server.Options{TrustTenant: true}
	if change != nil {
		change(&cfg, &opts)
	}
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := serve.New(h, serve.Options{Hub: opts.EventHub})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := dashboard.Routes(dashboard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opts.Routes, opts.Home = slices.Concat(opts.Routes, networks.Routes(), pages), dashboard.Path
	srv, err := server.New(h, resonance.Codecs(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(srv.Handler())
	web.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		srv.SetDraining()
		web.Close()
		if err := networks.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := srv.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s := &service{Server: web, host: h, server: srv, kinds: make(map[host.Kind]bool)}
	s.load(t, authorization)
	return s
}

// load takes the document as it is now.
func (s *service) load(t testing.TB, authorization string) {
	t.Helper()
	resp, err := s.Client().Do(request{method: "GET", path: "/v1/openapi.json", header: []string{"Authorization", authorization}}.make(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if s.doc, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(s.doc)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc, config.WithBodyDecoder(server.MediaTypeLines, content.TextDecoder()))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s.valid, s.heads = v, headersOf(t, s.doc)
	if ok, errs := v.ValidateDocument(); !ok {
		t.Fatalf("the document is not valid:\n%s", texts(errs))
	}
}

func texts(errs []*errors.ValidationError) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString(e.Message + ": " + e.Reason + "\n")
		for _, s := range e.SchemaValidationErrors {
			b.WriteString("  " + s.FieldPath + ": " + s.Reason + "\n")
		}
	}
	return b.String()
}

// request is one of a test's.
type request struct {
	method, path, contentType, body string
	header                          []string
	host                            string
}

func (r request) make(t testing.TB, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for i := 0; i < len(r.header); i += 2 {
		req.Header.Set(r.header[i], r.header[i+1])
	}
	if r.host != "" {
		req.Host = r.host
	}
	return req
}

// do sends a request, and holds the answer to the document. It returns whether the request is valid by
// it, the status, and the kind of the error if it is one.
func (s *service) do(t *testing.T, r request) (valid bool, status int, kind host.Kind) {
	t.Helper()
	valid, faults := s.valid.ValidateHttpRequestSync(r.make(t, s.URL))
	resp, err := s.Client().Do(r.make(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	problem := api.Error{}
	if resp.Header.Get("Content-Type") == api.MediaTypeProblem {
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Errorf("%s %s: %s: %v", r.method, r.path, body, err)
		}
		if problem.Status != resp.StatusCode {
			t.Errorf("%s %s: status %d with a problem of %d", r.method, r.path, resp.StatusCode, problem.Status)
		}
		s.kinds[problem.Kind] = true
	} else if resp.StatusCode >= http.StatusBadRequest {
		t.Errorf("%s %s: status %d with no problem document: %s", r.method, r.path, resp.StatusCode, body)
	}
	later := resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable || problem.Kind == api.KindKeyInUse
	if again := resp.Header.Get("Retry-After"); (again != "") != later {
		t.Errorf("%s %s: status %d with Retry-After %q", r.method, r.path, resp.StatusCode, again)
	}
	// What no operation of the document is, has answers that no operation has.
	beyond := problem.Kind == api.KindMethodNotAllowed || problem.Kind == api.KindNotFound && !strings.HasPrefix(r.path, "/v1/plugins/") && r.path != "/v1/fleet" && !strings.HasPrefix(r.path, "/ui/")
	if !beyond {
		resp.Body = io.NopCloser(bytes.NewReader(body))
		s.heads.check(t, r, resp)
		if ok, errs := s.valid.ValidateHttpResponse(r.make(t, s.URL), resp); !ok {
			t.Errorf("%s %s: the answer %d %.300s is not of the document:\n%s", r.method, r.path, resp.StatusCode, body, texts(errs))
		}
	}
	if !valid && !beyond && resp.StatusCode < http.StatusBadRequest {
		t.Errorf("%s %s %.100s: status %d, though it is not valid by the document:\n%s", r.method, r.path, r.body, resp.StatusCode, texts(faults))
	}
	return valid, resp.StatusCode, problem.Kind
}

// TestConforms holds requests and answers to the document, both ways: what is valid by it is taken,
// what is not is refused, and each answer is as it says.
func TestConforms(t *testing.T) {
	wasm, bus := guesttest.Build(t, guesttest.Cascade), event.New(0)
	t.Cleanup(func() { _ = bus.Close(t.Context()) })
	s := start(t, func(cfg *host.Config, o *server.Options) {
		cfg.Plugins = append(cfg.Plugins, host.Source{Name: "cascade", WASM: wasm}, host.Source{Name: "tick", WASM: guesttest.Build(t, guesttest.Tick)})
		cfg.Overrides = map[string]host.PluginConfig{"hostile": {RunTimeout: time.Second}}
		o.MaxBody = 4 << 10
		cfg.Events, o.Events = bus, bus
	})
	state, err := (&cascade.State{Timestamp: 5}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	const nodes = `{"now_ms": 1, "nodes": [{"id": "a"}]}`
	for _, c := range []struct {
		request

		valid  bool
		status int
		kind   host.Kind
	}{
		{request{method: "GET", path: "/"}, true, 200, ""},
		{request{method: "GET", path: "/", header: []string{"Accept", "text/html"}}, true, 303, ""},
		{request{method: "GET", path: "/ui"}, true, 308, ""},
		{request{method: "GET", path: "/ui/app.js"}, true, 200, ""},
		{request{method: "GET", path: "/ui/app.js", header: []string{"If-None-Match", "*"}}, true, 304, ""},
		{request{method: "GET", path: "/ui/frob"}, true, 404, api.KindNotFound},
		{request{method: "GET", path: "/healthz?probe=1"}, true, 200, ""},
		{request{method: "GET", path: "/readyz"}, true, 200, ""},
		{request{method: "GET", path: "/metrics"}, true, 200, ""},
		{request{method: "GET", path: "/metrics?name[]=go_goroutines"}, true, 200, ""},
		{request{method: "GET", path: "/v1/plugins"}, true, 200, ""},
		{request{method: "GET", path: "/v1/transforms"}, true, 200, ""},
		{request{method: "GET", path: "/v1/self"}, true, 200, ""},
		{request{method: "GET", path: "/v1/fleet"}, true, 404, api.KindNotFound},
		{request{method: "POST", path: "/v1/transforms/hostile.loglevel", contentType: octets, body: "!"}, true, 200, ""},
		{request{method: "GET", path: "/v1/logs/hostile?tail=1"}, true, 200, ""},
		{request{method: "GET", path: "/v1/logs/hostile?tail=257"}, true, 400, host.KindInvalidArgument},
		{request{method: "GET", path: "/v1/logs/frob"}, true, 404, api.KindUnknownPlugin},
		{request{method: "GET", path: "/v1/openapi.json"}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{"timestamp": 6, "phiValue": 1.5}`}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{"detail": "summary", "stream": "s"}`}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{}`, header: []string{server.HeaderStream, "s", server.HeaderTenant, "ann"}}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: cascade.MediaTypeState, body: string(state)}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/cascade?stream_field=session", contentType: server.MediaTypeLines, body: "{\"session\": \"a\"}\n{\"phi\": 1}\n"}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/tick.node", contentType: document, body: nodes}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/tick.network", contentType: document, body: `{"now_ms": 1, "network": {"patterns": {"p": {}}}}`}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/tick.connection", contentType: document, body: `{"a": {"frequency": 1}, "b": {"frequency": 2}}`}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/hostile.echo", contentType: document, body: `"text"`}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/hostile.echo", contentType: document, body: `{"base64": "QQ=="}`}, true, 200, ""},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {}}`}, true, 202, ""},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {}}`, header: []string{"Prefer", "wait=1"}}, true, 202, ""},
		{request{method: "POST", path: "/v1/networks", contentType: document, body: `{}`}, true, 201, ""},
		{request{method: "POST", path: "/v1/networks", contentType: "text/csv", body: `{}`}, false, 415, api.KindUnsupportedMediaType},
		// Without a body: where the document calls none required, one is not needed.
		{request{method: "POST", path: "/v1/networks"}, true, 201, ""},
		{request{method: "POST", path: "/v1/networks", contentType: document, body: `{"id": "n"}`}, true, 201, ""},
		{request{method: "POST", path: "/v1/networks/n/nodes"}, true, 201, ""},
		{request{method: "POST", path: "/v1/networks/n/connections"}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/networks/n/connections", contentType: document}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/jobs", contentType: document}, true, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/jobs?transform=cascade", contentType: server.MediaTypeLines}, true, 202, ""},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document}, true, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: server.MediaTypeLines}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/hostile.echo", contentType: octets}, true, 200, ""},
		{request{method: "POST", path: "/v1/jobs?transform=cascade", contentType: server.MediaTypeLines, body: "{}\n"}, true, 202, ""},
		{request{method: "GET", path: "/v1/jobs?state=failed"}, true, 200, ""},
		{request{method: "POST", path: "/v1/jobs", contentType: "text/csv", body: "1"}, false, 415, api.KindUnsupportedMediaType},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: "1", header: []string{"Content-Encoding", "br"}}, false, 415, api.KindUnsupportedMediaType},
		{request{method: "GET", path: "/v1/jobs/frob"}, true, 404, api.KindUnknownJob},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {}}`, header: []string{server.HeaderIdempotencyKey, `"a"`}}, true, 202, ""},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {}}`, header: []string{server.HeaderIdempotencyKey, `"a"`}}, true, 202, ""},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": "cascade", "input": {"phiValue": 1}}`, header: []string{server.HeaderIdempotencyKey, `"a"`}}, true, 422, api.KindKeyReused},
		{request{method: "POST", path: "/v1/plugins/hostile/pause"}, true, 200, ""},
		{request{method: "POST", path: "/v1/transforms/hostile.echo", contentType: octets, body: "x"}, true, 503, host.KindUnavailable},
		{request{method: "POST", path: "/v1/plugins/hostile/resume"}, true, 200, ""},
		// Not valid by the document, and refused.
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{"phi": 1}`}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{"phiValue": 1e13}`}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: `{`}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/tick.node", contentType: document, body: `{"nodes": []}`}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/hostile.echo", contentType: document, body: `1`}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: "text/csv", body: `1`}, false, 415, api.KindUnsupportedMediaType},
		{request{method: "POST", path: "/v1/jobs", contentType: document, body: `{"transform": 1}`}, false, 400, host.KindInvalidArgument},
		{request{method: "GET", path: "/v1/jobs?state=frob"}, false, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/plugins/hostile/frob"}, false, 404, api.KindNotFound},
		{request{method: "POST", path: "/v1/plugins/hostile/rollback?state_rule=frob"}, false, 400, host.KindInvalidArgument},
		{request{method: "GET", path: "/frob"}, false, 404, api.KindNotFound},
		{request{method: "PUT", path: "/v1/plugins"}, false, 405, api.KindMethodNotAllowed},
		// Valid by the document, and refused for what it cannot say.
		{request{method: "GET", path: "/v1/plugins?frob=1"}, true, 400, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/frob", contentType: document, body: `{}`}, true, 404, host.KindUnknownTransform},
		{request{method: "POST", path: "/v1/transforms/cascade", contentType: document, body: strings.Repeat(" ", 5<<10) + "{}"}, true, 413, host.KindInvalidArgument},
		{request{method: "POST", path: "/v1/transforms/hostile.trap", contentType: octets, body: "!"}, true, 502, host.KindTrap},
		{request{method: "POST", path: "/v1/transforms/hostile.exit", contentType: octets, body: "!"}, true, 502, host.KindExit},
		{request{method: "POST", path: "/v1/transforms/hostile.wildptr", contentType: octets, body: "!"}, true, 502, host.KindABI},
		{request{method: "POST", path: "/v1/transforms/hostile.badutf8", contentType: octets, body: "!"}, true, 422, host.KindFailed},
		{request{method: "POST", path: "/v1/transforms/hostile.spin", contentType: octets, body: "!"}, true, 504, host.KindTimeout},
		{request{method: "POST", path: "/v1/plugins/frob/pause"}, true, 404, api.KindUnknownPlugin},
		{request{method: "POST", path: "/v1/plugins/hostile/rollback"}, true, 409, api.KindConflict},
		{request{method: "POST", path: "/v1/plugins/hostile/promote"}, true, 409, api.KindConflict},
		{request{method: "POST", path: "/v1/state/save"}, true, 409, api.KindConflict},
		{request{method: "GET", path: "/v1/plugins", host: "evil.example"}, true, 421, api.KindForeignHost},
		{request{method: "POST", path: "/v1/plugins/hostile/pause", header: []string{"Origin", "https://evil.example"}}, true, 403, api.KindCrossOrigin},
	} {
		valid, status, kind := s.do(t, c.request)
		if valid != c.valid || status != c.status || kind != c.kind {
			t.Errorf("%s %s %.100s: valid %v, status %d, kind %q; want %v, %d, %q", c.method, c.path, c.body, valid, status, kind, c.valid, c.status, c.kind)
		}
	}
	s.jobHeaders(t)
	s.busyKey(t)
	s.replays(t)
	s.heads.want(t, "429 Retry-After", "500 Idempotency-Replayed") // which TestIdentity provokes; a defect
	others := []host.Kind{
		api.KindUnauthorized, api.KindForbidden, api.KindRateLimited, host.KindQueueFull, host.KindMemoryFull, host.KindOutOfMemory, host.KindOutOfFuel, api.KindRefused, // which other tests provoke
		host.KindStateUnavailable, host.KindStateUnreadable, // likewise
		host.KindCancelled, host.KindHost, // whose client has gone; a defect
		host.KindStateUnavailable, host.KindStateUnreadable, // of a store, which this host has not
	}
	for _, r := range api.Rules() {
		if !s.kinds[r.Kind] && !slices.Contains(others, r.Kind) {
			t.Errorf("no answer had the kind %s", r.Kind)
		}
	}
}

// TestShortages has the errors of hosts that are short of something.
func TestShortages(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hostile.wasm")
	if err := os.WriteFile(file, guesttest.HandWritten(t, "hostile"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Plugins, cfg.PluginDir = nil, dir
		cfg.Workers, cfg.MemoryBudget, cfg.Defaults.MemoryLimit = 1, 10<<20, 16<<20 // an instance has 4 MiB, and grows
		cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueReject
		cfg.Defaults.MaxFuel = 1 << 20
	})
	task := func(transform string) request {
		return request{method: "POST", path: "/v1/transforms/" + transform, contentType: octets, body: "!23456789"}
	}
	for _, c := range []struct {
		request

		status int
		kind   host.Kind
	}{
		{task("hostile.grow"), 503, host.KindMemoryFull},
		{task("hostile.spin"), 504, host.KindOutOfFuel},
	} {
		if valid, status, kind := s.do(t, c.request); !valid || status != c.status || kind != c.kind {
			t.Errorf("%s: valid %v, status %d, kind %q; want %d, %q", c.path, valid, status, kind, c.status, c.kind)
		}
	}
	if err := os.WriteFile(file, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if valid, status, kind := s.do(t, request{method: "POST", path: "/v1/plugins/hostile/reload"}); !valid || status != 422 || kind != api.KindRefused {
		t.Errorf("reload: valid %v, status %d, kind %q", valid, status, kind)
	}
	s.server.SetDraining()
	for _, r := range []request{task("hostile.echo"), {method: "GET", path: "/readyz"}} {
		if valid, status, kind := s.do(t, r); !valid || status != 503 || kind != host.KindUnavailable {
			t.Errorf("%s while draining: valid %v, status %d, kind %q", r.path, valid, status, kind)
		}
	}
}

// TestIdentity has the errors of who may not do what it asks for.
func TestIdentity(t *testing.T) {
	token, hashed := auth.NewToken()
	identity := auth.New(auth.Options{})
	if _, err := identity.SetTokens([]byte("ann " + hashed + " scopes=call,read rate=1/h burst=1\n")); err != nil {
		t.Fatal(err)
	}
	s := startTo(t, "Bearer "+token, func(_ *host.Config, o *server.Options) { o.Identity = identity })
	const task = "/v1/transforms/hostile.echo"
	for _, c := range []struct {
		request

		valid  bool
		status int
		kind   host.Kind
	}{
		{request{method: "POST", path: task, contentType: octets, body: "x", header: []string{"Authorization", "Bearer " + token}}, true, 200, ""},
		{request{method: "POST", path: task, contentType: octets, body: "x", header: []string{"Authorization", "Bearer " + token}}, true, 429, api.KindRateLimited},
		{request{method: "POST", path: "/v1/plugins/hostile/pause", header: []string{"Authorization", "Bearer " + token}}, true, 403, api.KindForbidden},
		{request{method: "POST", path: task, contentType: octets, body: "x", header: []string{"Authorization", "Bearer frob"}}, true, 401, api.KindUnauthorized},
		{request{method: "GET", path: "/v1/plugins"}, true, 401, api.KindUnauthorized}, // there might be a certificate
		{request{method: "GET", path: "/healthz"}, true, 200, ""},
	} {
		if valid, status, kind := s.do(t, c.request); valid != c.valid || status != c.status || kind != c.kind {
			t.Errorf("%s %s: valid %v, status %d, kind %q; want %v, %d, %q", c.method, c.path, valid, status, kind, c.valid, c.status, c.kind)
		}
	}
	for _, header := range []string{"401 Www-Authenticate", "403 Www-Authenticate", "429 Retry-After"} {
		if !s.heads.sent[header] {
			t.Errorf("no answer had %s", header)
		}
	}
}

// TestTable holds the document to the table of routes: each has the other's.
func TestTable(t *testing.T) {
	s := start(t, func(_ *host.Config, o *server.Options) {
		o.Routes = []server.Route{{
			Method: "DELETE", Path: "/v1/things/{id}", Handler: func(http.ResponseWriter, *http.Request) {},
			Doc: server.Operation{ID: "deleteThing", Path: []server.Parameter{{Name: "id"}}, Status: http.StatusNoContent},
		}}
	})
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(s.doc, &doc); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	ids := make(map[string]bool)
	for path, operations := range doc.Paths {
		for method, op := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operationId %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for _, r := range s.server.Routes() {
		served = append(served, r.Method+" "+strings.ReplaceAll(strings.TrimSuffix(r.Path, "{$}"), "...}", "}"))
	}
	for _, p := range s.host.Plugins() {
		for _, tr := range p.Transforms {
			served = append(served, "POST /v1/transforms/"+tr.Name)
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described %q\nserved %q", described, served)
	}
	// The table is what is served: else a path would answer that another method is its own.
	for _, r := range s.server.Routes() {
		path := strings.NewReplacer("{$}", "", "{name}", "hostile.echo", "{action}", "pause", "{id}", "a", "{file...}", "").Replace(r.Path)
		resp, err := s.Client().Do(request{method: r.Method, path: path}.make(t, s.URL))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d", r.Method, r.Path, resp.StatusCode)
		}
	}
}
