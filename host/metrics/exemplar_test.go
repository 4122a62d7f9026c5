package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/histogram"
)

// TestExemplars has exemplars in the buckets of their values, in each format that has a place for them.
func TestExemplars(t *testing.T) {
	at, trace, span := time.Unix(1_700_000_000, 0), strings.Repeat("ab", 16), strings.Repeat("cd", 8)
	var r histogram.Recorder
	for _, d := range []time.Duration{7 * time.Microsecond, 30 * time.Millisecond, time.Minute} {
		r.Observe(d)
	}
	h := host.Histogram(r.Snapshot())
	s := fixed{Plugins: []host.PluginStats{{
		Plugin:     host.Plugin{Name: "x"},
		Transforms: []host.TransformStats{{Name: "x", Wait: h, Run: h, Latency: h}, {Name: "y", Wait: h, Run: h, Latency: h}},
	}}}
	of := func(transform string, of metrics.Series) []metrics.Exemplar {
		if transform != "x" || of == metrics.SeriesWait {
			return nil
		}
		return []metrics.Exemplar{
			{Value: 7 * time.Microsecond, TraceID: trace, SpanID: span, Time: at},
			{Value: time.Minute, TraceID: trace, SpanID: span, Time: at},
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(s, metrics.Exemplars(of)))
	scrape := func(accept string) string {
		req := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
		req.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, req)
		return w.Body.String()
	}
	text := strings.ReplaceAll(scrape("application/openmetrics-text;version=1.0.0"), `{trace_id="`+trace+`",span_id="`+span+`"}`, "{}")
	text = strings.ReplaceAll(text, `{span_id="`+span+`",trace_id="`+trace+`"}`, "{}")
	for _, want := range []string{
		`resonhost_task_latency_seconds_bucket{transform="x",le="1e-05"} 1 # {} 7e-06 1.7e+09`,
		`resonhost_task_latency_seconds_bucket{transform="x",le="+Inf"} 3 # {} 60.0 1.7e+09`,
		`resonance_worker_task_duration_ms_bucket{transform="x",le="0.01"} 1 # {} 0.007 1.7e+09`,
		`resonhost_task_latency_seconds_bucket{transform="y",le="1e-05"} 1` + "\n",
		`resonhost_queue_wait_seconds_bucket{transform="x",le="1e-05"} 1` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	if text := scrape("text/plain"); strings.Contains(text, trace) {
		t.Errorf("exemplars in a format that has none:\n%s", text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "resonhost_task_latency_seconds" {
			if got := native(f, "x"); len(got) != 2 {
				t.Errorf("the native histogram has the exemplars %v", got)
			}
		}
	}
}

// native returns the exemplars of a transform's native histogram.
func native(f *dto.MetricFamily, transform string) []*dto.Exemplar {
	for _, m := range f.GetMetric() {
		if m.GetLabel()[0].GetValue() == transform {
			return m.GetHistogram().GetExemplars()
		}
	}
	return nil
}
