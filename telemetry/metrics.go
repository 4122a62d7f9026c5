package telemetry

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// metricSender sends all that a registry has, again and again.
type metricSender struct {
	client   *client
	counts   *counts
	log      *slog.Logger
	from     prometheus.Gatherer
	resource *resourcepb.Resource
	since    time.Time // when counters began
}

// run sends until it is stopped, and then once more. Once killed it sends nothing. What fails is not sent
// again: the next has it in its sums.
func (m *metricSender) run(stopped, killed context.Context, every time.Duration) {
	timer := time.NewTicker(every)
	defer timer.Stop()
	h := &health{log: m.log, what: "metrics"}
	for last := false; !last; {
		select {
		case <-timer.C:
		case <-stopped.Done():
			last = true
		}
		m.send(killed, h)
	}
}

func (m *metricSender) send(ctx context.Context, h *health) {
	families, err := m.from.Gather() // what it has got is good, whatever it has not
	if len(families) == 0 && err != nil {
		m.counts.metricsFailed.Add(1)
		h.failed(ctx, err)
		return
	}
	body, err := encode(m.data(families, time.Now()))
	var left rejected
	if err == nil {
		left, err = m.client.post(ctx, metricsPath, body)
	}
	if err != nil {
		m.counts.metricsFailed.Add(1)
		h.failed(ctx, err)
		return
	}
	m.counts.metricsSent.Add(1)
	h.works(ctx, left)
}

// data is what Prometheus's families are in OTLP, the same on the wire as an
// ExportMetricsServiceRequest. The names are the same, and so are the labels.
func (m *metricSender) data(families []*dto.MetricFamily, now time.Time) *metricspb.MetricsData {
	var all []*metricspb.Metric
	for _, f := range families {
		if len(f.GetMetric()) == 0 {
			continue
		}
		c := converter{now: now, since: m.since}
		to := &metricspb.Metric{Name: f.GetName(), Description: f.GetHelp()}
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			to.Data = &metricspb.Metric_Sum{Sum: &metricspb.Sum{
				DataPoints: each(f, c.counter), IsMonotonic: true,
				AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			}}
		case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
			to.Data = &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: each(f, c.gauge)}}
		case dto.MetricType_SUMMARY:
			to.Data = &metricspb.Metric_Summary{Summary: &metricspb.Summary{DataPoints: each(f, c.summary)}}
		case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
			if isNative(f.GetMetric()[0].GetHistogram()) {
				to.Data = &metricspb.Metric_ExponentialHistogram{ExponentialHistogram: &metricspb.ExponentialHistogram{
					DataPoints:             each(f, c.native),
					AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
				}}
				break
			}
			to.Data = &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{
				DataPoints:             each(f, c.classic),
				AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE,
			}}
		default:
			continue
		}
		all = append(all, to)
	}
	return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{
		Resource:     m.resource,
		ScopeMetrics: []*metricspb.ScopeMetrics{{Scope: &commonpb.InstrumentationScope{Name: scope}, Metrics: all}},
	}}}
}

func each[T any](f *dto.MetricFamily, convert func(*dto.Metric) T) []T {
	points := make([]T, len(f.GetMetric()))
	for i, m := range f.GetMetric() {
		points[i] = convert(m)
	}
	return points
}

// isNative reports whether a histogram has native buckets.
func isNative(h *dto.Histogram) bool {
	return h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || len(h.GetPositiveSpan()) > 0 || len(h.GetNegativeSpan()) > 0
}

// converter makes points of metrics.
type converter struct{ now, since time.Time }

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }

// began is when a metric began to count.
func (c converter) began(created interface {
	IsValid() bool
	AsTime() time.Time
}) uint64 {
	if created.IsValid() {
		return nanos(created.AsTime())
	}
	return nanos(c.since)
}

func (c converter) counter(m *dto.Metric) *metricspb.NumberDataPoint {
	p := c.number(m, m.GetCounter().GetValue())
	p.StartTimeUnixNano = c.began(m.GetCounter().GetCreatedTimestamp())
	if x := m.GetCounter().GetExemplar(); x != nil {
		p.Exemplars = []*metricspb.Exemplar{exemplar(x)}
	}
	return p
}

func (c converter) gauge(m *dto.Metric) *metricspb.NumberDataPoint {
	if m.GetUntyped() != nil {
		return c.number(m, m.GetUntyped().GetValue())
	}
	return c.number(m, m.GetGauge().GetValue())
}

func (c converter) number(m *dto.Metric, v float64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{
		Attributes: labels(m.GetLabel()), TimeUnixNano: nanos(c.now), Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: v},
	}
}

func (c converter) summary(m *dto.Metric) *metricspb.SummaryDataPoint {
	s := m.GetSummary()
	p := &metricspb.SummaryDataPoint{
		Attributes: labels(m.GetLabel()), TimeUnixNano: nanos(c.now), StartTimeUnixNano: c.began(s.GetCreatedTimestamp()),
		Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
	}
	for _, q := range s.GetQuantile() {
		p.QuantileValues = append(p.QuantileValues, &metricspb.SummaryDataPoint_ValueAtQuantile{Quantile: q.GetQuantile(), Value: q.GetValue()})
	}
	return p
}

func (c converter) classic(m *dto.Metric) *metricspb.HistogramDataPoint {
	h := m.GetHistogram()
	p := &metricspb.HistogramDataPoint{
		Attributes: labels(m.GetLabel()), TimeUnixNano: nanos(c.now), StartTimeUnixNano: c.began(h.GetCreatedTimestamp()),
		Count: h.GetSampleCount(), Sum: new(h.GetSampleSum()),
	}
	before := uint64(0)
	for _, b := range h.GetBucket() {
		if x := b.GetExemplar(); x != nil {
			p.Exemplars = append(p.Exemplars, exemplar(x))
		}
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
		p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-before)
		before = b.GetCumulativeCount()
	}
	p.BucketCounts = append(p.BucketCounts, h.GetSampleCount()-before)
	return p
}

func (c converter) native(m *dto.Metric) *metricspb.ExponentialHistogramDataPoint {
	h := m.GetHistogram()
	p := &metricspb.ExponentialHistogramDataPoint{
		Attributes: labels(m.GetLabel()), TimeUnixNano: nanos(c.now), StartTimeUnixNano: c.began(h.GetCreatedTimestamp()),
		Count: h.GetSampleCount(), Sum: new(h.GetSampleSum()), Scale: h.GetSchema(),
		ZeroCount: h.GetZeroCount(), ZeroThreshold: h.GetZeroThreshold(),
		Positive: buckets(h.GetPositiveSpan(), h.GetPositiveDelta()), Negative: buckets(h.GetNegativeSpan(), h.GetNegativeDelta()),
	}
	for _, x := range h.GetExemplars() {
		p.Exemplars = append(p.Exemplars, exemplar(x))
	}
	return p
}

// maxBuckets bounds how many buckets a native histogram has in OTLP, which tells those between two runs.
const maxBuckets = 4096

// buckets are the runs of a native histogram. Prometheus numbers a bucket by its upper bound, and OTLP by
// the lower.
func buckets(spans []*dto.BucketSpan, deltas []int64) *metricspb.ExponentialHistogramDataPoint_Buckets {
	if len(spans) == 0 {
		return nil
	}
	b := &metricspb.ExponentialHistogramDataPoint_Buckets{Offset: spans[0].GetOffset() - 1}
	count := int64(0)
	for i, s := range spans {
		if i > 0 {
			for range min(max(int(s.GetOffset()), 0), maxBuckets-len(b.BucketCounts)) {
				b.BucketCounts = append(b.BucketCounts, 0)
			}
		}
		for range s.GetLength() {
			if len(deltas) == 0 || len(b.BucketCounts) >= maxBuckets {
				return b
			}
			count += deltas[0]
			deltas = deltas[1:]
			b.BucketCounts = append(b.BucketCounts, uint64(max(count, 0)))
		}
	}
	return b
}

// exemplar is one whose labels trace_id and span_id, if it has them, are the trace and the span.
func exemplar(x *dto.Exemplar) *metricspb.Exemplar {
	to := &metricspb.Exemplar{TimeUnixNano: nanos(x.GetTimestamp().AsTime()), Value: &metricspb.Exemplar_AsDouble{AsDouble: x.GetValue()}}
	for _, l := range x.GetLabel() {
		id, err := hex.DecodeString(l.GetValue())
		switch {
		case l.GetName() == "trace_id" && err == nil && len(id) == 16:
			to.TraceId = id
		case l.GetName() == "span_id" && err == nil && len(id) == 8:
			to.SpanId = id
		default:
			to.FilteredAttributes = append(to.FilteredAttributes, text(l.GetName(), l.GetValue()))
		}
	}
	return to
}

func labels(pairs []*dto.LabelPair) []*commonpb.KeyValue {
	all := make([]*commonpb.KeyValue, len(pairs))
	for i, p := range pairs {
		all[i] = text(p.GetName(), p.GetValue())
	}
	return all
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// resourceOf is a resource whose attributes are texts, as those of [New] are.
func resourceOf(r *resource.Resource) *resourcepb.Resource {
	to := &resourcepb.Resource{}
	for _, a := range r.Attributes() {
		to.Attributes = append(to.Attributes, text(string(a.Key), a.Value.String()))
	}
	return to
}
