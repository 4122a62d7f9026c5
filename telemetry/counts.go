package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what was sent, and what was not. It implements [prometheus.Collector].
type counts struct {
	spansSent, spansFull, spansFailed, spansRejected, spansLate atomic.Uint64
	metricsSent, metricsFailed                                  atomic.Uint64 // each is all metrics at once
	limitedOwn, limitedTheirs                                   atomic.Uint64

	sent, dropped, limited *prometheus.Desc
}

func newCounts() *counts {
	return &counts{
		sent:    prometheus.NewDesc("resonhost_telemetry_sent_total", "Spans, and sets of metrics, that the collector of telemetry took.", []string{"signal"}, nil),
		dropped: prometheus.NewDesc("resonhost_telemetry_dropped_total", "Spans, and sets of metrics, that it did not get: the queue was full, it could not be reached or refused the request, or it rejected a part.", []string{"signal", "reason"}, nil),
		limited: prometheus.NewDesc("resonhost_telemetry_limited_total", "Requests that were not traced since too many were in that second, by who began the trace: the caller, or this host.", []string{"by"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *counts) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.sent
	ch <- c.dropped
	ch <- c.limited
}

// Collect implements [prometheus.Collector].
func (c *counts) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v *atomic.Uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v.Load()), labels...)
	}
	counter(c.sent, &c.spansSent, "spans")
	counter(c.sent, &c.metricsSent, "metrics")
	counter(c.dropped, &c.spansFull, "spans", "queue")
	counter(c.dropped, &c.spansFailed, "spans", "failed")
	counter(c.dropped, &c.spansRejected, "spans", "rejected")
	counter(c.dropped, &c.spansLate, "spans", "closed")
	counter(c.dropped, &c.metricsFailed, "metrics", "failed")
	counter(c.limited, &c.limitedOwn, "host")
	counter(c.limited, &c.limitedTheirs, "caller")
}
