package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host"
)

// Series is a histogram that each transform has.
type Series int

// Histograms of a transform, as [host.TransformStats] has them.
const (
	SeriesWait Series = iota
	SeriesRun
	SeriesLatency
	SeriesCount // how many there are
)

// Exemplar is a task that a histogram counts and that has a trace.
type Exemplar struct {
	Value           time.Duration
	TraceID, SpanID string // hexadecimal
	Time            time.Time
}

// Exemplars gives buckets of histograms exemplars: of returns those of a transform's, each of another
// bucket. A scraper gets them that asks for OpenMetrics or for protobuf. Their labels are trace_id and
// span_id. of is called whenever there is a scrape.
func Exemplars(of func(transform string, s Series) []Exemplar) Option {
	return func(o *options) { o.exemplars = of }
}

// histogram returns a transform's histogram with its exemplars.
func (c *collector) histogram(d *prometheus.Desc, h *host.Histogram, unit time.Duration, transform string, s Series) prometheus.Metric {
	m := Histogram(d, h, unit, transform)
	if c.exemplars == nil {
		return m
	}
	var all []prometheus.Exemplar
	for _, x := range c.exemplars(transform, s) {
		all = append(all, prometheus.Exemplar{
			Value: float64(x.Value) / float64(unit), Timestamp: x.Time,
			Labels: prometheus.Labels{"trace_id": x.TraceID, "span_id": x.SpanID},
		})
	}
	if len(all) == 0 {
		return m
	}
	with, err := prometheus.NewMetricWithExemplars(m, all...)
	if err != nil { // of labels that are no text, or too long: the histogram is right all the same
		return m
	}
	return with
}
