package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/telemetry"
)

// BenchmarkRequest is what tracing costs a request over loopback, and what it costs a task within the process.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name   string
		sample float64 // 0 for no telemetry
	}{{"off", 0}, {"none", -1}, {"1 in 100", 0.01}, {"all", 1}} {
		s := benchServer(b, c.sample)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := s.Client().Post(s.URL+"/v1/transforms/hostile.echo", octets, strings.NewReader("x"))
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

// benchServer is a server that is traced to a collector that is as good as it can be: requests for it end at once.
func benchServer(b *testing.B, sample float64) *httptest.Server {
	b.Helper()
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(collector.Close)
	cfg := host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(b, "hostile")}}}
	wrap := func(h http.Handler) http.Handler { return h }
	if sample != 0 {
		t, err := telemetry.New(telemetry.Options{Endpoint: collector.URL, Sample: sample, Traces: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		t.Start(nil)
		b.Cleanup(func() { t.Close(context.Background()) })
		cfg.Trace = t.Tracer().Task
		wrap = func(h http.Handler) http.Handler { return t.Tracer().Handler(h, nil) }
	}
	h := hosted.Start(b, cfg)
	s, err := server.New(h, codec.New(), server.Options{})
	if err != nil {
		b.Fatal(err)
	}
	web := httptest.NewServer(wrap(s.Handler()))
	b.Cleanup(web.Close)
	return web
}

// BenchmarkTask is what tracing costs a task by itself.
func BenchmarkTask(b *testing.B) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()))
	tracer := telemetry.NewTracer(provider)
	sampled, span := provider.Tracer("").Start(context.Background(), "caller")
	defer span.End()
	for _, c := range []struct {
		name  string
		ctx   context.Context //nolint:containedctx // of a row
		trace func(context.Context) (context.Context, func(host.TaskTrace))
	}{
		{"off", context.Background(), nil},
		{"not sampled", context.Background(), tracer.Task},
		{"sampled", sampled, tracer.Task},
	} {
		h := hosted.Start(b, host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(b, "hostile")}}, Trace: c.trace})
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			input := make([]byte, 64)
			for b.Loop() {
				if _, err := h.Run(c.ctx, "hostile.echo", input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
