package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/outbound"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/telemetry"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// setup is a traced server of a host with the plugins hostile, swap and x, and its collector.
type setup struct {
	*httptest.Server

	collector *collector
	host      *host.Host
	telemetry *telemetry.Telemetry
	registry  *prometheus.Registry
	log       *logtest.Log
	server    *server.Server
	closed    sync.Once
}

func start(t testing.TB, change func(*telemetry.Options, *host.Config)) *setup {
	t.Helper()
	s := &setup{collector: startCollector(t), registry: prometheus.NewRegistry(), log: new(logtest.Log)}
	log := slog.New(telemetry.LogHandler(slog.NewTextHandler(s.log, nil)))
	o := telemetry.Options{Endpoint: s.collector.URL, Traces: 1_000_000, Every: time.Hour, Logger: log}
	cfg := host.Config{
		Plugins: []host.Source{
			{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")},
			{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})},
		},
		Logger: log,
	}
	if change != nil {
		change(&o, &cfg)
	}
	var err error
	if s.telemetry, err = telemetry.New(o); err != nil {
		t.Fatal(err)
	}
	cfg.Trace = s.telemetry.Tracer().Task
	s.host = hosted.Start(t, cfg)
	s.server, err = server.New(s.host, codec.New(), server.Options{
		Registry: s.registry, Exemplars: s.telemetry.Tracer().Exemplars, Logger: log, Jobs: jobs.Options{Trace: s.telemetry.Tracer().Job},
		Collectors: []prometheus.Collector{s.telemetry.Collector()},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.telemetry.Start(s.registry)
	s.Server = httptest.NewUnstartedServer(s.telemetry.Tracer().Handler(s.server.Handler(), nil))
	s.Listener = server.Listener(s.Listener)
	s.Config.ConnContext = server.ConnContext
	s.Server.Start()
	t.Cleanup(func() {
		s.Server.Close()
		s.end(t, time.Minute)
	})
	return s
}

// end closes the server's jobs and the telemetry, which has so long to send what is left.
func (s *setup) end(t testing.TB, within time.Duration) {
	s.closed.Do(func() {
		if err := s.server.Close(context.Background()); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		s.telemetry.Close(ctx)
	})
}

func (s *setup) do(t testing.TB, method, path, mediaType, body string, header ...string) (answered, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header}, string(text)
}

// answered is an answer without its body.
type answered struct {
	status int
	header http.Header
}

// value returns a counter of the registry, by a label's value.
func (s *setup) value(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && matches(m, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s %q", name, labels)
	return 0
}

func matches(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetValue() == want
		}
		if !found {
			return false
		}
	}
	return true
}

const (
	octets = "application/octet-stream"
	lines  = "application/x-ndjson"
	trace  = "0af7651916cd43dd8448eb211c80319c"
	caller = "b7ad6b7169203331"
	// sampled and unsampled are what a caller's trace is like.
	sampled   = "00-" + trace + "-" + caller + "-01"
	unsampled = "00-" + trace + "-" + caller + "-00"
)

// TestAcrossHost follows a request of a caller with a trace through queue, run and reset.
func TestAcrossHost(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "frame": host.IsolationFrame} {
		t.Run(name, func(t *testing.T) { acrossHost(t, isolation) })
	}
}

func acrossHost(t *testing.T, isolation host.Isolation) {
	s := start(t, func(_ *telemetry.Options, cfg *host.Config) { cfg.Defaults.Isolation = isolation })
	resp, _ := s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x", "Traceparent", sampled, "Tracestate", "a=1", "Tracestate", "b=2")
	failed, _ := s.do(t, "POST", "/v1/transforms/hostile.trap", octets, "!", "Traceparent", sampled)
	s.do(t, "GET", "/v1/plugins", "", "")
	s.end(t, time.Minute)
	spans := s.collector.all()
	root := named(t, spans, "GET /v1/plugins", "")
	if len(root.GetParentSpanId()) != 0 || id(root.GetTraceId()) == trace {
		t.Errorf("a request without a trace has %v", root)
	}
	var requests []string
	for _, span := range spans {
		if span.GetName() != "POST /v1/transforms/{name}" {
			continue
		}
		if id(span.GetTraceId()) != trace || id(span.GetParentSpanId()) != caller || span.GetKind().String() != "SPAN_KIND_SERVER" {
			t.Errorf("the request's span is not the caller's: %v", span)
		}
		requests = append(requests, texts(span.GetAttributes())["http.response.status_code"])
		if got := resp.header.Get(telemetry.HeaderResponse); got == "00-"+trace+"-"+id(span.GetSpanId())+"-01" {
			if span.GetTraceState() != "a=1,b=2" {
				t.Errorf("the tracestate is %q", span.GetTraceState())
			}
			checkTask(t, s, spans, id(span.GetSpanId()))
		} else if failed.header.Get(telemetry.HeaderResponse) != "00-"+trace+"-"+id(span.GetSpanId())+"-01" {
			t.Errorf("no answer has the trace of %v", span)
		}
	}
	if len(requests) != 2 || requests[0] != "200" || requests[1] != "502" {
		t.Errorf("requests with the statuses %q", requests)
	}
	trap := named(t, spans, "task hostile.trap", "")
	if a := texts(trap.GetAttributes()); trap.GetStatus().GetCode().String() != "STATUS_CODE_ERROR" || a["error.type"] != "trap" {
		t.Errorf("a task that fails: %v", trap)
	}
	if r := s.collector.resource; r["service.name"] != "resonhost" {
		t.Errorf("resource %v", r)
	}
}

// checkTask checks the task of a request's span, and its phases.
func checkTask(t *testing.T, s *setup, spans []*tracepb.Span, request string) {
	t.Helper()
	task := named(t, spans, "task hostile.echo", request)
	a := texts(task.GetAttributes())
	if a["resonhost.transform"] != "hostile.echo" || a["resonhost.fuel"] == "0" || task.GetStatus().GetCode() != 0 {
		t.Errorf("task %v", task)
	}
	hash := s.host.Plugins()[0].Hash
	at := task.GetStartTimeUnixNano()
	for _, name := range []string{"queue", "run", "reset"} {
		phase := named(t, spans, name, id(task.GetSpanId()))
		if phase.GetStartTimeUnixNano() < at-uint64(time.Millisecond) || phase.GetEndTimeUnixNano() > task.GetEndTimeUnixNano() {
			t.Errorf("%s is from %d to %d, in a task from %d to %d", name, phase.GetStartTimeUnixNano(), phase.GetEndTimeUnixNano(), at, task.GetEndTimeUnixNano())
		}
		p := texts(phase.GetAttributes())
		if name != "queue" && (p["resonhost.plugin.version"] != "1.0.0" || p["resonhost.plugin.hash"] != hash) {
			t.Errorf("%s is of %v", name, p)
		}
		if name == "run" && p["resonhost.fuel"] != a["resonhost.fuel"] {
			t.Errorf("the run burns %s of the task's %s", p["resonhost.fuel"], a["resonhost.fuel"])
		}
	}
}

// TestSwapUnderLoad swaps a plugin while traced requests come: each has a trace that says which version
// has answered.
func TestSwapUnderLoad(t *testing.T) {
	s := start(t, func(_ *telemetry.Options, cfg *host.Config) { cfg.CacheDir, cfg.Workers = t.TempDir(), 2 })
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	answers := make(map[string]string) // by trace
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := 0; ctx.Err() == nil && i < 100; i++ {
				id := fmt.Sprintf("%016x%016x", c+1, i+1)
				_, text := s.do(t, "POST", "/v1/transforms/swap", "text/plain", "x", "Traceparent", "00-"+id+"-"+caller+"-01")
				mu.Lock()
				answers[id] = text
				mu.Unlock()
			}
		})
	}
	for i := range 20 {
		tag := []string{"v2", "v3"}[i%2]
		if _, err := s.host.Deploy(t.Context(), host.Source{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: tag})}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	callers.Wait()
	s.end(t, time.Minute)
	runs := make(map[string]string)
	for _, span := range s.collector.all() {
		if span.GetName() == "run" {
			runs[id(span.GetTraceId())] = guesttest.SwapTag(texts(span.GetAttributes())["resonhost.plugin.version"])
		}
	}
	dropped := s.value(t, "resonhost_telemetry_dropped_total", "spans", "queue") + s.value(t, "resonhost_telemetry_dropped_total", "spans", "failed")
	for trace, answer := range answers {
		if runs[trace] != answer && (runs[trace] != "" || dropped == 0) {
			t.Errorf("trace %s has a run of %q, and the answer is of %q; %v spans were dropped", trace, runs[trace], answer, dropped)
		}
	}
}

// TestSampling has callers ask for more traces than there may be.
func TestSampling(t *testing.T) {
	for name, c := range map[string]struct {
		header      []string
		share       float64
		most        int
		least, upTo int
		by          string
	}{
		"callers who want all":  {[]string{"Traceparent", sampled}, -1, 5, 5, 100, "caller"},
		"callers who want none": {[]string{"Traceparent", unsampled}, 1, 1000, 0, 0, ""},
		"own, all":              {nil, 1, 5, 5, 100, "host"},
		"own, none":             {nil, -1, 1000, 0, 0, ""},
		"two parents":           {[]string{"Traceparent", sampled, "Traceparent", sampled}, -1, 1000, 0, 0, ""},
		"garbage":               {[]string{"Traceparent", "00-x"}, -1, 1000, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *telemetry.Options, _ *host.Config) { o.Sample, o.Traces = c.share, c.most })
			const requests = 200
			for range requests {
				resp, _ := s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x", c.header...)
				if c.upTo == 0 && resp.header.Get(telemetry.HeaderResponse) != "" {
					t.Error("an answer has a trace that is not sampled")
				}
			}
			s.end(t, time.Minute)
			n := 0
			for _, span := range s.collector.all() {
				if span.GetKind().String() == "SPAN_KIND_SERVER" {
					n++
				}
			}
			if n < c.least || n > c.upTo {
				t.Errorf("%d requests are traced, want %d to %d", n, c.least, c.upTo)
			}
			if c.by != "" && int(s.value(t, "resonhost_telemetry_limited_total", c.by)) != requests-n {
				t.Errorf("%v were limited, and %d of %d traced", s.value(t, "resonhost_telemetry_limited_total", c.by), n, requests)
			}
		})
	}
}

// TestCallersLeaveOwnTraces has callers who take all the traces that they may have.
func TestCallersLeaveOwnTraces(t *testing.T) {
	s := start(t, func(o *telemetry.Options, _ *host.Config) { o.Traces = 3 })
	for range 50 {
		s.do(t, "GET", "/v1/plugins", "", "", "Traceparent", sampled)
	}
	if resp, _ := s.do(t, "GET", "/v1/plugins", "", ""); resp.header.Get(telemetry.HeaderResponse) == "" {
		t.Error("a request without a caller's trace is not traced")
	}
}

// TestLinesAndJobs has many tasks of a request, and of a job, of which a bounded number have spans.
func TestLinesAndJobs(t *testing.T) {
	s := start(t, nil)
	body := strings.Repeat("\"x\"\n", 200)
	s.do(t, "POST", "/v1/transforms/hostile.echo", lines, body, "Traceparent", sampled)
	resp, _ := s.do(t, "POST", "/v1/jobs?transform=hostile.echo", lines, body, "Traceparent", sampled)
	if resp.status != http.StatusAccepted {
		t.Fatalf("the job is answered %d", resp.status)
	}
	s.do(t, "GET", resp.header.Get("Location"), "", "", "Prefer", "wait=60", "Traceparent", unsampled)
	s.end(t, time.Minute)
	spans := s.collector.all()
	request := named(t, spans, "POST /v1/transforms/{name}", caller)
	job := named(t, spans, "job hostile.echo", id(named(t, spans, "POST /v1/jobs", caller).GetSpanId()))
	tasks := make(map[string]int)
	for _, span := range spans {
		if span.GetName() == "task hostile.echo" {
			tasks[id(span.GetParentSpanId())]++
		}
	}
	for _, parent := range []*tracepb.Span{request, job} {
		if a := texts(parent.GetAttributes()); tasks[id(parent.GetSpanId())] != 128 || a["resonhost.tasks.untraced"] != "72" || id(parent.GetTraceId()) != trace {
			t.Errorf("%s has %d tasks and the attributes %v", parent.GetName(), tasks[id(parent.GetSpanId())], a)
		}
	}
}

// TestOutbound has a plugin's requests tell their receiver the trace.
func TestOutbound(t *testing.T) {
	seen := make(chan http.Header, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	t.Cleanup(receiver.Close)
	var fetch func(context.Context, host.FetchRequest) (host.FetchResponse, error)
	s := start(t, func(_ *telemetry.Options, cfg *host.Config) {
		cfg.Fetch = func(ctx context.Context, r host.FetchRequest) (host.FetchResponse, error) { return fetch(ctx, r) }
		cfg.Plugins = append(cfg.Plugins, host.Source{Name: "x", WASM: guesttest.HandWritten(t, "extism"), Companion: []byte("allowed_hosts: ['127.0.0.1']")})
		cfg.Overrides = map[string]host.PluginConfig{"x": {Grants: []host.Grant{host.GrantNetwork}}}
	})
	client := outbound.New(outbound.Config{Private: []string{"127.0.0.1"}, Wrap: s.telemetry.Tracer().Transport})
	t.Cleanup(client.Close)
	fetch = client.Fetch
	request := `{"url": "` + receiver.URL + `/path?secret=1", "headers": {"Traceparent": "forged", "Tracestate": "forged=1"}}`
	s.do(t, "POST", "/v1/transforms/x.http", octets, request, "Traceparent", sampled, "Tracestate", "a=1")
	got := <-seen
	s.do(t, "POST", "/v1/transforms/x.http", octets, request, "Traceparent", unsampled)
	without := <-seen
	s.end(t, time.Minute)
	spans := s.collector.all()
	task := named(t, spans, "task x.http", "")
	sent := named(t, spans, "GET", id(task.GetSpanId()))
	if want := "00-" + trace + "-" + id(sent.GetSpanId()) + "-01"; got.Get("Traceparent") != want || got.Get("Tracestate") != "a=1" {
		t.Errorf("the receiver gets %q, want %q", got, want)
	}
	if a := texts(sent.GetAttributes()); a["url.full"] != receiver.URL+"/path" || a["http.response.status_code"] != "200" {
		t.Errorf("the request's span has %v", a)
	}
	if state := without.Values("Tracestate"); len(state) > 0 {
		t.Errorf("the receiver gets the tracestate %q, which is the plugin's", state)
	}
	if p := without.Get("Traceparent"); !strings.HasPrefix(p, "00-"+trace) || !strings.HasSuffix(p, "-00") {
		t.Errorf("of a trace that is not sampled the receiver gets %q", p)
	}
}

// TestLog has what is logged for a request say of which trace it is.
func TestLog(t *testing.T) {
	s := start(t, nil)
	s.do(t, "POST", "/v1/transforms/hostile.trap", octets, "!", "Traceparent", sampled)
	s.do(t, "POST", "/v1/transforms/hostile.trap", octets, "!", "Traceparent", unsampled)
	if n := strings.Count(s.log.String(), "trace_id="+trace+" span_id="); n != 2 {
		t.Errorf("%d lines have the trace, want 2:\n%s", n, s.log.String())
	}
}

// TestMetricsSent has the registry's metrics come to the collector, with exemplars that lead to traces.
func TestMetricsSent(t *testing.T) {
	s := start(t, func(o *telemetry.Options, _ *host.Config) {
		o.Compress, o.Header, o.Service, o.Attributes = true, map[string]string{"Authorization": "Bearer x"}, "mine", map[string]string{"where": "here"}
	})
	s.do(t, "POST", "/v1/transforms/hostile.echo", octets, "x", "Traceparent", sampled)
	if _, text := s.do(t, "GET", "/metrics", "", "", "Accept", "application/openmetrics-text;version=1.0.0", "Traceparent", unsampled); !strings.Contains(text, `trace_id="`+trace+`"`) {
		t.Error("/metrics has no exemplar of the task")
	}
	s.end(t, time.Minute)
	c := s.collector
	sum := c.metrics["resonhost_tasks_total"].GetSum()
	if p := sum.GetDataPoints(); len(p) == 0 || !sum.GetIsMonotonic() || p[0].GetStartTimeUnixNano() == 0 {
		t.Errorf("tasks: %v", sum)
	}
	found := false
	for _, p := range c.metrics["resonhost_task_latency_seconds"].GetExponentialHistogram().GetDataPoints() {
		for _, x := range p.GetExemplars() {
			found = found || id(x.GetTraceId()) == trace && len(x.GetSpanId()) == 8 && x.GetAsDouble() > 0
		}
	}
	if !found {
		t.Errorf("latencies have no exemplar: %v", c.metrics["resonhost_task_latency_seconds"])
	}
	if r := c.resource; r["service.name"] != "mine" || r["where"] != "here" {
		t.Errorf("resource %v", r)
	}
	for _, h := range c.headers {
		if h.Get("Authorization") != "Bearer x" || h.Get("Content-Encoding") != "gzip" {
			t.Errorf("a request with %v", h)
		}
	}
}
