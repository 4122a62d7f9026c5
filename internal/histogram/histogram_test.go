package histogram_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/resonhost/resonhost/internal/histogram"
)

// durations are those around each bound of either kind, and others.
func durations() (all []time.Duration) {
	for i := histogram.First - 3; i <= histogram.Last; i++ {
		d := time.Duration(math.Exp2(float64(i)/4) * float64(time.Second))
		all = append(all, d-1, d, d+1)
	}
	all = all[:len(all)-1] // beyond the last
	for _, d := range new(histogram.Recorder).Snapshot().Bounds {
		all = append(all, d-1, d, d+1)
	}
	return append(all, 0, 1, 17*time.Second, time.Hour)
}

// TestClassic counts each duration in the first bucket whose bound it does not exceed.
func TestClassic(t *testing.T) {
	for _, d := range append(durations(), -1, math.MinInt64, 1000*time.Hour, math.MaxInt64) {
		var r histogram.Recorder
		r.Observe(d)
		s := r.Snapshot()
		want := slices.IndexFunc(append(s.Bounds, math.MaxInt64), func(b time.Duration) bool { return d <= b })
		if s.Counts[want] != 1 || s.Count != 1 || slices.Max(s.Native) != 1 {
			t.Errorf("%d ns: counts %v below %v, and %v", d, s.Counts, s.Bounds, s.Native)
		}
	}
}

// TestNative counts as a native histogram of Prometheus's own client does.
func TestNative(t *testing.T) {
	for _, d := range durations() {
		theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "x", Help: "x", NativeHistogramBucketFactor: 1.2, // the schema of at most that, which is 2^(1/4)
			NativeHistogramZeroThreshold: math.Exp2(float64(histogram.First-1) / (1 << histogram.Schema)),
		})
		theirs.Observe(d.Seconds())
		var m dto.Metric
		if err := theirs.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.Histogram.GetSchema() != histogram.Schema {
			t.Fatalf("their schema is %d", m.Histogram.GetSchema())
		}
		want := 0 // the zero bucket
		if m.Histogram.GetZeroCount() == 0 {
			want = int(m.Histogram.GetPositiveSpan()[0].GetOffset()) - histogram.First + 1
		}
		var r histogram.Recorder
		r.Observe(d)
		if got := slices.Index(r.Snapshot().Native, 1); got != want {
			t.Errorf("%d ns is in the native bucket %d, and in Prometheus's %d", d, got, want)
		}
	}
}

// TestBeyond counts in the last native bucket what is beyond it.
func TestBeyond(t *testing.T) {
	var r histogram.Recorder
	r.Observe(1000 * time.Hour)
	if native := r.Snapshot().Native; native[len(native)-1] != 1 || len(native) != histogram.Last-histogram.First+2 {
		t.Errorf("%d buckets, the last of %d", len(native), native[len(native)-1])
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, d := range []time.Duration{700, 12 * time.Microsecond, 900 * time.Microsecond, 80 * time.Millisecond, 20 * time.Second} {
		b.Run(d.String(), func(b *testing.B) {
			var r histogram.Recorder
			for b.Loop() {
				r.Observe(d)
			}
		})
	}
}

func TestRecorder(t *testing.T) {
	var r histogram.Recorder
	for _, d := range []time.Duration{-1, 0, 5 * time.Microsecond, 5*time.Microsecond + 1, time.Second, time.Hour} {
		r.Observe(d)
	}
	r.ObserveN(time.Second, 3)
	s := r.Snapshot()
	at := func(d time.Duration) uint64 { return s.Counts[slices.Index(s.Bounds, d)] }
	if at(5*time.Microsecond) != 3 || at(10*time.Microsecond) != 1 || at(time.Second) != 4 || s.Counts[len(s.Bounds)] != 1 {
		t.Errorf("counts %v below %v", s.Counts, s.Bounds)
	}
	if s.Count != 9 || s.Sum != time.Hour+4*time.Second+10*time.Microsecond {
		t.Errorf("count %d, sum %v", s.Count, s.Sum)
	}
}
