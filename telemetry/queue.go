package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/resonhost/resonhost/internal/outage"
)

// Bounds of what is sent.
const (
	maxSpans   = 4096             // that wait
	maxBatch   = 512              // in a request
	flushEvery = 2 * time.Second  // a request that is not full
	maxTries   = 5                // of a request
	firstDelay = time.Second      // before the second; twice as long before the next
	maxDelay   = 30 * time.Second // whatever the collector says
)

// spanQueue keeps spans that have ended until they are sent. It implements [sdktrace.SpanProcessor]. The
// SDK's own does not say what it drops.
type spanQueue struct {
	in      chan sdktrace.ReadOnlySpan
	flushes chan chan struct{}
	over    chan struct{} // closed when run has returned
	export  *otlptrace.Exporter
	upload  *upload
	counts  *counts
}

func newSpanQueue(c *client, n *counts, log *slog.Logger) *spanQueue {
	u := &upload{client: c, counts: n, health: health{log: log, what: "spans"}}
	return &spanQueue{
		in: make(chan sdktrace.ReadOnlySpan, maxSpans), flushes: make(chan chan struct{}), over: make(chan struct{}),
		export: otlptrace.NewUnstarted(u), upload: u, counts: n,
	}
}

// OnStart implements [sdktrace.SpanProcessor].
func (q *spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor]. It never waits.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	select {
	case q.in <- s:
	default:
		q.counts.spansFull.Add(1)
	}
	select {
	case <-q.over: // nobody takes it any more
		q.drop()
	default:
	}
}

// drop counts what came after the end.
func (q *spanQueue) drop() {
	for {
		select {
		case <-q.in:
			q.counts.spansLate.Add(1)
		default:
			return
		}
	}
}

// ForceFlush implements [sdktrace.SpanProcessor].
func (q *spanQueue) ForceFlush(ctx context.Context) error {
	done := make(chan struct{})
	for _, step := range []func() bool{
		func() bool {
			select {
			case q.flushes <- done:
				return true
			case <-q.over:
			case <-ctx.Done():
			}
			return false
		},
		func() bool {
			select {
			case <-done:
				return true
			case <-ctx.Done():
			}
			return false
		},
	} {
		if !step() {
			return context.Cause(ctx)
		}
	}
	return nil
}

// Shutdown implements [sdktrace.SpanProcessor]. [Telemetry.Close] ends the queue.
func (q *spanQueue) Shutdown(ctx context.Context) error { return q.ForceFlush(ctx) }

// run sends spans until it is stopped, and then those that are there. Once killed it sends nothing.
func (q *spanQueue) run(stopped, killed context.Context) {
	defer q.drop()
	defer close(q.over)
	timer := time.NewTicker(flushEvery)
	defer timer.Stop()
	q.upload.stopped = stopped
	batch := make([]sdktrace.ReadOnlySpan, 0, maxBatch)
	send := func() {
		if len(batch) > 0 {
			_ = q.export.ExportSpans(killed, batch) // upload has counted and told it
			clear(batch)
			batch = batch[:0]
		}
	}
	all := func() {
		for {
			select {
			case s := <-q.in:
				if batch = append(batch, s); len(batch) == maxBatch {
					send()
				}
				continue
			default:
			}
			send()
			return
		}
	}
	for {
		select {
		case s := <-q.in:
			if batch = append(batch, s); len(batch) == maxBatch {
				send()
			}
		case <-timer.C:
			send()
		case done := <-q.flushes:
			all()
			close(done)
		case <-stopped.Done():
			all()
			return
		}
	}
}

// upload sends what the exporter has made of spans. It implements [otlptrace.Client].
type upload struct {
	client  *client
	counts  *counts
	health  health
	stopped context.Context //nolint:containedctx // ends the waiting before another try
}

// Start implements [otlptrace.Client].
func (u *upload) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (u *upload) Stop(context.Context) error { return nil }

// UploadTraces implements [otlptrace.Client]. It tries again what may be taken later, unless the queue
// ends.
func (u *upload) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	n := uint64(0)
	for _, r := range spans {
		for _, s := range r.GetScopeSpans() {
			n += uint64(len(s.GetSpans()))
		}
	}
	// The same on the wire as an ExportTraceServiceRequest, whose package brings in gRPC.
	body, err := encode(&tracepb.TracesData{ResourceSpans: spans})
	var left rejected
	if err == nil {
		left, err = u.try(ctx, body)
	}
	if err != nil {
		u.counts.spansFailed.Add(n)
		u.health.failed(ctx, err)
		return err
	}
	lost := min(left.count, n)
	u.counts.spansRejected.Add(lost)
	u.counts.spansSent.Add(n - lost)
	u.health.works(ctx, left)
	return nil
}

func (u *upload) try(ctx context.Context, body []byte) (rejected, error) {
	delay := firstDelay
	for tries := 1; ; tries++ {
		left, err := u.client.post(ctx, tracesPath, body)
		if err == nil {
			return left, nil
		}
		after, ok := again(err)
		if !ok || tries == maxTries || ctx.Err() != nil || u.stopped.Err() != nil {
			return left, err
		}
		u.health.failed(ctx, err)
		timer := time.NewTimer(max(delay, after))
		delay = min(2*delay, maxDelay)
		select {
		case <-timer.C:
		case <-u.stopped.Done(): // one try more
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// health tells once that a collector fails, or rejects something, and once that it works again.
type health struct {
	log  *slog.Logger
	what string

	mu     sync.Mutex // guards the rest
	outage outage.Outage
	parts  bool // rejected, which is told
}

func (h *health) failed(ctx context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.outage.Begin() {
		h.log.WarnContext(ctx, "the collector of telemetry does not take "+h.what+"; what it does not get is dropped, and counted in resonhost_telemetry_dropped_total", "error", err)
	}
}

func (h *health) works(ctx context.Context, left rejected) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if lasted, ended := h.outage.End(); ended {
		h.log.InfoContext(ctx, "the collector of telemetry takes "+h.what+" again", "outage", lasted)
	}
	if left.count > 0 && !h.parts {
		h.parts = true
		h.log.WarnContext(ctx, "the collector of telemetry rejects some "+h.what, "rejected", left.count, "message", left.message)
	}
}
