package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/resonhost/resonhost/api"
)

// TestOTLP has a service send the traces of its tasks and its metrics, all by its end.
func TestOTLP(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	var mu sync.Mutex
	var spans []string
	paths := make(map[string]string) // with the header of the last request
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		paths[r.URL.Path] = r.Header.Get("X-Key")
		var data tracepb.TracesData
		if r.URL.Path == "/prefix/v1/traces" {
			if err := proto.Unmarshal(body, &data); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			t.Error(err)
		}
		for _, rs := range data.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					spans = append(spans, s.GetName())
				}
			}
		}
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b")
	d := startRun(t, "--mode", "inline", "--otlp", collector.URL+"/prefix/")
	const body = `{"a": {"frequency": 100}, "b": {"frequency": 200, "position": {"x": 3, "y": 4}}}`
	if code, text := d.post(t, "tick.connection", "application/json", strings.NewReader(body)); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
	d.get(t, "/readyz")
	_, metrics := d.get(t, "/metrics")
	for _, want := range []string{"resonhost_telemetry_limited_total{by=\"caller\"} 0", "go_goroutines ", "process_"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if text, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(spans, ", "); got != "queue, run, task tick.connection, POST /v1/transforms/{name}" {
		t.Errorf("spans %s", got)
	}
	if len(paths) != 2 || paths["/prefix/v1/traces"] != "a b" || paths["/prefix/v1/metrics"] != "a b" {
		t.Errorf("requests %v", paths)
	}
}
