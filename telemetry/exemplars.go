package telemetry

import (
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/histogram"
)

// maxTransforms is of how many transforms exemplars are kept. Those that have none any more stay.
const maxTransforms = 1000

// exemplars are the last traced task in each bucket of each histogram of each transform. Its zero value
// has none.
type exemplars struct {
	mu  sync.Mutex // guards the rest
	all map[string]*[metrics.SeriesCount][]metrics.Exemplar
}

// bounds are those of the buckets.
var bounds = new(histogram.Recorder).Snapshot().Bounds

// add keeps a task, of which the histograms count the same times.
func (e *exemplars) add(of *host.TaskTrace, sc trace.SpanContext) {
	if of.Latency == 0 || !slices.ContainsFunc(of.Phases, func(p host.TaskPhase) bool { return p.Phase == host.PhaseRun }) {
		return // no histogram counts it, or not in all of its times
	}
	x := metrics.Exemplar{TraceID: sc.TraceID().String(), SpanID: sc.SpanID().String(), Time: of.Ended}
	e.mu.Lock()
	defer e.mu.Unlock()
	series := e.all[of.Transform]
	if series == nil {
		if len(e.all) >= maxTransforms {
			return
		}
		if e.all == nil {
			e.all = make(map[string]*[metrics.SeriesCount][]metrics.Exemplar)
		}
		series = new([metrics.SeriesCount][]metrics.Exemplar)
		for i := range series {
			series[i] = make([]metrics.Exemplar, len(bounds)+1)
		}
		e.all[of.Transform] = series
	}
	put := func(s metrics.Series, took time.Duration) {
		at, _ := slices.BinarySearch(bounds, took)
		x.Value = took
		series[s][at] = x
	}
	put(metrics.SeriesLatency, of.Latency)
	for _, p := range of.Phases {
		switch p.Phase {
		case host.PhaseQueue:
			put(metrics.SeriesWait, p.Ended.Sub(p.Began))
		case host.PhaseRun:
			put(metrics.SeriesRun, p.Ended.Sub(p.Began))
		case host.PhaseReset:
		}
	}
}

// of returns those of a histogram.
func (e *exemplars) of(transform string, s metrics.Series) (all []metrics.Exemplar) {
	e.mu.Lock()
	defer e.mu.Unlock()
	series := e.all[transform]
	if series == nil {
		return nil
	}
	for _, x := range series[s] {
		if !x.Time.IsZero() {
			all = append(all, x)
		}
	}
	return all
}
