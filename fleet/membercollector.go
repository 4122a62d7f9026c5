package fleet

import "github.com/prometheus/client_golang/prometheus"

// NewMemberCollector returns a collector of a member's statistics.
func NewMemberCollector(m *Member) prometheus.Collector { return &memberCollector{m} }

type memberCollector struct{ m *Member }

// What is collected.
var (
	releasesTotal = desc("releases_total", "Versions that the fleet wanted of this host, and what came of them: deployed, refused, or given up since a roll-out was stopped.", "result")
	fetchedAgain  = desc("objects_fetched_again_total", "Times that a file was asked for again, as it did not come or was not as its digest says.")
	entriesBad    = desc("entries_refused_total", "Times that an entry of the fleet's buckets could not be read.")
	beatsFailed   = desc("signs_failed_total", "Signs of life of this host that did not arrive.")
	readsFailed   = desc("reads_failed_total", "Times that this host could not read what the fleet wants, whether it is drained, or which hosts there are.")
	eventsDropped = desc("events_dropped_total", "Events of this host that did not get to its fleet.")
	behind        = desc("plugins_behind", "Plugins that this host does not serve as the fleet wants them.")
	draining      = desc("draining", "1 while this host is to take no frames.")
)

// Describe implements [prometheus.Collector].
func (c *memberCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{releasesTotal, fetchedAgain, entriesBad, beatsFailed, readsFailed, eventsDropped, behind, draining} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *memberCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.m.Stats()
	counter := func(d *prometheus.Desc, n uint64, label ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label...)
	}
	counter(releasesTotal, s.Deployed, "deployed")
	counter(releasesTotal, s.Refused, "refused")
	counter(releasesTotal, s.Back, "back")
	counter(fetchedAgain, s.FetchedAgain)
	counter(entriesBad, s.Garbled)
	counter(beatsFailed, s.BeatsFailed)
	counter(readsFailed, s.ReadsFailed)
	counter(eventsDropped, s.EventsDropped)
	ch <- prometheus.MustNewConstMetric(behind, prometheus.GaugeValue, float64(s.Behind))
	drains := 0.0
	if s.Draining {
		drains = 1
	}
	ch <- prometheus.MustNewConstMetric(draining, prometheus.GaugeValue, drains)
}
