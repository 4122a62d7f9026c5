package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector takes OTLP over HTTP and keeps what it decodes.
type collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []*tracepb.Span
	metrics  map[string]*metricspb.Metric
	resource map[string]string
	headers  []http.Header
	// answer, if set, answers instead; it returns whether it did.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func startCollector(t testing.TB) *collector {
	c := &collector{metrics: make(map[string]*metricspb.Metric), resource: make(map[string]string)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.take(t, w, r) }))
	t.Cleanup(c.Close)
	return c
}

// with has the collector answer in another way, or as it should if that is nil.
func (c *collector) with(answer func(w http.ResponseWriter, r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *collector) take(t testing.TB, w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	body, err := io.ReadAll(r.Body) // before which nobody is told that the client goes
	if answer != nil && answer(w, r) {
		return
	}
	if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s %s with %q: %v", r.Method, r.URL, r.Header, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	switch r.URL.Path {
	case "/v1/traces":
		var data tracepb.TracesData
		if err := proto.Unmarshal(body, &data); err != nil {
			t.Error(err)
		}
		for _, rs := range data.GetResourceSpans() {
			c.resource = texts(rs.GetResource().GetAttributes())
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
	case "/v1/metrics":
		var data metricspb.MetricsData
		if err := proto.Unmarshal(body, &data); err != nil {
			t.Error(err)
		}
		for _, rm := range data.GetResourceMetrics() {
			c.resource = texts(rm.GetResource().GetAttributes())
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					c.metrics[m.GetName()] = m
				}
			}
		}
	default:
		t.Errorf("a request for %s", r.URL)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// all returns the spans so far.
func (c *collector) all() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*tracepb.Span(nil), c.spans...)
}

// texts are attributes as texts.
func texts(list []*commonpb.KeyValue) map[string]string {
	all := make(map[string]string)
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[kv.GetKey()] = decimal(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			all[kv.GetKey()] = map[bool]string{true: "true", false: "false"}[v.BoolValue]
		}
	}
	return all
}

// named returns the only span of a name among those whose parent is of an ID; "" for any.
func named(t testing.TB, spans []*tracepb.Span, name, parent string) *tracepb.Span {
	t.Helper()
	var found *tracepb.Span
	for _, s := range spans {
		if s.GetName() == name && (parent == "" || id(s.GetParentSpanId()) == parent) {
			if found != nil {
				t.Fatalf("there are two spans %q below %q", name, parent)
			}
			found = s
		}
	}
	if found == nil {
		t.Fatalf("there is no span %q below %q among %v", name, parent, names(spans))
	}
	return found
}

func names(spans []*tracepb.Span) (all []string) {
	for _, s := range spans {
		all = append(all, s.GetName())
	}
	return all
}

func id(b []byte) string { return hex.EncodeToString(b) }

// until waits until something is so.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("waited in vain until ", what)
		}
	}
}
