package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/outbound"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/telemetry"
)

// telemetrySettings are about OpenTelemetry.
func (o *options) telemetrySettings() []setting {
	return []setting{
		{"otlp", "send traces and metrics to OpenTelemetry's collector at `URL`, such as http://127.0.0.1:4318", "", value.Text(&o.otlp.Endpoint)},
		{"otlp-sample", "with --otlp, trace a `SHARE` of the requests whose callers have no trace, such as 1%, or none", "100%", value.Share(&o.otlp.Sample)},
		{"otlp-traces", "with --otlp, trace at most `N` requests a second whose callers have no trace, and as many that callers have sampled", fmt.Sprint(telemetry.DefaultTraces), value.Count(&o.otlp.Traces)},
	}
}

// flushTimeout is how long the collector has for what is left at the end.
const flushTimeout = 3 * time.Second

// tracing is what --otlp asks for; nil without it, which changes nothing.
type tracing struct {
	*telemetry.Telemetry

	metrics *prometheus.Registry
}

// openTracing has a service traced, if --otlp says so. The logger is one that tells of traces then.
func (o *options) openTracing(log *slog.Logger) (*slog.Logger, *tracing, error) {
	t, err := o.newTelemetry(log)
	if t == nil || err != nil {
		return log, nil, err
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.tracer = t.Tracer()
	o.host.Trace, o.jobs.Trace = o.tracer.Task, o.tracer.Job
	return slog.New(telemetry.LogHandler(log.Handler())), &tracing{t, r}, nil
}

// newTelemetry returns what sends traces and metrics, nil without --otlp. It sends nothing yet.
func (o *options) newTelemetry(log *slog.Logger) (*telemetry.Telemetry, error) {
	if o.otlp.Endpoint == "" {
		return nil, nil
	}
	opts := o.otlp
	opts.Logger, opts.Version = log, currentVersion()
	err := opts.FromEnv(os.Getenv)
	var t *telemetry.Telemetry
	if err == nil {
		t, err = telemetry.New(opts)
	}
	var faults []error
	for _, e := range each(err) {
		if f := (*abi.FieldError)(nil); errors.As(e, &f) {
			name := map[string]string{"Endpoint": "--otlp", "Sample": "--otlp-sample", "Traces": "--otlp-traces"}[f.Field]
			e = fmt.Errorf("%s: %s", name, f.Rule)
		}
		faults = append(faults, usagef("%w", e))
	}
	return t, errors.Join(faults...)
}

// server has a server show what was sent, and of which tasks there are traces.
func (t *tracing) server(opts *server.Options) {
	if t != nil {
		opts.Sends = []server.Header{{Name: telemetry.HeaderResponse, Description: "The request's trace, if it has one, in the form of traceparent."}}
		opts.Registry, opts.Exemplars = t.metrics, t.Tracer().Exemplars
		opts.Collectors = append(opts.Collectors, t.Collector())
	}
}

// handler begins to send, and returns a handler whose requests are traced but for those of probes, scrapers
// and pages.
func (t *tracing) handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	t.Start(t.metrics)
	return t.Tracer().Handler(next, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/") })
}

// end sends what is left.
func (t *tracing) end(ctx context.Context) {
	if t != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		t.Close(ctx)
	}
}

// outbound sends requests for plugins.
func (o *options) outbound() *outbound.Client {
	cfg := outbound.Config{Private: o.privateHosts}
	if o.tracer != nil {
		cfg.Wrap = o.tracer.Transport
	}
	return outbound.New(cfg)
}
