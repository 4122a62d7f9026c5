package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/server"
)

// compiled is a directory of compiled plugins that all hosts share: what they answer does not
// depend on it, and to compile cascade takes long.
var compiled string

func TestMain(m *testing.M) {
	var err error
	if compiled, err = os.MkdirTemp("", "compiled"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(compiled) // what is left is the system's to clear
		os.Exit(code)
	}))
}

// served is a server over a real loopback listener, of the hostile guest and what a
// test adds.
type served struct {
	*httptest.Server
	host   *host.Host
	server *server.Server
}

func serve(t *testing.T, change func(*host.Config, *server.Options)) *served {
	t.Helper()
	return serveWith(t, func(*codec.Set) {}, change)
}

// serveWith is serve with codecs of the test's own.
func serveWith(t *testing.T, register func(*codec.Set), change func(*host.Config, *server.Options)) *served {
	t.Helper()
	codecs := resonance.Codecs()
	register(codecs)
	cfg := host.Config{
		CacheDir: compiled,
		Defaults: host.PluginConfig{CompileTimeout: time.Hour}, // machines with other work take long
		Plugins: []host.Source{
			{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")},
		},
		Overrides: map[string]host.PluginConfig{"hostile": {RunTimeout: time.Second}},
	}
	opts := server.Options{TrustTenant: true}
	if change != nil {
		change(&cfg, &opts)
	}
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(h, codecs, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(s.Handler())
	web.Listener = s.Listener(web.Listener)
	web.Config.ConnContext = server.ConnContext
	web.Start()
	t.Cleanup(func() {
		web.Close()
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &served{web, h, s}
}

// withCascade adds cascade, which takes seconds to compile under the race detector.
func withCascade(t *testing.T) func(*host.Config, *server.Options) {
	return func(cfg *host.Config, _ *server.Options) {
		cfg.Plugins = append(cfg.Plugins, host.Source{Name: "cascade", WASM: guesttest.Build(t, guesttest.Cascade)})
		// The timeout of the manifest, 1 s, is short on a machine with much else to do.
		cfg.Overrides["cascade"] = host.PluginConfig{RunTimeout: time.Minute}
	}
}

// do sends a request and returns status, header and body.
func (s *served) do(t *testing.T, method, path, contentType, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestProblems(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withCascade(t)(cfg, o)
		o.MaxBody = 1 << 10
	})
	const document, state = "application/json", cascade.MediaTypeState
	for name, c := range map[string]struct {
		path, contentType, body string
		header                  []string
		status                  int
		want                    string // of the body
	}{
		"unknown transform": {path: "none", contentType: document, status: 404, want: `"detail":"no plugin has a transform \"none\"; there are cascade, hostile.echo`},
		"no content type":   {path: "cascade", body: "{}", status: 415, want: `{"title":"Unsupported Media Type","status":415,"detail":"the Content-Type must be application/json, application/x-ndjson or application/vnd.resonhost.cascade.state","kind":"unsupported_media_type","transform":"cascade"}`},
		"bad content type":  {path: "cascade", contentType: "text/;;", body: "{}", status: 415, want: "the Content-Type must be"},
		"compressed":        {path: "cascade", contentType: document, body: "{}", header: []string{"Content-Encoding", "br"}, status: 415, want: "a body of Content-Encoding \\\"br\\\" is not taken; send it with gzip or zstd"},
		"charset":           {path: "cascade", contentType: document + "; charset=latin1", body: "{}", status: 415, want: "the charset of JSON and text must be utf-8"},
		"bad JSON":          {path: "cascade", contentType: document, body: "{", status: 400, want: `"kind":"invalid_argument","field":"document"`},
		"bad field":         {path: "cascade", contentType: document + "; charset=utf-8", body: `{"phiValue": "much"}`, status: 400, want: `{"title":"Bad Request","status":400,"detail":"phiValue: must be a number","kind":"invalid_argument","field":"phiValue","transform":"cascade"}`},
		"bad record":        {path: "cascade", contentType: state, body: "short", status: 400, want: `{"title":"Bad Request","status":400,"detail":"state: must be a record of 56 bytes, has 5","kind":"invalid_argument","field":"state","transform":"cascade","plugin":"cascade","version":"1.0.0"}`},
		"long stream":       {path: "cascade", contentType: state, header: []string{server.HeaderStream, strings.Repeat("k", 257)}, status: 400, want: "Resonhost-Stream: must have 1 to 256 bytes, has 257"},
		"empty stream":      {path: "cascade", contentType: state, header: []string{server.HeaderStream, ""}, status: 400, want: "Resonhost-Stream: must have 1 to 256 bytes, has 0"},
		"two streams":       {path: "cascade", contentType: document, body: `{"stream": "a"}`, header: []string{server.HeaderStream, "b"}, status: 400, want: `{"title":"Bad Request","status":400,"detail":"Resonhost-Stream: must not be there besides the document's own stream","kind":"invalid_argument","field":"Resonhost-Stream","transform":"cascade"}`},
		"long tenant":       {path: "cascade", contentType: state, header: []string{server.HeaderTenant, strings.Repeat("k", 257)}, status: 400, want: "Resonhost-Tenant: must have at most 256 bytes, has 257"},
		"tenant of lines":   {path: "cascade", contentType: server.MediaTypeLines, header: []string{server.HeaderTenant, strings.Repeat("k", 257)}, status: 400, want: "Resonhost-Tenant: must have at most 256 bytes, has 257"},
		"stream of lines":   {path: "cascade", contentType: server.MediaTypeLines, header: []string{server.HeaderStream, "a"}, status: 400, want: "Resonhost-Stream: is for single tasks; JSON lines have ?stream_field=NAME"},
		"too large":         {path: "cascade", contentType: document, body: strings.Repeat(" ", 2<<10), status: 413, want: `{"title":"Request Entity Too Large","status":413,"detail":"the body is longer than 1024 bytes, the limit (MaxBody, --max-input)","kind":"invalid_argument","transform":"cascade"}`},
		"trap":              {path: "hostile.trap", contentType: octets, body: "!", status: 502, want: `"kind":"trap","transform":"hostile.trap","plugin":"hostile","version":"`},
		"exit":              {path: "hostile.exit", contentType: octets, body: "!", status: 502, want: `"kind":"exit"`},
		"abi":               {path: "hostile.wildptr", contentType: octets, body: "!", status: 502, want: `"kind":"abi"`},
		"failed":            {path: "hostile.badutf8", contentType: octets, body: "!", status: 422, want: `"kind":"failed"`},
		"timeout":           {path: "hostile.spin", contentType: octets, body: "!", status: 504, want: `{"title":"Gateway Timeout","status":504,"detail":"ran longer than its run timeout of 1s (RunTimeout, --run-timeout)","kind":"timeout","transform":"hostile.spin","plugin":"hostile","version":"`},
		"foreign host":      {path: "cascade", contentType: document, body: "{}", header: []string{"Host", "evil.example"}, status: 421, want: `{"title":"Misdirected Request","status":421,"detail":"the Host header must name the loopback interface, such as localhost","kind":"foreign_host"}`},
		"foreign origin":    {path: "cascade", contentType: document, body: "{}", header: []string{"Origin", "https://evil.example"}, status: 403, want: `{"title":"Forbidden","status":403,"detail":"a browser sent a cross-origin request","kind":"cross_origin"}`},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := s.do(t, http.MethodPost, "/v1/transforms/"+c.path, c.contentType, c.body, c.header...)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("status %d, body %s; want %d, %s", status, body, c.status, c.want)
			}
			if strings.Contains(body, "wasm stack") || strings.Contains(body, ".run(") {
				t.Errorf("the answer shows the guest's stack: %s", body)
			}
			if header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %s", header.Get("Content-Type"))
			}
		})
	}
}

// TestMemoryBudget has a task for which there is no memory, for which the host is to blame alone.
func TestMemoryBudget(t *testing.T) {
	var log logtest.Log
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		cfg.Workers, cfg.MemoryBudget, cfg.Defaults.MemoryLimit = 1, 10<<20, 16<<20 // an instance has 4 MiB, and grows
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	status, header, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.grow", octets, "!23456789")
	if status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, `"kind":"memory_full"`) || !strings.Contains(body, "(MemoryBudget, --memory-budget)") {
		t.Errorf("status %d, %v, %s", status, header, body)
	}
	if log.String() != "" {
		t.Errorf("logged: %s", log.String())
	}
}

func TestGet(t *testing.T) {
	s := serve(t, nil)
	for path, want := range map[string]string{
		"/": "POST /v1/transforms/{name}", "/healthz": "ok\n", "/readyz": "ready\n",
		"/v1/plugins": `{"plugins":[{"name":"hostile","version":"`,
	} {
		if status, _, body := s.do(t, http.MethodGet, path, "", ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: status %d, %s", path, status, body)
		}
	}
}

func TestTransform(t *testing.T) {
	s := serve(t, withCascade(t))
	status, header, body := s.do(t, http.MethodPost, "/v1/transforms/cascade", "application/json", `{"timestamp": 1760000000000}`)
	if status != 200 || header.Get("Content-Type") != "application/json" || !strings.HasPrefix(body, `{"timestamp":1760000000000,"harmonicScore":0.51615`) {
		t.Errorf("status %d, %v, %.100s", status, header, body)
	}
	state, err := (&cascade.State{Timestamp: 5}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	status, header, body = s.do(t, http.MethodPost, "/v1/transforms/cascade", cascade.MediaTypeState, string(state), server.HeaderStream, "s")
	var result cascade.Result
	if err := result.UnmarshalBinary([]byte(body)); err != nil || status != 200 || result.Timestamp != 5 || header.Get("Content-Type") != cascade.MediaTypeResult {
		t.Errorf("status %d, %v, err %v", status, header, err)
	}
	if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/cascade", "application/json", "{}", server.HeaderStream, "t"); status != 200 {
		t.Errorf("status %d, %s", status, body)
	}
	if got := s.host.Stats().Streams; got != 2 {
		t.Errorf("%d streams, want 2", got)
	}
	t.Run("concurrent", func(t *testing.T) { testConcurrentRequests(t, s) })
}

// TestLinesAreInteractive writes each line only once it has the answer to the one
// before.
func TestLinesAreInteractive(t *testing.T) {
	s := serve(t, withCascade(t))
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/transforms/cascade?stream_field=session", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", server.MediaTypeLines)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answers := bufio.NewScanner(resp.Body)
	answers.Buffer(nil, 1<<20)
	for _, c := range [][2]string{
		{`{"session": "a", "timestamp": 1}`, `{"timestamp":1,"harmonicScore"`},
		{`{"session": "a", "timestamp": "2"}`, `{"error":{"status":400,"detail":"timestamp: must be a whole number","kind":"invalid_argument","field":"timestamp","transform":"cascade","line":2}}`},
		{`{"session": "a", "timestamp": 3}`, `{"timestamp":3,"harmonicScore"`},
	} {
		if _, err := io.WriteString(out, c[0]+"\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || !strings.HasPrefix(answers.Text(), c[1]) {
			t.Fatalf("%s: answer %.200s, err %v", c[0], answers.Text(), answers.Err())
		}
	}
	s.server.SetDraining()
	if !answers.Scan() || answers.Text() != `{"error":{"status":503,"detail":"draining: further lines were not read","kind":"unavailable","transform":"cascade"}}` {
		t.Errorf("at the end: %s, err %v", answers.Text(), answers.Err())
	}
	if answers.Scan() || answers.Err() != nil {
		t.Errorf("after the end: %s, err %v", answers.Text(), answers.Err())
	}
	out.Close()
}

func TestDraining(t *testing.T) {
	s := serve(t, nil)
	s.server.SetDraining()
	s.server.SetDraining()
	for _, c := range [][2]string{{http.MethodPost, "/v1/transforms/hostile.echo"}, {http.MethodGet, "/readyz"}} {
		status, header, body := s.do(t, c[0], c[1], "application/json", "{}")
		if status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, `"detail":"draining"`) {
			t.Errorf("%s: status %d, %v, %s", c[1], status, header, body)
		}
	}
	if status, _, _ := s.do(t, http.MethodGet, "/healthz", "", ""); status != 200 {
		t.Errorf("health is %d while draining", status)
	}
}

// TestTenantIsIgnored has a header that would be refused if it were believed.
func TestTenantIsIgnored(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.TrustTenant = false })
	status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", "application/octet-stream", "fine", server.HeaderTenant, strings.Repeat("k", 257))
	if status != http.StatusOK || body != "fine" {
		t.Errorf("status %d, %q", status, body)
	}
}

func TestQueueFull(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Workers, cfg.QueueCapacity, cfg.QueuePolicy = 1, 1, host.QueueReject
	})
	ctx, cancel := context.WithCancel(t.Context())
	running := s.host.Submit(ctx, "hostile.spin", []byte("!"))
	queued := s.host.Submit(ctx, "hostile.spin", []byte("!"))
	status, header, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.spin", "application/octet-stream", "!")
	if status != 429 || header.Get("Retry-After") == "" || !strings.Contains(body, `"kind":"queue_full"`) {
		t.Errorf("status %d, %v, %s", status, header, body)
	}
	// Another tenant's task has room.
	type answer struct {
		status int
		body   string
	}
	others := make(chan answer)
	go func() {
		status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.spin", "application/octet-stream", "fine", server.HeaderTenant, "other")
		others <- answer{status, body}
	}()
	for s.host.Stats().QueueDepth < 2 {
		runtime.Gosched()
	}
	cancel()
	if got := <-others; got.status != 200 || got.body != "fine" {
		t.Errorf("another tenant: %+v", got)
	}
	for _, p := range []*host.Pending{running, queued} {
		if _, err := p.Wait(); err == nil {
			t.Error("a spinning task succeeded")
		}
	}
}

func TestClientThatGoesCancels(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Overrides["hostile"] = host.PluginConfig{RunTimeout: time.Hour}
	})
	for _, contentType := range []string{"application/octet-stream", server.MediaTypeLines} {
		ctx, cancel := context.WithCancel(t.Context())
		body := `{"base64": "IQ=="}` + "\n"
		if contentType != server.MediaTypeLines {
			body = "!"
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/transforms/hostile.spin", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if resp, err := s.Client().Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
		await(t, func() bool { return s.host.Stats().Active == 1 })
		cancel()
		<-gone
		await(t, func() bool { return s.host.Stats().Active == 0 })
	}
}

// TestStackIsLogged has the guest's stack in the log, once, and the answer without it.
func TestStackIsLogged(t *testing.T) {
	var log logtest.Log
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	_, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.trap", octets, "!")
	text := log.String()
	if n := strings.Count(text, "level=WARN msg=\"a task failed\" transform=hostile.trap kind=trap"); n != 1 || !strings.Contains(text, `stack=".trap(i32,i32)`) {
		t.Errorf("logged %d times: %s", n, text)
	}
	if strings.Contains(body, "i32") {
		t.Errorf("answered with %s", body)
	}
	// So is that of a line.
	_, _, body = s.do(t, http.MethodPost, "/v1/transforms/hostile.trap", server.MediaTypeLines, `{"base64": "IQ=="}`)
	if n := strings.Count(log.String(), "a task failed"); n != 2 || strings.Contains(body, "i32") {
		t.Errorf("logged %d times, answered with %s", n, body)
	}
}

// await waits until ok is true; the test's own deadline ends a wait in vain.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	for tick := time.NewTicker(time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never came")
		}
	}
}

func testConcurrentRequests(t *testing.T, s *served) {
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			status, _, body := s.do(t, http.MethodPost, "/v1/transforms/cascade", "application/json", fmt.Sprintf(`{"timestamp": %d, "detail": "summary"}`, i))
			var got struct{ Timestamp int }
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Timestamp != i {
				t.Errorf("request %d: status %d, %s", i, status, body)
			}
		})
	}
	wg.Wait()
}

// TestMetricsNegotiated has who asks for OpenMetrics get it, with exemplars.
func TestMetricsNegotiated(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.Exemplars = func(string, metrics.Series) []metrics.Exemplar {
			return []metrics.Exemplar{{Value: time.Millisecond, TraceID: "abc", SpanID: "def", Time: time.Now()}}
		}
	})
	for accept, want := range map[string]struct {
		mediaType string
		exemplar  bool
	}{
		"": {"text/plain", false}, "text/plain": {"text/plain", false},
		"application/openmetrics-text;version=1.0.0": {"application/openmetrics-text", true},
	} {
		_, header, body := s.do(t, http.MethodGet, "/metrics", "", "", "Accept", accept)
		kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
		if kind != want.mediaType || strings.Contains(body, `trace_id="abc"`) != want.exemplar {
			t.Errorf("who asks for %q gets %q", accept, kind)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := serve(t, nil)
	s.do(t, http.MethodPost, "/v1/transforms/hostile.echo", octets, "x")
	s.do(t, http.MethodPost, "/v1/transforms/hostile.trap", octets, "!")
	s.do(t, http.MethodPost, "/v1/transforms/none", "application/json", "{}")
	status, _, body := s.do(t, http.MethodGet, "/metrics", "", "")
	for _, want := range []string{
		`resonance_worker_task_duration_ms_count{transform="hostile.echo"} 1`,
		`resonance_worker_pool_size{plugin="hostile"} `,
		`resonance_worker_queue_depth{plugin="hostile"} 0`,
		`resonance_errors_total{kind="trap",transform="hostile.trap"} 1`,
		"resonance_worker_active 0", "resonance_worker_idle ",
		`resonhost_tasks_total{outcome="ok",transform="hostile.echo"} 1`,
		`resonhost_instances_freed_total{plugin="hostile",reason="broken"} 1`,
		`resonhost_http_requests_total{code="404",route="POST /v1/transforms/{name}"} 1`,
		"resonhost_http_requests_in_flight 1",
		"go_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if status != 200 {
		t.Errorf("status %d", status)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		// The names of the system that is replaced are kept as they are.
		if !strings.HasPrefix(p.Metric, "resonance_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestRegistersAllOrNothing has a registry be as it was where a server cannot be made.
func TestRegistersAllOrNothing(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}})
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	own := prometheus.NewGauge(prometheus.GaugeOpts{Name: "own", Help: "Of the program."})
	r.MustRegister(own)
	if _, err := server.New(h, codec.New(), server.Options{Registry: r, Collectors: []prometheus.Collector{own}}); err == nil {
		t.Fatal("a metric that is there already is taken")
	}
	if families, err := r.Gather(); err != nil || len(families) != 1 {
		t.Errorf("%v, err %v; want the program's own alone", families, err)
	}
	if _, err := server.New(h, codec.New(), server.Options{Registry: r}); err != nil {
		t.Error(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
