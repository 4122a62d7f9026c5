package collect_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/internal/promtest"
	"github.com/resonhost/resonhost/resonance/collect"
	"github.com/resonhost/resonhost/resonance/network"
)

var update = flag.Bool("update", false, "write the golden files anew")

var _ collect.NetworkSource = (*network.Network)(nil)

type fixed host.Stats

func (f fixed) Stats() host.Stats { return host.Stats(f) }

type fixedNetwork network.Stats

func (f fixedNetwork) Stats() network.Stats { return network.Stats(f) }

// collectors have another number in each place, so that none can stand for another.
func collectors(opts ...metrics.Option) []prometheus.Collector {
	histogram := func(first uint64, bounds ...time.Duration) host.Histogram {
		h := host.Histogram{Bounds: bounds, Sum: time.Duration(first) * time.Millisecond}
		for i := range len(bounds) + 1 {
			h.Counts = append(h.Counts, first+uint64(i))
			h.Count += first + uint64(i)
		}
		return h
	}
	return []prometheus.Collector{
		collect.NewCascade(fixed{Plugins: []host.PluginStats{
			{Transforms: []host.TransformStats{{Name: "tick.node", Row: 9, Latency: histogram(10)}}},
			{Transforms: []host.TransformStats{{Name: "other"}, {
				Name: "cascade", Row: 104, Latency: histogram(103, 25*time.Microsecond, 5*time.Millisecond, time.Second),
			}}},
		}}, opts...),
		collect.NewNetwork(fixedNetwork{
			Nodes: 301, Active: 302, Capacity: 303, Connections: 304, Ticks: 305, Coalesced: 306, Failed: 307, FailedTasks: 308,
			Lag: histogram(309, time.Millisecond), Took: histogram(310, time.Millisecond),
		}, opts...),
	}
}

func TestExposition(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectors()...)
	text := promtest.Exposition(t, r)
	golden.Check(t, "testdata/metrics.txt", text, *update)
	// These were promised in milliseconds by the system that is replaced.
	promtest.Names(t, text, "resonance_cascade_latency_ms", "resonance_scheduler_lag_ms")
}

// TestNoCascade has a host without cascade say nothing of it.
func TestNoCascade(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collect.NewCascade(fixed{}))
	if got := promtest.Exposition(t, r); len(got) > 0 {
		t.Errorf("%s", got)
	}
}

// TestTwoHosts has the metrics of two hosts in one registry, apart by their names.
func TestTwoHosts(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	for _, name := range []string{"a", "b"} {
		for _, c := range collectors(metrics.Name(name)) {
			if err := metrics.Register(r, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := string(promtest.Exposition(t, r))
	for _, line := range []string{`resonance_cascade_window_size{host="a"} 104`, `resonhost_network_nodes{host="b"} 301`} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %s:\n%s", line, got)
		}
	}
}
