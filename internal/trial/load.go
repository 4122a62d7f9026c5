package trial

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Load measures a host below and beyond its capacity, and a tenant beside one that
// floods the host.
func (t *Trial) Load(ctx context.Context) (*Report, error) {
	const overload = 3
	r := newReport(fmt.Sprintf("cascades, with a queue of %d", host.DefaultQueueCapacity),
		"load", "offered/s", "done/s", "refused", "p50", "p95", "p99", "slowest", "heap")
	err := t.with(ctx, func(c *host.Config) { c.QueuePolicy, c.QueueCapacity = host.Reject, host.DefaultQueueCapacity }, func(h *host.Host) error {
		part := max(t.Duration/6, 500*time.Millisecond)
		measure := func(name, tenant string, rate float64, lasts time.Duration) (*load, error) {
			t.tellf("%s: %.0f cascades/s for %v", name, rate, lasts)
			l, err := run(ctx, h.Client(tenant, host.PriorityNormal), rate, lasts)
			if err != nil {
				return nil, err
			}
			l.row(r, name)
			return l, nil
		}
		t.tellf("finding the capacity")
		client := h.Client("", host.PriorityNormal)
		if _, err := capacity(ctx, client, h.Stats().Workers, part/2); err != nil { // until all is warm
			return err
		}
		peak, err := capacity(ctx, client, h.Stats().Workers, part)
		if err != nil {
			return err
		}
		r.row("always something to do", "", peak, "", "", "", "", "", "")
		light, err := measure("a tenth of the capacity", "", peak/10, part)
		if err != nil {
			return err
		}
		best := 0.0
		for _, share := range [...]float64{0.8, 1, 1.2} {
			l, err := measure(fmt.Sprintf("%.1f × the capacity", share), "", share*peak, part)
			if err != nil {
				return err
			}
			best = max(best, l.throughput())
		}
		before := heap()
		full, err := measure("3 × the capacity", "", overload*peak, t.Duration)
		if err != nil {
			return err
		}
		after := heap()
		alone, err := measure("tenant a alone, a twentieth", "a", peak/20, part)
		if err != nil {
			return err
		}
		var flood sync.WaitGroup
		var flooded *load
		var floodErr error
		flood.Go(func() {
			flooded, floodErr = run(ctx, h.Client("b", host.PriorityNormal), overload*peak, part)
		})
		beside, err := measure("the same, b floods at 3 ×", "a", peak/20, part)
		flood.Wait()
		if err == nil {
			err = floodErr
		}
		if err != nil {
			return err
		}
		flooded.row(r, "b")

		bound := time.Duration(host.DefaultQueueCapacity / full.throughput() * float64(time.Second))
		limit := 3*light.latency.quantile(0.99) + bound
		p99 := full.latency.quantile(0.99)
		r.finding(p99 <= limit, "p99 at 3 × the capacity", short(p99), "≤ "+short(limit)+", 3 × the unloaded and a full queue")
		share := full.throughput() / best
		r.finding(share >= 0.9, "throughput at 3 × the capacity", fmt.Sprintf("%.0f %%", 100*share), "≥ 90 % of the best of the lower loads")
		sum := full.done.Load() + full.refused.Load() + full.failed.Load()
		r.finding(sum == full.offered.Load() && full.refused.Load() > 0, "answers at 3 × the capacity", fmt.Sprint(sum), fmt.Sprint(full.offered.Load(), " offered"))
		grown := float64(after)/float64(before) - 1
		r.finding(grown <= 0.1, "live heap afterwards", fmt.Sprintf("%+.0f %%", 100*grown), "≤ +10 %")
		ratio := float64(beside.latency.quantile(0.99)) / float64(alone.latency.quantile(0.99))
		r.finding(ratio <= 2, "p99 of a tenant beside one that floods", fmt.Sprintf("%.2f ×", ratio), "≤ 2 × alone")
		return nil
	})
	return r, err
}

// row reports what became of a load.
func (l *load) row(r *Report, name string) {
	r.row(name, float64(l.offered.Load())/l.lasted.Seconds(), l.throughput(), l.refused.Load(),
		l.latency.quantile(0.5), l.latency.quantile(0.95), l.latency.quantile(0.99), l.latency.quantile(1),
		fmt.Sprintf("%.1f MiB", float64(heap())/(1<<20)))
	r.Series = append(r.Series, l.latency.series(name))
}

// heap is how much memory is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
