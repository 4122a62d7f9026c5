package telemetry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
)

// scope names what makes the spans.
const scope = "github.com/resonhost/resonhost"

// Attributes of spans that no convention has.
const (
	keyTransform = attribute.Key("resonhost.transform")
	keyTenant    = attribute.Key("resonhost.tenant")
	keyPlugin    = attribute.Key("resonhost.plugin.name")
	keyVersion   = attribute.Key("resonhost.plugin.version")
	keyHash      = attribute.Key("resonhost.plugin.hash")
	keyCanary    = attribute.Key("resonhost.canary")
	keyTasks     = attribute.Key("resonhost.tasks")
	keyFailed    = attribute.Key("resonhost.tasks.failed")
	keyUntraced  = attribute.Key("resonhost.tasks.untraced")
	keyFuel      = attribute.Key("resonhost.fuel")
	keyUntold    = attribute.Key("resonhost.phases.untraced")
)

// Bounds of a trace.
const (
	maxTasks  = 128 // of a request or a job, that are followed
	maxPhases = 16  // of a task
	maxName   = 128 // bytes of a transform's name in that of a span
)

// Tracer follows requests and tasks by spans. Its methods may be called concurrently.
type Tracer struct {
	tracer    trace.Tracer
	exemplars exemplars
}

// NewTracer returns a tracer whose spans are a provider's. Which are sampled is for the provider to say.
func NewTracer(p trace.TracerProvider) *Tracer { return &Tracer{tracer: p.Tracer(scope)} }

// Task is a [host.Config]'s Trace. A task has a span if its context has one that is sampled, of this
// tracer or of the program's. The spans of its phases are within.
func (t *Tracer) Task(ctx context.Context) (context.Context, func(host.TaskTrace)) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nil
	}
	if b, ok := ctx.Value(budgetKey{}).(*budget); ok && !b.take() {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, "task")
	return ctx, func(of host.TaskTrace) {
		t.task(ctx, span, &of)
		t.exemplars.add(&of, span.SpanContext())
	}
}

// task ends the span of a task.
func (t *Tracer) task(ctx context.Context, span trace.Span, of *host.TaskTrace) {
	end := of.Ended
	for i := range of.Phases[:min(len(of.Phases), maxPhases)] {
		p := &of.Phases[i]
		t.phase(ctx, p)
		if p.Ended.After(end) {
			end = p.Ended
		}
	}
	kind := host.KindOf(of.Err)
	if !errors.Is(of.Err, host.ErrUnknownTransform) && !errors.Is(of.Err, host.ErrLoading) { // else it is anything
		span.SetName("task " + cut(of.Transform, maxName))
	}
	span.SetAttributes(keyTransform.String(cut(of.Transform, maxName)), keyTasks.Int(of.Tasks), keyFuel.Int64(int64(of.Fuel)))
	if of.Tenant != "" {
		span.SetAttributes(keyTenant.String(cut(of.Tenant, limits.AttributeValueLengthLimit)))
	}
	if n := len(of.Phases) - maxPhases; n > 0 {
		span.SetAttributes(keyUntold.Int(n))
	}
	if of.Err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(string(kind)))
		span.SetStatus(codes.Error, cut(of.Err.Error(), limits.AttributeValueLengthLimit))
	}
	if of.Tasks > 1 {
		span.SetAttributes(keyFailed.Int(of.Failed))
	}
	span.End(trace.WithTimestamp(end))
}

// phase makes the span of a phase.
func (t *Tracer) phase(ctx context.Context, p *host.TaskPhase) {
	_, span := t.tracer.Start(ctx, string(p.Phase), trace.WithTimestamp(p.Began))
	if p.Phase != host.PhaseQueue {
		span.SetAttributes(keyPlugin.String(p.Plugin), keyVersion.String(p.Version), keyHash.String(p.Hash))
		if p.Canary {
			span.SetAttributes(keyCanary.Bool(true))
		}
	}
	if p.Phase == host.PhaseRun {
		span.SetAttributes(keyFuel.Int64(int64(p.Fuel)), keyTasks.Int(p.Tasks))
		if p.Kind != "" {
			span.SetAttributes(semconv.ErrorTypeKey.String(string(p.Kind)))
			span.SetStatus(codes.Error, string(p.Kind))
		}
	}
	span.End(trace.WithTimestamp(p.Ended))
}

// cut is the beginning of a text that a plugin or a caller may have made, in valid UTF-8.
func cut(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "\uFFFD")
}

// Exemplars returns which traces are of tasks that a histogram counts: of each of its buckets the last. It
// is what [metrics.Exemplars] and a server's Options.Exemplars take.
func (t *Tracer) Exemplars(transform string, of metrics.Series) []metrics.Exemplar {
	return t.exemplars.of(transform, of)
}

// Parent returns the span of a context in the form of [HeaderParent], "" if it has none that is sampled. It is what a fleet's
// Config takes as Trace.
func (t *Tracer) Parent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsSampled() {
		return ""
	}
	return parentOf(sc)
}

// Frame begins the span of a frame of a fleet whose sender has a span, in the form of [HeaderParent]. It returns the context of
// the frame's tasks, and what ends the span. It is what a fleet's WorkerOptions take as Trace.
func (t *Tracer) Frame(ctx context.Context, parent, transform string) (context.Context, func(error)) {
	sent := extract(http.Header{HeaderParent: {parent}})
	if !sent.IsSampled() {
		return ctx, func(error) {}
	}
	ctx, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, sent), "frame "+cut(transform, maxName), trace.WithSpanKind(trace.SpanKindConsumer))
	span.SetAttributes(keyTransform.String(cut(transform, maxName)))
	b := &budget{}
	return context.WithValue(ctx, budgetKey{}, b), func(err error) {
		b.tell(span)
		if err != nil {
			span.SetStatus(codes.Error, cut(err.Error(), limits.AttributeValueLengthLimit))
		}
		span.End()
	}
}

// Job begins the span of a job that a request has asked for, which goes on when the request is over. It
// returns what makes the context of the job's tasks, and what ends the span, with the kind of the job's
// error; nil if the request is not traced. It is what a server's Options.Jobs take as Trace.
func (t *Tracer) Job(request context.Context, transform string) (carry func(context.Context) context.Context, end func(host.Kind)) {
	asked := trace.SpanContextFromContext(request)
	if !asked.IsSampled() {
		return nil, nil
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpanContext(context.Background(), asked), "job "+cut(transform, maxName))
	span.SetAttributes(keyTransform.String(cut(transform, maxName)))
	b := &budget{}
	carry = func(to context.Context) context.Context {
		return context.WithValue(trace.ContextWithSpan(to, trace.SpanFromContext(ctx)), budgetKey{}, b)
	}
	return carry, func(kind host.Kind) {
		b.tell(span)
		if kind != "" {
			span.SetAttributes(semconv.ErrorTypeKey.String(string(kind)))
			span.SetStatus(codes.Error, string(kind))
		}
		span.End()
	}
}

// budget is how many tasks of a request may still have spans.
type budget struct{ taken atomic.Int64 }

type budgetKey struct{}

func (b *budget) take() bool { return b.taken.Add(1) <= maxTasks }

// tell says how many tasks have none.
func (b *budget) tell(span trace.Span) {
	if n := b.taken.Load() - maxTasks; n > 0 {
		span.SetAttributes(keyUntraced.Int64(n))
	}
}
