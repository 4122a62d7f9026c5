package collect

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/resonance/network"
)

// NetworkSource has statistics: a [*network.Network].
type NetworkSource interface{ Stats() network.Stats }

// NewNetwork returns a collector of a network's statistics, which it reads when it is
// scraped, with some names of the system that resonhost
// replaces.
func NewNetwork(s NetworkSource, opts ...metrics.Option) prometheus.Collector {
	return metrics.With(&networkCollector{source: s}, opts...)
}

type networkCollector struct{ source NetworkSource }

// What is collected of a network.
var (
	activeNodes   = desc("resonance_active_nodes", "Nodes that are not stopped.")
	schedulerLag  = desc("resonance_scheduler_lag_ms", "Time from when a tick was due to when it began in milliseconds.")
	nodeCount     = desc("resonhost_network_nodes", "Nodes.")
	nodeCapacity  = desc("resonhost_network_nodes_max", "Nodes that there can be.")
	connections   = desc("resonhost_network_connections", "Connections of nodes.")
	ticksTotal    = desc("resonhost_ticks_total", "Ticks: times that the nodes of a period, or the network, were advanced.")
	ticksLost     = desc("resonhost_ticks_coalesced_total", "Ticks that were so late that a later one stood for them.")
	ticksFailed   = desc("resonhost_ticks_failed_total", "Ticks of which a task failed.")
	ticksKept     = desc("resonhost_tick_tasks_failed_total", "Tasks of ticks that failed, and left their nodes as they were.")
	tickDuration  = desc("resonhost_tick_duration_seconds", "Time from the beginning of a tick to when its results were merged.")
	networkMetric = []*prometheus.Desc{
		activeNodes, schedulerLag, nodeCount, nodeCapacity, connections, ticksTotal, ticksLost, ticksFailed, ticksKept, tickDuration,
	}
)

// Describe implements [prometheus.Collector].
func (c *networkCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range networkMetric {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *networkCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Stats()
	gauge := func(d *prometheus.Desc, v int) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(activeNodes, s.Active)
	gauge(nodeCount, s.Nodes)
	gauge(nodeCapacity, s.Capacity)
	gauge(connections, s.Connections)
	counter(ticksTotal, s.Ticks)
	counter(ticksLost, s.Coalesced)
	counter(ticksFailed, s.Failed)
	counter(ticksKept, s.FailedTasks)
	ch <- metrics.Histogram(schedulerLag, &s.Lag, time.Millisecond)
	ch <- metrics.Histogram(tickDuration, &s.Took, time.Second)
}
