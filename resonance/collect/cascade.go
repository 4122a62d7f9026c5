// Package collect offers to Prometheus what the system that resonhost replaces told of cascade,
// and the statistics of a network. Package host/metrics has all else of a host.
package collect

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host/metrics"
)

// NewCascade returns a collector of what a host has counted of the transform cascade, which it
// reads when it is scraped; of a host without cascade there is nothing. These are the names of
// the system that resonhost replaces, for numbers that host/metrics has as
// resonhost_task_latency_seconds and resonhost_window_size.
func NewCascade(s metrics.Source, opts ...metrics.Option) prometheus.Collector {
	return metrics.With(&cascadeCollector{source: s}, opts...)
}

type cascadeCollector struct{ source metrics.Source }

func desc(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

// What is collected of cascade.
var (
	cascadeTime = desc("resonance_cascade_latency_ms", "Time from the submission of a cascade task to its end in milliseconds.")
	windowSize  = desc("resonance_cascade_window_size", "Cascade tasks that a worker does in a row while they wait, where it does so.")
)

// Describe implements [prometheus.Collector].
func (c *cascadeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- cascadeTime
	ch <- windowSize
}

// Collect implements [prometheus.Collector].
func (c *cascadeCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Stats()
	for i := range s.Plugins {
		for j := range s.Plugins[i].Transforms {
			if t := &s.Plugins[i].Transforms[j]; t.Name == "cascade" {
				ch <- metrics.Histogram(cascadeTime, &t.Latency, time.Millisecond)
				ch <- prometheus.MustNewConstMetric(windowSize, prometheus.GaugeValue, float64(t.Row))
			}
		}
	}
}
