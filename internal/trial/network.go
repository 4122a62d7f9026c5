package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/resonhost/resonhost/abi/tick"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/network"
	ticktransform "github.com/resonhost/resonhost/plugins/tick"
)

// Sizes are networks to measure.
var sizes = []struct {
	nodes  int
	period time.Duration
}{
	{1000, 10 * time.Millisecond}, {10_000, 10 * time.Millisecond},
	{100_000, 10 * time.Millisecond}, {1_000_000, 100 * time.Millisecond},
}

// Network measures networks of a thousand to a million nodes: whether they meet every
// period, and what a node costs in the whole process, beside the transform alone. If
// nodes is not 0 it measures one of that size, with the period.
func (t *Trial) Network(ctx context.Context, nodes int, period time.Duration) (*Report, error) {
	r := newReport("networks, each node with a pattern",
		"nodes", "period", "ticks", "lost", "begun p50", "begun p95", "begun p99", "done p50", "done p95", "done p99", "CPU/node·tick", "native", "ratio")
	list := sizes
	if nodes > 0 {
		list = list[:0:0]
		list = append(list, sizes[0])
		list[0].nodes, list[0].period = nodes, period
	}
	// What a tick costs in any case, mostly for waking up.
	_, fixed, err := t.ticks(ctx, 1, list[0].period)
	if err != nil {
		return nil, err
	}
	r.Title += fmt.Sprintf(", beside %s of CPU that a tick of a single one takes", short(time.Duration(fixed)))
	var costs []float64
	for _, size := range list {
		native := nativeCost()
		seen, used, err := t.ticks(ctx, size.nodes, size.period)
		if err != nil {
			return nil, err
		}
		native = (native + nativeCost()) / 2
		cost := (used - fixed) / float64(size.nodes)
		costs = append(costs, cost)
		r.row(size.nodes, size.period.String(), seen.count, seen.coalesced,
			seen.lag.quantile(0.5), seen.lag.quantile(0.95), seen.lag.quantile(0.99),
			seen.done.quantile(0.5), seen.done.quantile(0.95), seen.done.quantile(0.99),
			fmt.Sprintf("%.1fns", cost), fmt.Sprintf("%.1fns", native), fmt.Sprintf("%.2f", cost/native))
		name := fmt.Sprintf("%d nodes every %v", size.nodes, size.period)
		r.Series = append(r.Series, seen.done.series(name))
		r.finding(seen.coalesced == 0 && seen.failed == 0, name+": periods missed", fmt.Sprint(seen.coalesced+seen.failed), "0")
		if size.nodes >= 100_000 {
			p95 := seen.lag.quantile(0.95)
			r.finding(p95 <= 5*time.Millisecond, name+": p95 from due to begun", short(p95), "≤ 5ms")
		}
	}
	if len(costs) > 1 {
		spread := slices.Max(costs)/slices.Min(costs) - 1
		r.finding(spread <= 0.25, "cost a node and tick, largest over smallest", fmt.Sprintf("+%.0f %%", 100*spread), "flat")
	}
	return r, nil
}

// ticks watches a network for the trial's duration, and returns the CPU time of the
// whole process by tick besides, in ns.
func (t *Trial) ticks(ctx context.Context, nodes int, period time.Duration) (seen *ticks, cpu float64, err error) {
	var used time.Duration
	err = t.with(ctx, func(*host.Config) {}, func(h *host.Host) (err error) {
		t.tellf("nodes: %d, every %v, for %v", nodes, period, t.Duration)
		seen, err = watch(ctx, h, nodes, period, func() error {
			before := cpuTime()
			defer func() { used = cpuTime() - before }()
			return sleep(ctx, t.Duration)
		})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return seen, float64(used) / float64(max(seen.count, 1)), nil
}

// nativeCost is what a node costs that the transform advances natively, in ns.
func nativeCost() float64 {
	const n = network.DefaultChunkNodes
	a := &tick.Nodes{
		NowMS: 12345, Frequency: make([]float64, n), Strength: make([]float64, n), Stopped: make([]bool, n),
		Pattern: make([]float64, 7), Offset: make([]uint32, n+1), Attached: make([]uint32, n),
	}
	for i := range n {
		a.Frequency[i], a.Attached[i], a.Offset[i+1] = 100+float64(i%900), uint32(i%7), uint32(i+1)
	}
	var res tick.NodesResult
	var rounds []float64
	for range 200 {
		start := time.Now()
		ticktransform.AdvanceNodes(a, &res)
		rounds = append(rounds, float64(time.Since(start))/n)
		a.NowMS += 10
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2]
}
