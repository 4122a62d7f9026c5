package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/internal/histogram"
)

// TestNativeHistogram has a histogram in seconds be what Prometheus's own client makes of the same
// observations, classic and native, and one in milliseconds be classic.
func TestNativeHistogram(t *testing.T) {
	var r histogram.Recorder
	opts := prometheus.HistogramOpts{
		Name: "x", Help: "x", NativeHistogramBucketFactor: 1.2, NativeHistogramZeroThreshold: 1. / (1 << 18),
	}
	for _, b := range r.Snapshot().Bounds {
		opts.Buckets = append(opts.Buckets, b.Seconds())
	}
	theirs := prometheus.NewHistogram(opts)
	for _, d := range []time.Duration{100, 7 * time.Microsecond, 9 * time.Microsecond, time.Millisecond, 30 * time.Millisecond, 2 * time.Second, time.Minute} {
		r.ObserveN(d, 2)
		theirs.Observe(d.Seconds())
		theirs.Observe(d.Seconds())
	}
	write := func(m prometheus.Metric) *dto.Histogram {
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		h := out.GetHistogram()
		h.CreatedTimestamp, h.SampleSum = nil, nil // of which the last bits differ
		return h
	}
	h := host.Histogram(r.Snapshot())
	desc := prometheus.NewDesc("x", "x", nil, nil)
	got, want := write(metrics.Histogram(desc, &h, time.Second)), write(theirs)
	if !proto.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	if got := write(metrics.Histogram(desc, &h, time.Millisecond)); got.Schema != nil || len(got.GetBucket()) != len(h.Bounds) {
		t.Errorf("in milliseconds: %v", got)
	}
	if got := write(metrics.Histogram(desc, new(host.Histogram), time.Second)); got.Schema != nil {
		t.Errorf("without native buckets: %v", got)
	}
	var none histogram.Recorder
	h = host.Histogram(none.Snapshot())
	if got := write(metrics.Histogram(desc, &h, time.Second)); got.Schema == nil || got.GetSampleCount() != 0 {
		t.Errorf("without observations: %v", got)
	}
}

func BenchmarkHistogram(b *testing.B) {
	var r histogram.Recorder
	for d := time.Microsecond; d < time.Minute; d += d / 3 {
		r.Observe(d)
	}
	h := host.Histogram(r.Snapshot())
	desc := prometheus.NewDesc("x", "x", nil, nil)
	for name, unit := range map[string]time.Duration{"classic": time.Millisecond, "both": time.Second} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var m dto.Metric
				if err := metrics.Histogram(desc, &h, unit).Write(&m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
