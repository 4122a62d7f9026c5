package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
	"github.com/resonhost/resonhost/telemetry"
)

// TestAcrossFleet has frames that are submitted, and called, within a span: the hosts' spans are within that. Frames without a span, and
// those whose headers are none, have none.
func TestAcrossFleet(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tracer := telemetry.NewTracer(provider)
	echo := guest.New(`{"name": "echo", "version": "1", "transforms": [{"name": "echo", "input": "text/plain", "output": "text/plain"}]}`, func(t *guest.Task) error {
		t.Output = append(t.Output, t.Input...)
		return nil
	})
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{echo}, Trace: tracer.Task})
	header := "" // instead of the span's, if any
	f, err := fleet.Open(t.Context(), fleet.Config{
		URLs: natstest.Start(t).URL(), TaskBytes: 8 << 20, ResultBytes: 8 << 20,
		Trace: func(ctx context.Context) string {
			if header != "" {
				return header
			}
			return tracer.Parent(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := f.NewWorker(h, fleet.WorkerOptions{Trace: tracer.Frame})
	t.Cleanup(func() {
		if err := errors.Join(w.Close(context.Background()), f.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := f.Client("", host.PriorityNormal)
	do := func(ctx context.Context, called bool) {
		t.Helper()
		if called {
			if _, err := client.Run(ctx, "echo", []byte("x")); err != nil {
				t.Error(err)
			}
			return
		}
		s, err := client.Submit(ctx, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Send(ctx, &fleet.Frame{Transform: "echo", Tasks: []fleet.Task{{Input: []byte("x")}}}); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Next(ctx); err != nil || r.Err != nil || r.Answer.Outcomes[0].Failure != nil {
			t.Errorf("%+v, %v", r, err)
		}
	}
	for _, called := range []bool{false, true} {
		spans.Reset()
		ctx, span := provider.Tracer("test").Start(t.Context(), "caller")
		do(ctx, called)
		span.End()
		found := make(map[string]tracetest.SpanStub)
		for _, s := range spans.GetSpans() {
			found[s.Name] = s
		}
		frame, task := found["frame echo"], found["task echo"]
		if frame.Parent.SpanID() != span.SpanContext().SpanID() || !frame.Parent.IsRemote() || task.Parent.SpanID() != frame.SpanContext.SpanID() ||
			task.SpanContext.TraceID() != span.SpanContext().TraceID() || found["run"].Name == "" && found["queue"].Name == "" {
			t.Errorf("called %v: %v", called, found)
		}
		spans.Reset()
		do(t.Context(), called)
		for _, header = range []string{"x", "00-0-0-01", strings.Repeat("0", 300), "00-" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 16) + "-01"} {
			do(t.Context(), called)
		}
		if header = ""; len(spans.GetSpans()) > 0 {
			t.Errorf("called %v: %v", called, spans.GetSpans())
		}
	}
}
