package telemetry

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// sampler decides which traces there are. A caller's word is taken as far as the rate allows: anybody may
// say that everything is sampled.
type sampler struct {
	share       sdktrace.Sampler
	own, theirs *rate.Limiter
	counts      *counts
}

func newSampler(share float64, most int, c *counts) *sampler {
	limit := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(most), most) }
	return &sampler{share: sdktrace.TraceIDRatioBased(max(share, 0)), own: limit(), theirs: limit(), counts: c}
}

// ShouldSample implements [sdktrace.Sampler].
func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	var limit *rate.Limiter
	counted := &s.counts.limitedTheirs
	switch {
	case parent.IsValid() && !parent.IsSampled():
		return result
	case parent.IsValid() && !parent.IsRemote():
		result.Decision = sdktrace.RecordAndSample
		return result
	case parent.IsValid():
		limit = s.theirs
	case s.share.ShouldSample(p).Decision != sdktrace.RecordAndSample:
		return result
	default:
		limit, counted = s.own, &s.counts.limitedOwn
	}
	if limit.Allow() {
		result.Decision = sdktrace.RecordAndSample
	} else {
		counted.Add(1)
	}
	return result
}

// Description implements [sdktrace.Sampler].
func (s *sampler) Description() string {
	return "resonhost{parent, " + s.share.Description() + ", rate}"
}
