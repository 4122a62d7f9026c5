package workload

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/rounded"
	"github.com/resonhost/resonhost/internal/wait"
	ticktransform "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// Sizes are networks to measure.
var sizes = []struct {
	nodes  int
	period time.Duration
}{
	{1000, 10 * time.Millisecond}, {10_000, 10 * time.Millisecond},
	{100_000, 10 * time.Millisecond}, {1_000_000, 100 * time.Millisecond},
}

// networkRounds is how often Network measures each size, one after the other.
const networkRounds = 5

// sized is what the ticks of a network of one size were like, in all rounds.
type sized struct {
	nodes  int
	period time.Duration
	seen   *ticks
	// By round: CPU time of the process a tick, and of the transform alone a node, in ns,
	// the p95 from due to begun, and how many ticks were in vain, or were not.
	cpu, native, begun, lost []float64
}

// Network measures networks of a thousand to a million nodes: whether they meet every
// period, and what a node costs in the whole process, beside the transform alone. If
// nodes is not 0 it measures one of that size, with the period.
func (t *Bench) Network(ctx context.Context, nodes int, period time.Duration) (*Report, error) {
	r := newReport(fmt.Sprintf("networks, each node with a pattern, in %d rounds", networkRounds),
		"nodes", "period", "ticks", "lost", "begun p50", "begun p95", "begun p99", "done p50", "done p95", "done p99", "CPU/tick", "CPU/node·tick", "native", "ratio")
	list := []*sized{{nodes: 1, period: sizes[0].period}} // what a tick costs in any case
	if nodes > 0 {
		list[0].period = period
		list = append(list, &sized{nodes: nodes, period: period})
	} else {
		for _, size := range sizes {
			list = append(list, &sized{nodes: size.nodes, period: size.period})
		}
	}
	err := t.with(ctx, func(*host.Config) {}, func(h *host.Host) error {
		for i := range networkRounds {
			for _, s := range list {
				t.tellf("round %d of %d: %d nodes, every %v, for %v", i+1, networkRounds, s.nodes, s.period, t.Duration/networkRounds)
				if err := s.measure(ctx, h, t.Duration/networkRounds); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.networks(list[0], list[1:])
	return r, nil
}

// measure watches a network for so long.
func (s *sized) measure(ctx context.Context, h *host.Host, lasts time.Duration) error {
	native := nativeCost()
	runtime.GC() // of what was before
	var before time.Duration
	seen, err := watch(ctx, h, s.nodes, s.period, func() error {
		before = cpuTime()
		return wait.For(ctx, lasts)
	})
	used := cpuTime() - before // until the last tick has ended, too
	if err != nil {
		return err
	}
	if s.seen == nil {
		s.seen = newTicks()
	}
	s.seen.add(seen)
	s.native = append(s.native, (native+nativeCost())/2)
	if seen.count > 0 {
		s.cpu = append(s.cpu, float64(used)/float64(seen.count))
		s.begun = append(s.begun, float64(seen.lag.quantile(0.95)))
		s.lost = append(s.lost, float64(seen.coalesced+seen.failed))
	}
	return nil
}

// networks reports networks beside one of a single node, and compares them with what is
// aimed at.
func (r *Report) networks(single *sized, list []*sized) {
	fixed := 0.0
	if len(single.cpu) > 0 && median(single.cpu) > 0 {
		fixed = median(single.cpu)
		r.Title += fmt.Sprintf(", beside %s of CPU that a tick of a single one takes", short(time.Duration(fixed)))
	}
	for _, s := range list {
		perTick, perNode, ratio, cost := "", "", "", -1.0
		native := median(s.native)
		if len(s.cpu) > 0 && fixed > 0 {
			cpu := median(s.cpu)
			cost = (cpu - fixed) / float64(s.nodes)
			perTick, perNode = short(time.Duration(cpu)), "not measured"
			if cost > 0 { // else it is less than the uncertainty
				perNode, ratio = fmt.Sprintf("%.1fns", cost), fmt.Sprintf("%.2f", cost/native)
			}
		}
		r.NodeCosts = append(r.NodeCosts, cost)
		seen := s.seen
		r.row(s.nodes, s.period.String(), seen.count, seen.coalesced,
			seen.lag.quantile(0.5), seen.lag.quantile(0.95), seen.lag.quantile(0.99),
			seen.done.quantile(0.5), seen.done.quantile(0.95), seen.done.quantile(0.99),
			perTick, perNode, fmt.Sprintf("%.1fns", native), ratio)
		name := fmt.Sprintf("%d nodes every %v", s.nodes, s.period)
		r.Series = append(r.Series, seen.done.series(name))
		what := name + ": periods missed in the middle round"
		if seen.count == 0 {
			r.unmeasured(what, "0")
			continue
		}
		missed := median(s.lost)
		r.finding(missed == 0, what, fmt.Sprint(missed), "0")
		if s.nodes >= 100_000 {
			p95 := time.Duration(median(s.begun))
			const aim = 5 * time.Millisecond
			r.finding(p95 <= aim, name+": p95 from due to begun", shortBeside(p95, aim), "≤ "+short(aim))
		}
	}
	r.flat(list)
}

// flat compares what a further node costs, from each size to the next: that has nothing
// of what a tick costs however many nodes there are, which is much of a small one.
func (r *Report) flat(list []*sized) {
	if len(list) < 3 {
		return
	}
	const what, aim = "cost of a further node and tick, largest over smallest", "≤ +25 %"
	least, most := math.Inf(1), 0.0
	for i, s := range list[1:] {
		before := list[i]
		if len(s.cpu) != networkRounds || len(before.cpu) != networkRounds {
			r.unmeasured(what, aim)
			return
		}
		var slopes []float64 // by round
		for k := range s.cpu {
			slopes = append(slopes, (s.cpu[k]-before.cpu[k])/float64(s.nodes-before.nodes))
		}
		slope := median(slopes)
		least, most = min(least, slope), max(most, slope)
	}
	if least <= 0 {
		r.unmeasured(what, aim)
		return
	}
	spread := 100 * (most/least - 1)
	r.finding(spread <= 25, what, rounded.Signed(spread, 25, 0)+" %", aim)
}

// chunk is the argument of a task of n nodes, each with a pattern.
func chunk(n int) *tick.Nodes {
	a := &tick.Nodes{
		NowMS: 12345, Frequency: make([]float64, n), Strength: make([]float64, n), Stopped: make([]bool, n),
		Pattern: make([]float64, 7), Offset: make([]uint32, n+1), Attached: make([]uint32, n),
	}
	for i := range n {
		a.Frequency[i], a.Attached[i], a.Offset[i+1] = 100+float64(i%900), uint32(i%7), uint32(i+1)
	}
	return a
}

// nativeCost is what a node costs that the transform advances natively, in ns.
func nativeCost() float64 {
	const n = network.DefaultChunkNodes
	a := chunk(n)
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
