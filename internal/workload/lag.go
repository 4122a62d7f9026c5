package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/rounded"
	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/resonance/network"
)

// ticks is what the ticks of nodes of a network were like.
type ticks struct {
	// lag is from due to begun, done from due to merged.
	lag, done                *distribution
	count, coalesced, failed uint64
}

func newTicks() *ticks { return &ticks{lag: newDistribution(), done: newDistribution()} }

// add adds ticks that have been watched.
func (t *ticks) add(other *ticks) {
	t.lag.h.Merge(other.lag.h)
	t.done.h.Merge(other.done.h)
	t.count += other.count
	t.coalesced += other.coalesced
	t.failed += other.failed
}

// watch opens a network with nodes at their default period and watches their ticks as
// long as f lasts. After f it returns what it saw.
func watch(ctx context.Context, h *host.Host, nodes int, period time.Duration, f func() error) (*ticks, error) {
	bus := event.New(-1)
	n, err := network.New(network.Config{Host: h, Events: bus, NodePeriod: period, Capacity: max(nodes, 1)})
	if err != nil {
		return nil, err
	}
	patterns := slices.Sorted(maps.Keys(network.Initial().Patterns))
	for i := range nodes {
		spec := network.NodeSpec{Frequency: 100 + float64(i%900), Patterns: patterns[i%len(patterns):][:1]}
		if _, err := n.CreateNode(spec); err != nil {
			return nil, err
		}
	}
	t := newTicks()
	bus.Handle(1<<12, func(_ context.Context, e event.Event) {
		tick := e.Body.(event.TickCompleted)
		if tick.Network {
			return
		}
		t.lag.observe(tick.Lag)
		t.done.observe(tick.Lag + tick.Took)
		t.count++
		t.coalesced += tick.Coalesced
		t.failed += uint64(tick.Failed)
	}, event.KindTickCompleted)
	// A million nodes leave 100 MB behind when they are made. A collection of that during
	// the ticks, or none, is a matter of chance.
	runtime.GC()
	err = n.Start()
	if err == nil {
		err = f()
	}
	err = errors.Join(err, n.Close(context.WithoutCancel(ctx)), bus.Close(context.WithoutCancel(ctx)))
	if dropped := bus.Stats().Dropped; err == nil && dropped > 0 {
		err = fmt.Errorf("%d ticks went unseen: the machine is too slow to watch them", dropped)
	}
	return t, err
}

// Lag measures how late the ticks of nodes are, alone and while cascades are offered at
// twice what the host can do: in sandboxes, and inline, as it was before.
func (t *Bench) Lag(ctx context.Context, nodes int) (*Report, error) {
	const period = network.DefaultNodePeriod
	r := newReport(fmt.Sprintf("%d nodes at 100 Hz while cascades are offered at twice the capacity", nodes),
		"load", "cascades/s", "refused", "ticks", "lost", "begun p50", "begun p95", "begun p99", "done p50", "done p95", "done p99", "slowest")
	measure := func(name string, change func(*host.Config), factor float64) (*ticks, error) {
		var seen *ticks
		err := t.with(ctx, change, func(h *host.Host) error {
			client := h.Client("", host.PriorityNormal)
			w, err := cheap()
			if err != nil {
				return err
			}
			lasts, rate, l := t.Duration, 0.0, &load{}
			if factor > 0 {
				t.tellf("%s: finding the capacity", name)
				peak, err := capacity(ctx, client, w, h.Workers(), max(t.Duration/10, 200*time.Millisecond))
				if err != nil {
					return err
				}
				rate = factor * peak
			}
			t.tellf("%s: %.0f cascades/s for %v", name, rate, lasts)
			seen, err = watch(ctx, h, nodes, period, func() (err error) {
				if rate > 0 {
					l, err = run(ctx, client, w, rate, lasts)
					return err
				}
				return wait.For(ctx, lasts)
			})
			if err != nil {
				return err
			}
			done := 0.0
			if rate > 0 {
				done = l.throughput()
			}
			r.row(name, done, l.refused.Load(), seen.count, seen.coalesced,
				seen.lag.quantile(0.5), seen.lag.quantile(0.95), seen.lag.quantile(0.99),
				seen.done.quantile(0.5), seen.done.quantile(0.95), seen.done.quantile(0.99), seen.done.quantile(1))
			r.Series = append(r.Series, seen.done.series(name))
			return nil
		})
		return seen, err
	}
	reject := func(c *host.Config) { c.QueuePolicy = host.QueueReject }
	if _, err := measure("none", reject, 0); err != nil {
		return nil, err
	}
	sandbox, err := measure("2 × capacity", reject, 2)
	if err != nil {
		return nil, err
	}
	inline, err := measure("2 × capacity, inline", func(c *host.Config) {
		c.Mode, c.QueuePolicy = host.ModeInline, host.QueueReject
	}, 2)
	if err != nil {
		return nil, err
	}
	r.lag(sandbox, inline)
	return r, nil
}

// lag compares ticks beside load in sandboxes with what is aimed at, and with those
// beside load inline.
func (r *Report) lag(sandbox, inline *ticks) {
	quick := func(what string, share float64, aim time.Duration) {
		if sandbox.count == 0 {
			r.unmeasured(what, "≤ "+short(aim))
			return
		}
		got := sandbox.done.quantile(share)
		r.finding(got <= aim, what, shortBeside(got, aim), "≤ "+short(aim))
	}
	quick("p95 from due to done", 0.95, 2*time.Millisecond)
	quick("p99 from due to done", 0.99, 5*time.Millisecond)
	r.lost("ticks lost", sandbox)
	const what, aim = "p95 less than inline", "≥ 95 %"
	if sandbox.count == 0 || inline.count == 0 {
		r.unmeasured(what, aim)
		return
	}
	less := 100 * (1 - float64(sandbox.done.quantile(0.95))/float64(inline.done.quantile(0.95)))
	r.finding(less >= 95, what, rounded.Beside(less, 95, 1)+" %", aim)
}

// lost says how many ticks there were in vain, or were not.
func (r *Report) lost(what string, seen *ticks) {
	if seen.count == 0 {
		r.unmeasured(what, "0")
		return
	}
	r.finding(seen.coalesced == 0 && seen.failed == 0, what, fmt.Sprint(seen.coalesced+seen.failed), "0")
}
