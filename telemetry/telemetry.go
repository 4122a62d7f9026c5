// Package telemetry has a host and its server traced by OpenTelemetry, and sends traces and metrics to a
// collector by OTLP over HTTP:
//
//	t, err := telemetry.New(telemetry.Options{Endpoint: "http://127.0.0.1:4318"})
//	if err != nil { … }
//	h, err := host.New(host.Config{Trace: t.Tracer().Task, …})
//	s, err := server.New(h, codecs, server.Options{Registry: registry, Exemplars: t.Tracer().Exemplars, …})
//	t.Start(registry)
//	defer t.Close(ctx)
//	http.Serve(listener, t.Tracer().Handler(s.Handler(), nil))
//
// A program that has a provider of its own needs none of that but a [Tracer], see [NewTracer].
//
// Nothing of it delays a task: what the collector does not take in time is dropped and counted.
package telemetry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/resonhost/resonhost/abi"
)

// Defaults of Options.
const (
	DefaultTimeout = 10 * time.Second
	DefaultEvery   = time.Minute
	DefaultTraces  = 100
	DefaultService = "resonhost"
)

// Options are what is sent, and where to. The zero value of a field is its default, but for Endpoint.
type Options struct {
	// Endpoint is the collector's URL, http or https, without the paths /v1/traces and /v1/metrics. It must
	// be set.
	Endpoint string
	// Header is sent with each request, such as what the collector asks for as an authorisation.
	Header map[string]string
	// Timeout bounds each request; default 10 s.
	Timeout time.Duration
	// Compress is whether requests are packed by gzip.
	Compress bool
	// TLS is how an https endpoint is checked; default by the system's authorities.
	TLS *tls.Config
	// Sample is the share of requests without a caller's trace that begin one; default 1, negative none.
	Sample float64
	// Traces is how many traces begin in a second at most, and how many that callers say are sampled are
	// followed; default 100 each. Beyond it requests are not traced, which is counted.
	Traces int
	// Every is how often metrics are sent; default 1 min, negative never.
	Every time.Duration
	// Service and Version are the resource's service.name and service.version; default "resonhost" and
	// none. Attributes are others.
	Service, Version string
	Attributes       map[string]string
	// Logger is told once that the collector fails, and that it works again; default nobody.
	Logger *slog.Logger
}

// Telemetry sends traces and metrics. Make one with [New].
type Telemetry struct {
	opts     Options
	client   *client
	resource *resource.Resource
	provider *sdktrace.TracerProvider
	sampler  *sampler
	spans    *spanQueue
	tracer   *Tracer
	counts   *counts
	running  sync.WaitGroup
	stop     context.CancelFunc // ends what goes on between two requests
	stopped  context.Context    //nolint:containedctx // by stop
	kill     context.CancelFunc // ends requests
	killed   context.Context    //nolint:containedctx // by kill
}

// New returns a telemetry, which sends nothing before [Telemetry.Start]. Its error joins an
// [*abi.FieldError] for each fault of the options.
func New(o Options) (*Telemetry, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	attrs := []attribute.KeyValue{semconv.ServiceName(o.Service)}
	if o.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(o.Version))
	}
	for k, v := range o.Attributes {
		attrs = append(attrs, attribute.String(k, v))
	}
	t := &Telemetry{opts: o, resource: resource.NewWithAttributes(semconv.SchemaURL, attrs...), counts: newCounts()}
	t.stopped, t.stop = context.WithCancel(context.Background())
	t.killed, t.kill = context.WithCancel(context.Background())
	t.client = newClient(&t.opts)
	t.spans = newSpanQueue(t.client, t.counts, o.Logger)
	t.sampler = newSampler(o.Sample, o.Traces, t.counts)
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(t.sampler), sdktrace.WithSpanProcessor(t.spans),
		sdktrace.WithResource(t.resource), sdktrace.WithRawSpanLimits(limits),
	)
	t.tracer = NewTracer(t.provider)
	return t, nil
}

// limits bound a span, so that those that wait have a bounded size.
var limits = sdktrace.SpanLimits{
	AttributeValueLengthLimit: 256, AttributeCountLimit: 32, EventCountLimit: 8, LinkCountLimit: 8,
	AttributePerEventCountLimit: 8, AttributePerLinkCountLimit: 8,
}

// isPort reports whether a text of digits is the number of a port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// complete sets defaults, and says what is wrong.
func (o *Options) complete() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &abi.FieldError{Field: field, Rule: fmt.Sprintf(format, args...)})
	}
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		wrong("Endpoint", "must be a URL such as http://127.0.0.1:4318")
	case u.User != nil:
		wrong("Endpoint", "must have no password; a header has what the collector asks for")
	case u.RawQuery != "" || u.Fragment != "":
		wrong("Endpoint", "must have neither ? nor #")
	case u.Port() != "" && !isPort(u.Port()):
		wrong("Endpoint", "must have a port up to 65535, has %s", u.Port())
	default:
		for _, path := range []string{tracesPath, metricsPath} {
			if strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), path) {
				wrong("Endpoint", "must be without %s, which is added", path)
			}
		}
	}
	if o.Sample == 0 {
		o.Sample = 1
	}
	if o.Sample > 1 {
		wrong("Sample", "must be at most 1")
	}
	for name, value := range o.Header {
		if rule := headerRule(name, value); rule != "" {
			wrong("Header", "%s", rule)
		}
	}
	o.Timeout, o.Traces = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Traces, DefaultTraces)
	o.Service, o.Every = cmp.Or(o.Service, DefaultService), cmp.Or(o.Every, DefaultEvery)
	for field, text := range map[string]string{"Service": o.Service, "Version": o.Version} {
		if !utf8.ValidString(text) {
			wrong(field, "must be UTF-8, not %q", text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Attributes)) {
		if value := o.Attributes[name]; !utf8.ValidString(name) || !utf8.ValidString(value) {
			wrong("Attributes", "must be UTF-8, not %q: %q", name, value)
		}
	}
	if o.Timeout < 0 {
		wrong("Timeout", "must not be negative")
	}
	if o.Traces < 0 {
		wrong("Traces", "must not be negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// Tracer returns what follows requests and tasks.
func (t *Telemetry) Tracer() *Tracer { return t.tracer }

// Collector returns metrics of what was sent and what was dropped.
func (t *Telemetry) Collector() prometheus.Collector { return t.counts }

// Start begins to send: traces, and what metrics has if that is not nil. It is called once.
func (t *Telemetry) Start(metrics prometheus.Gatherer) {
	t.running.Go(func() { t.spans.run(t.stopped, t.killed) })
	if metrics != nil && t.opts.Every > 0 {
		m := &metricSender{client: t.client, counts: t.counts, log: t.opts.Logger, from: metrics, resource: resourceOf(t.resource), since: time.Now()}
		t.running.Go(func() { m.run(t.stopped, t.killed, t.opts.Every) })
	}
}

// Close sends what there is, and ends. When ctx ends first it drops the rest, which is counted.
func (t *Telemetry) Close(ctx context.Context) {
	defer context.AfterFunc(ctx, t.kill)()
	t.stop()
	t.running.Wait()
	t.kill()
	t.client.close()
}
