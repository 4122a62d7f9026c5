package telemetry

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Headers of W3C Trace Context. HeaderResponse is of its drafts: the answer's trace, in the form of
// HeaderParent.
const (
	HeaderParent   = "Traceparent"
	HeaderState    = "Tracestate"
	HeaderResponse = "Traceresponse"
)

// maxState is the longest tracestate that is passed on, in bytes. The recommendation asks for 512 at least.
const maxState = 512

// Handler returns one whose requests have spans, those for which traced returns true; nil stands for all.
// The trace is the caller's if the request has one. Answers of requests that are sampled say of which trace
// they are.
func (t *Tracer) Handler(next http.Handler, traced func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if traced != nil && !traced(r) {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		parent := trace.SpanContextFromContext(ctx) // of a program's own middleware
		if !parent.IsValid() {
			if parent = extract(r.Header); parent.IsValid() {
				ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
			}
		}
		ctx, span := t.tracer.Start(ctx, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer))
		switch {
		case span.IsRecording():
			t.serve(next, w, r.WithContext(ctx), span)
		case parent.IsValid(): // for the log, and for requests of plugins
			next.ServeHTTP(w, r.WithContext(ctx))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// serve serves a request that has a span.
func (t *Tracer) serve(next http.Handler, w http.ResponseWriter, r *http.Request, span trace.Span) {
	b := &budget{}
	r = r.WithContext(context.WithValue(r.Context(), budgetKey{}, b))
	w.Header().Set(HeaderResponse, parentOf(span.SpanContext()))
	method := knownMethod(r.Method)
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.URLPath(cut(r.URL.Path, limits.AttributeValueLengthLimit)), semconv.URLScheme(schemeOf(r)),
		semconv.NetworkProtocolVersion(protocolOf(r)),
	)
	if method == otherMethod {
		span.SetAttributes(semconv.HTTPRequestMethodOriginal(cut(r.Method, maxName)))
	}
	out := &answer{ResponseWriter: w}
	whole := false // should the handler panic, as it does to break a connection off
	defer func() {
		if _, route, _ := strings.Cut(r.Pattern, "/"); r.Pattern != "" {
			span.SetName(method + " /" + route)
			span.SetAttributes(semconv.HTTPRoute("/" + route))
		}
		if out.status == 0 && whole {
			out.status = http.StatusOK
		}
		switch {
		case !whole || out.err != nil:
			span.SetAttributes(semconv.ErrorTypeKey.String("aborted"))
			span.SetStatus(codes.Error, "the answer was cut short")
		case out.status >= http.StatusInternalServerError:
			span.SetAttributes(semconv.ErrorTypeKey.Int(out.status))
			span.SetStatus(codes.Error, "")
		}
		if out.status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(out.status))
		}
		b.tell(span)
		span.End()
	}()
	next.ServeHTTP(out, r)
	whole = true
}

// answer keeps the status of an answer, and what cut it short.
type answer struct {
	http.ResponseWriter

	status int
	err    error
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	if err != nil && err != http.ErrBodyNotAllowed { //nolint:errorlint // as net/http returns it
		a.err = err
	}
	return n, err
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// otherMethod stands for methods that nobody knows, of which anybody may make up as many as they like.
const otherMethod = "_OTHER"

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return otherMethod
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func protocolOf(r *http.Request) string {
	if r.ProtoMajor > 1 {
		return "2"
	}
	return strings.TrimPrefix(r.Proto, "HTTP/")
}

// extract returns the trace of a request, which is not valid if it has none: its headers are anybody's.
func extract(h http.Header) trace.SpanContext {
	if len(h[HeaderParent]) != 1 || len(h[HeaderParent][0]) > 256 { // a later version may be longer than this one's 55
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": h[HeaderParent][0]}
	if state := strings.Join(h[HeaderState], ","); len(state) <= maxState {
		carrier["tracestate"] = state
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// parentOf is a span in the form of HeaderParent.
func parentOf(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}
