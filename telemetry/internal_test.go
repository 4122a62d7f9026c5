package telemetry

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name, field string
		o           Options
	}{
		{"no endpoint", "Endpoint", Options{}},
		{"no scheme", "Endpoint", Options{Endpoint: "localhost:4318"}},
		{"another scheme", "Endpoint", Options{Endpoint: "grpc://localhost:4317"}},
		{"no host", "Endpoint", Options{Endpoint: "http:///v1"}},
		{"password", "Endpoint", Options{Endpoint: "http://a:b@localhost"}},
		{"traces", "Endpoint", Options{Endpoint: "http://localhost:4318/v1/traces"}},
		{"metrics", "Endpoint", Options{Endpoint: "https://localhost/otlp/v1/metrics/"}},
		{"port", "Endpoint", Options{Endpoint: "http://localhost:65536"}},
		{"query", "Endpoint", Options{Endpoint: "http://localhost?x=1"}},
		{"share", "Sample", Options{Endpoint: "http://localhost", Sample: 2}},
		{"traces", "Traces", Options{Endpoint: "http://localhost", Traces: -1}},
		{"timeout", "Timeout", Options{Endpoint: "http://localhost", Timeout: -1}},
		{"header", "Header", Options{Endpoint: "http://localhost", Header: map[string]string{"a b": "x"}}},
		{"service", "Service", Options{Endpoint: "http://localhost", Service: "\xff"}},
		{"version", "Version", Options{Endpoint: "http://localhost", Version: "\xff"}},
		{"attribute", "Attributes", Options{Endpoint: "http://localhost", Attributes: map[string]string{"team": "\xff"}}},
		{"attribute's name", "Attributes", Options{Endpoint: "http://localhost", Attributes: map[string]string{"\xff": "team"}}},
		{"header's value", "Header", Options{Endpoint: "http://localhost", Header: map[string]string{"a": "x\r\ny"}}},
	} {
		if _, err := New(c.o); err == nil || !strings.HasPrefix(err.Error(), c.field+": ") {
			t.Errorf("%s: %v, want an error of %s", c.name, err, c.field)
		}
	}
	for _, good := range []string{"http://127.0.0.1:4318", "https://collector.example/prefix/"} {
		if _, err := New(Options{Endpoint: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestFromEnv(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	var o Options
	err := o.FromEnv(env(
		"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b = c=d,", "OTEL_EXPORTER_OTLP_TIMEOUT", "1500",
		"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "OTEL_METRIC_EXPORT_INTERVAL", "5000",
		"OTEL_RESOURCE_ATTRIBUTES", "service.name=a,service.version=2,deployment=b%2Cc",
	))
	if err != nil || !maps.Equal(o.Header, map[string]string{"authorization": "Bearer x", "b": "c=d"}) || o.Timeout != 1500*time.Millisecond ||
		!o.Compress || o.Every != 5*time.Second || o.Service != "a" || o.Version != "2" || !maps.Equal(o.Attributes, map[string]string{"deployment": "b,c"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if err := o.FromEnv(env("OTEL_SERVICE_NAME", "mine", "OTEL_RESOURCE_ATTRIBUTES", "service.name=a")); err != nil || o.Service != "mine" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range [][]string{
		{"OTEL_EXPORTER_OTLP_HEADERS", "secret"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a=%zzsecret"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0d%0ab"}, {"OTEL_EXPORTER_OTLP_HEADERS", strings.Repeat("a=secret,", 100)},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "0"}, {"OTEL_METRIC_EXPORT_INTERVAL", "99999999999"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"}, {"OTEL_EXPORTER_OTLP_CERTIFICATE", "env.go"}, {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "env.go"},
		{"OTEL_RESOURCE_ATTRIBUTES", "x"},
	} {
		err := new(Options).FromEnv(env(wrong...))
		if err == nil || !strings.Contains(err.Error(), wrong[0]) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := o.FromEnv(env("OTEL_EXPORTER_OTLP_CLIENT_KEY", "env.go", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "env.go")); err == nil {
		t.Error("a file that has no key is taken")
	}
}

// TestForceFlush has spans be sent when it is asked for, and not when there is nothing any more to send them.
func TestForceFlush(t *testing.T) {
	asked := make(chan struct{}, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer collector.Close()
	s, err := New(Options{Endpoint: collector.URL})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(nil)
	_, span := s.provider.Tracer("").Start(t.Context(), "x")
	span.End()
	if err := s.provider.ForceFlush(t.Context()); err != nil || len(asked) != 1 {
		t.Errorf("%v; the collector was asked %d times", err, len(asked))
	}
	s.Close(t.Context())
	if err := s.provider.ForceFlush(t.Context()); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.spans.ForceFlush(gone); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestConvert has metrics of each type in OTLP.
func TestConvert(t *testing.T) {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c_total", Help: "of c"}, []string{"l"})
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "g", Help: "of g"})
	u := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "u", Help: "of u"}, func() float64 { return 5 })
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "of h", Buckets: []float64{1, 2}})
	n := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "n", Help: "of n", NativeHistogramBucketFactor: 2, NativeHistogramZeroThreshold: 0.001})
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Help: "of s", Objectives: map[float64]float64{0.5: 0.1}})
	r.MustRegister(c, g, u, h, n, s)
	c.WithLabelValues("x").Add(3)
	g.Set(4)
	traceID, spanID := strings.Repeat("ab", 16), strings.Repeat("cd", 8)
	for _, v := range []float64{0.5, 1, 1.5, 9} {
		h.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": traceID, "span_id": spanID, "more": "y"})
		s.Observe(v)
	}
	// By powers of two: one in (1/4, 1/2], none up to 4, two in (4, 8], and one that counts as 0, another below it.
	for _, v := range []float64{0.5, 5, 8, 0, -3} {
		n.Observe(v)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m := metricSender{since: now.Add(-time.Minute)}
	all := make(map[string]*metricspb.Metric)
	for _, x := range m.data(families, now).GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics() {
		all[x.GetName()] = x
	}
	if p := all["c_total"].GetSum().GetDataPoints()[0]; p.GetAsDouble() != 3 || p.GetAttributes()[0].GetKey() != "l" || all["c_total"].GetDescription() != "of c" {
		t.Errorf("counter %v", all["c_total"])
	}
	if all["g"].GetGauge().GetDataPoints()[0].GetAsDouble() != 4 || all["u"].GetGauge().GetDataPoints()[0].GetAsDouble() != 5 {
		t.Errorf("gauges %v, %v", all["g"], all["u"])
	}
	classic := all["h"].GetHistogram().GetDataPoints()[0]
	if classic.GetCount() != 4 || classic.GetSum() != 12 || !slices.Equal(classic.GetExplicitBounds(), []float64{1, 2}) || !slices.Equal(classic.GetBucketCounts(), []uint64{2, 1, 1}) {
		t.Errorf("histogram %v", classic)
	}
	if x := classic.GetExemplars(); len(x) != 3 || len(x[2].GetTraceId()) != 16 || x[2].GetTraceId()[0] != 0xab || len(x[2].GetSpanId()) != 8 || x[2].GetAsDouble() != 9 || x[2].GetFilteredAttributes()[0].GetKey() != "more" {
		t.Errorf("exemplars %v", x)
	}
	native := all["n"].GetExponentialHistogram().GetDataPoints()[0]
	// OTLP has in the bucket of the index i what is above 2^i and at most 2^(i+1).
	if native.GetCount() != 5 || native.GetScale() != 0 || native.GetZeroCount() != 1 || native.GetPositive().GetOffset() != -2 ||
		!slices.Equal(native.GetPositive().GetBucketCounts(), []uint64{1, 0, 0, 0, 2}) || native.GetNegative().GetOffset() != 1 || !slices.Equal(native.GetNegative().GetBucketCounts(), []uint64{1}) {
		t.Errorf("native histogram %v", native)
	}
	if q := all["s"].GetSummary().GetDataPoints()[0]; q.GetCount() != 4 || q.GetQuantileValues()[0].GetQuantile() != 0.5 || math.IsNaN(q.GetQuantileValues()[0].GetValue()) {
		t.Errorf("summary %v", q)
	}
}

// FuzzExtract has a trace that a request tells be what it tells again, or none.
func FuzzExtract(f *testing.F) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f.Add(good, "a=1,b=2")
	f.Add(strings.ToUpper(good), "")
	f.Add("01"+good[2:]+"-more", "a=1")
	f.Add("ff"+good[2:], "")
	f.Add("00-00000000000000000000000000000000-b7ad6b7169203331-01", "")
	f.Add(good, strings.Repeat("a=1,", 500))
	f.Fuzz(func(t *testing.T, parent, state string) {
		sc := extract(http.Header{HeaderParent: {parent}, HeaderState: {state}})
		if !sc.IsValid() {
			if sc.IsSampled() {
				t.Error("what is no trace is sampled")
			}
			return
		}
		if !sc.IsRemote() || len(sc.TraceState().String()) > 2*maxState {
			t.Errorf("%v", sc)
		}
		again := extract(http.Header{HeaderParent: {parentOf(sc)}, HeaderState: {sc.TraceState().String()}})
		if again.TraceID() != sc.TraceID() || again.SpanID() != sc.SpanID() || again.IsSampled() != sc.IsSampled() {
			t.Errorf("%q and %q become %v, and that %v", parent, state, sc, again)
		}
		if !strings.HasPrefix(parent[2:], "-"+sc.TraceID().String()+"-"+sc.SpanID().String()+"-") {
			t.Errorf("%q has the trace %v", parent, sc)
		}
	})
}

// FuzzReadRejected reads what collectors answer.
func FuzzReadRejected(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x08, 0x02})
	f.Add([]byte{0x0a, 0x05, 0x08, 0x02, 0x12, 0x01, 0xff})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if r := readRejected(answer); int64(r.count) < 0 || len(r.message) > 3*200 || !strings.EqualFold(r.message, strings.ToValidUTF8(r.message, "")) {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzPairs reads variables of the environment.
func FuzzPairs(f *testing.F) {
	f.Add("a=b,c=%20d")
	f.Add("=")
	f.Fuzz(func(t *testing.T, list string) {
		all, err := pairs(list, headerRule)
		if err == nil {
			for name, value := range all {
				if headerRule(name, value) != "" {
					t.Errorf("%q has %q: %q", list, name, value)
				}
			}
		}
	})
}

// TestEncode has texts that are no UTF-8 mended, wherever they are, and nothing else.
func TestEncode(t *testing.T) {
	text := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	attribute := &commonpb.KeyValue{Key: "k\xff", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{
		ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{text("good"), text("\xfe")}},
	}}}
	span := &tracepb.Span{
		Name: "a\xffb", TraceId: []byte{0xff}, Attributes: []*commonpb.KeyValue{attribute},
		Status: &tracepb.Status{Message: "\xc3"},
	}
	data := &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}}}}}
	body, err := encode(data)
	if err != nil {
		t.Fatal(err)
	}
	var back tracepb.TracesData
	if err := proto.Unmarshal(body, &back); err != nil {
		t.Fatal(err)
	}
	got := back.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
	list := got.GetAttributes()[0].GetValue().GetArrayValue().GetValues()
	if got.GetName() != "a\uFFFDb" || got.GetTraceId()[0] != 0xff || got.GetAttributes()[0].GetKey() != "k\uFFFD" ||
		list[0].GetStringValue() != "good" || list[1].GetStringValue() != "\uFFFD" || got.GetStatus().GetMessage() != "\uFFFD" {
		t.Errorf("got %v", got)
	}
}
