package telemetry_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/telemetry"
)

// A program with a provider of its own needs a tracer alone.
func ExampleNewTracer() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tracer := telemetry.NewTracer(provider)
	h := hosted.Example(host.Config{Trace: tracer.Task}, guesttest.Shout) // has New and Start
	defer h.Close(ctx)

	ctx, mine := provider.Tracer("example").Start(ctx, "greet")
	out, err := h.Run(ctx, "shout", []byte("hello"))
	mine.End()
	fmt.Println(string(out), err)
	for _, s := range spans.GetSpans() {
		fmt.Println(s.Name)
	}
	// Output:
	// HELLO! <nil>
	// queue
	// run
	// reset
	// task shout
	// greet
}
