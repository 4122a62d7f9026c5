package metrics_test

import (
	"bytes"
	"context"
	"flag"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/internal/promtest"
	"github.com/resonhost/resonhost/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files anew")

var _ metrics.Source = (*host.Host)(nil)

type fixed host.Stats

func (f fixed) Stats() host.Stats { return host.Stats(f) }

// stats has another number in each place, so that none can stand for another.
func stats() fixed {
	bounds := []time.Duration{25 * time.Microsecond, 5 * time.Millisecond, time.Second}
	histogram := func(first uint64) host.Histogram {
		counts := []uint64{first, first + 1, first + 2, first + 3}
		return host.Histogram{Bounds: bounds, Counts: counts, Count: 4*first + 6, Sum: time.Duration(first) * 1500 * time.Millisecond}
	}
	transform := func(name string, n uint64, errors map[host.Kind]uint64) host.TransformStats {
		return host.TransformStats{Name: name, OK: n, Row: int(n) + 4, Joined: n + 5, Errors: errors, Wait: histogram(n + 1), Run: histogram(n + 2), Latency: histogram(n + 3)}
	}
	return fixed{
		Workers: 8, Active: 3, Reserve: 1, Busy: 1500 * time.Millisecond, QueueDepth: 25, Blocked: 2, Dropped: 4,
		FramesRetried: 5, UnknownTransform: 6, Streams: 7, StreamsEvicted: 9, StreamsExpired: 10, StreamsReset: 11, Rerun: 12,
		State: &host.StateStats{
			Unsaved: 31, UnsavedFor: 3200 * time.Millisecond, Saves: 33, Saved: 34, Deleted: 35, LastTook: 36 * time.Millisecond, LastBytes: 37,
			SaveFailures: map[state.Fault]uint64{state.FaultFull: 38}, Loads: 39, LoadFailures: map[state.Fault]uint64{state.FaultCorrupt: 40},
			Lost: 41, Unreadable: map[state.Kind]int{state.KindStream: 42, state.KindJob: 43}, SavingFails: true,
		},
		Deploys: map[string]map[host.DeployResult]uint64{"cascade": {host.DeployLoaded: 1, host.DeployFailed: 2}, "broken": {host.DeployFailed: 3}},
		Plugins: []host.PluginStats{
			{
				Plugin: host.Plugin{Source: "c", Name: "cascade", Version: "1.2.0", Hash: "c0ffee", Kind: "native"}, Instances: 11, InUse: 12, MaxInstances: 13,
				Created: 14, CreateFailed: 15, Broken: 16, Retired: 17, Evicted: 18, QueueDepth: 19, LogDropped: 20,
				Functions:  []host.FunctionStats{{Name: "lookup", Calls: 23, Failed: 4, Time: 1500 * time.Millisecond}},
				Transforms: []host.TransformStats{transform("cascade", 100, map[host.Kind]uint64{host.KindTrap: 21, host.KindTimeout: 22})},
			},
			{
				Plugin: host.Plugin{Source: "t", Name: "tick", Version: "0.1.0", Hash: "beef"}, QueueDepth: 6,
				Transforms: []host.TransformStats{transform("tick.node", 200, nil), transform("tick.network", 300, nil)},
			},
		},
	}
}

// registry holds the metrics of s.
func registry(s metrics.Source) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(metrics.New(s))
	return r
}

func TestExposition(t *testing.T) {
	text := promtest.Exposition(t, registry(stats()))
	golden.Check(t, "testdata/metrics.txt", text, *update)
	// That was promised in milliseconds by the system that is replaced.
	promtest.Names(t, text, "resonance_worker_task_duration_ms", "resonance_snapshot_last_duration_ms")
}

// TestScrapesUnderLoad scrapes a host while it starts, runs tasks and closes.
func TestScrapesUnderLoad(t *testing.T) {
	const tasks, callers, scrapers = 500, 4, 4
	plugin := guest.New(`{"name": "upper", "version": "1", "transforms": [
		{"name": "upper", "input": "text/plain", "output": "text/plain"}]}`, func(t *guest.Task) error {
		t.Output = append(t.Output, strings.ToUpper(string(t.Input))...)
		return nil
	})
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{plugin}})
	if err != nil {
		t.Fatal(err)
	}
	r := registry(h)
	over := make(chan struct{})
	var scraping, calling sync.WaitGroup
	for range scrapers {
		scraping.Go(func() {
			for last := 0.0; ; {
				families, err := r.Gather()
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range families {
					if f.GetName() != "resonhost_tasks_total" {
						continue
					}
					if now := f.GetMetric()[0].GetCounter().GetValue(); now < last {
						t.Errorf("the tasks went from %v to %v", last, now)
					} else {
						last = now
					}
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range callers {
		calling.Go(func() {
			for range tasks {
				if out, err := h.Run(context.Background(), "upper", []byte("a")); err != nil || string(out) != "A" {
					t.Errorf("%s, err %v", out, err)
				}
			}
		})
	}
	calling.Wait()
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	close(over)
	scraping.Wait()
	if text := promtest.Exposition(t, r); !bytes.Contains(text, []byte(`resonhost_tasks_total{outcome="ok",transform="upper"} 2000`)) {
		t.Errorf("after 2000 tasks:\n%s", text)
	}
}

// TestTwoHosts has the metrics of two hosts in one registry, apart by their names; and who
// gives none be told of names.
func TestTwoHosts(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	for _, name := range []string{"a", "b"} {
		if err := metrics.Register(r, metrics.New(stats(), metrics.Name(name))); err != nil {
			t.Fatal(err)
		}
	}
	got := string(promtest.Exposition(t, r))
	for _, line := range []string{`resonhost_streams{host="a"} `, `resonhost_streams{host="b"} `} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %s", line)
		}
	}
	r = prometheus.NewPedanticRegistry()
	for i, name := range []string{"", "", "a"} {
		err := metrics.Register(r, metrics.New(stats(), metrics.Name(name)))
		if (err != nil) != (i > 0) || err != nil && !strings.Contains(err.Error(), "metrics.Name(") {
			t.Errorf("host %d: err %v", i, err)
		}
	}
}
