package telemetry

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Transport returns one whose requests have spans, and tell the receiver the trace, if their context has
// one. What they say of a trace otherwise stays as it is. A span ends with the answer's header.
func (t *Tracer) Transport(next http.RoundTripper) http.RoundTripper { return transport{t, next} }

type transport struct {
	of   *Tracer
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.next.RoundTrip(r)
	}
	method := knownMethod(r.Method)
	ctx, span := t.of.tracer.Start(r.Context(), method, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	r = r.Clone(ctx)
	r.Header.Del(HeaderState)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(r.Header))
	if span.IsRecording() {
		shown := *r.URL
		shown.User, shown.RawQuery, shown.Fragment, shown.RawFragment = nil, "", "", "" // which may have secrets
		span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.URLFull(shown.String()), semconv.ServerAddress(cut(r.URL.Hostname(), limits.AttributeValueLengthLimit)))
		if port, err := strconv.Atoi(r.URL.Port()); err == nil {
			span.SetAttributes(semconv.ServerPort(port))
		}
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, cut(err.Error(), limits.AttributeValueLengthLimit))
		span.SetAttributes(semconv.ErrorTypeKey.String("_OTHER"))
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(semconv.ErrorTypeKey.Int(resp.StatusCode))
	}
	return resp, nil
}
