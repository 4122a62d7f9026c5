package workload

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/rounded"
)

const (
	// rounds is how often Load has each load, one after the other, so that what is compared
	// was measured close together, and the middle of the figures tells what is usual.
	rounds = 5
	// overload is what is offered of it, times the capacity.
	overload = 3
	// users are those of a busy tenant, for each worker: so many that some of them wait
	// while others hear of their results.
	users = 32
)

// loads are those of one round, and what is compared of it.
type loads struct {
	light, full   *load    // a tenth of the capacity, and overload
	lower         [3]*load // from 0.8 to 1.2 times the capacity
	alone, beside *load    // a tenant, and that beside another that floods
	// share is what of the work a tenant that is always busy gets beside one that floods
	// with the same tasks, and with dear ones.
	share, shareDear      float64
	heapBefore, heapAfter uint64
}

// Load measures a host below and beyond its capacity, and a tenant beside one that
// floods the host.
func (t *Bench) Load(ctx context.Context) (*Report, error) {
	r := newReport(fmt.Sprintf("cascades, with a queue of %d, in %d rounds", host.DefaultQueueCapacity, rounds),
		"load", "offered/s", "done/s", "refused", "p50", "p95", "p99", "slowest", "late p99", "host p50", "host p99", "heap")
	err := t.with(ctx, func(c *host.Config) {
		c.QueuePolicy, c.QueueCapacity = host.QueueReject, host.DefaultQueueCapacity
		c.QueueTimeout, c.Defaults.RunTimeout = time.Minute, time.Minute // on a machine that is slow, too
	}, func(h *host.Host) error {
		b, err := newBearer(t, h)
		if err != nil {
			return err
		}
		t.tellf("warming up")
		if _, err := capacity(ctx, h.Client("", host.PriorityNormal), b.cheap, b.workers, b.part); err != nil {
			return err
		}
		var all []*loads
		for i := range rounds {
			l, err := b.round(ctx, i)
			if err != nil {
				return err
			}
			all = append(all, l)
		}
		for _, s := range b.sums {
			s.row(r)
		}
		r.loads(all)
		return nil
	})
	return r, err
}

// bearer is a host that bears rounds of loads.
type bearer struct {
	*Bench

	host        *host.Host
	workers     int
	part        time.Duration // how long a load lasts
	cheap, dear work
	sums        []*sum
}

// sum is what became of one load in all rounds.
type sum struct {
	name string
	load *load
	heap uint64 // after the last
}

func newBearer(t *Bench, h *host.Host) (b *bearer, err error) {
	b = &bearer{Bench: t, host: h, workers: h.Workers(), part: max(t.Duration/(6*rounds), 20*time.Millisecond)}
	if b.cheap, err = cheap(); err != nil {
		return nil, err
	}
	b.dear, err = dear()
	return b, err
}

// sum adds a load to those of its name.
func (b *bearer) sum(name string, l *load) {
	for _, s := range b.sums {
		if s.name == name {
			s.load.add(l)
			s.heap = heap()
			return
		}
	}
	s := &sum{name, newLoad(), heap()}
	s.load.add(l)
	b.sums = append(b.sums, s)
}

// round has all loads once.
func (b *bearer) round(ctx context.Context, i int) (*loads, error) {
	b.tellf("round %d of %d: finding the capacity", i+1, rounds)
	peak, err := capacity(ctx, b.client(""), b.cheap, b.workers, b.part)
	if err != nil {
		return nil, err
	}
	dearPeak, err := capacity(ctx, b.client(""), b.dear, b.workers, b.part)
	if err != nil {
		return nil, err
	}
	r, l := &round{bearer: b, number: i + 1}, &loads{}
	l.light = r.open(ctx, "a tenth of the capacity", "", peak/10, b.part)
	lower := func(i int, factor float64) {
		l.lower[i] = r.open(ctx, fmt.Sprintf("%.1f × the capacity", factor), "", factor*peak, b.part)
	}
	lower(0, 0.8)
	lower(1, 1)
	l.heapBefore = heap()
	l.full = r.open(ctx, "3 × the capacity", "", overload*peak, 2*b.part)
	l.heapAfter = heap()
	lower(2, 1.2)
	l.alone = r.open(ctx, "tenant a alone, a twentieth", "a", peak/20, b.part)
	l.beside, _ = r.beside(ctx, flooding{"b", b.cheap, peak}, peak, func() *load {
		return r.open(ctx, "the same, b floods at 3 ×", "a", peak/20, b.part)
	})
	_, l.share = r.beside(ctx, flooding{"b", b.cheap, peak}, peak, func() *load {
		return r.busy(ctx, "a always busy, b floods at 3 ×")
	})
	_, l.shareDear = r.beside(ctx, flooding{"b, dear tasks", b.dear, dearPeak}, peak, func() *load {
		return r.busy(ctx, "a always busy, b floods with dear tasks")
	})
	return l, r.err
}

func (b *bearer) client(tenant string) *host.Client {
	return b.host.Client(tenant, host.PriorityNormal)
}

// round is one in which all loads come once. After its first error there are no more.
type round struct {
	*bearer

	number int
	err    error
}

// note adds a load to those of its name, if it was borne.
func (r *round) note(name string, l *load, err error) *load {
	if r.err != nil {
		return l
	}
	if r.err = err; err == nil {
		r.sum(name, l)
	}
	return l
}

// open offers cheap tasks of a tenant at a rate, whether those before have ended or not.
func (r *round) open(ctx context.Context, name, tenant string, rate float64, lasts time.Duration) *load {
	if r.err != nil {
		return nil
	}
	r.tellf("round %d of %d: %s: %.0f/s for %v", r.number, rounds, name, rate, lasts)
	l, err := run(ctx, r.client(tenant), r.cheap, rate, lasts)
	return r.note(name, l, err)
}

// busy has tenant a always offer cheap tasks.
func (r *round) busy(ctx context.Context, name string) *load {
	if r.err != nil {
		return nil
	}
	r.tellf("round %d of %d: %s: for %v", r.number, rounds, name, r.part)
	l, err := closed(ctx, r.client("a"), r.cheap, users*r.workers, r.part)
	return r.note(name, l, err)
}

// flooding is what tenant b offers too much of; can is how much of that the host can do.
type flooding struct {
	name string
	work work
	can  float64
}

// beside has f measured while b floods, and returns the part of f's tasks in the work, by their number
// and how many of each kind the host can do.
func (r *round) beside(ctx context.Context, b flooding, canCheap float64, f func() *load) (l *load, share float64) {
	if r.err != nil {
		return nil, 0
	}
	others := newFlood(ctx, r.client("b"), b.work, overload*b.can)
	before := others.done.Load()
	l = f()
	theirs := float64(others.done.Load()-before) / b.can
	r.note(b.name, others.load, others.end())
	if r.err != nil {
		return nil, 0
	}
	mine := float64(l.done.Load()) / canCheap
	return l, mine / (mine + theirs)
}

// row reports what became of a load.
func (s *sum) row(r *Report) {
	l := s.load
	r.row(s.name, float64(l.offered.Load())/l.lasted.Seconds(), l.throughput(), l.refused.Load(),
		l.latency.quantile(0.5), l.latency.quantile(0.95), l.latency.quantile(0.99), l.latency.quantile(1),
		l.late.quantile(0.99), l.host.quantile(0.5), l.host.quantile(0.99), fmt.Sprintf("%.1f MiB", float64(s.heap)/(1<<20)))
	r.Series = append(r.Series, l.latency.series(s.name))
}

// loads compares the loads of all rounds with what is aimed at.
func (r *Report) loads(all []*loads) {
	each := func(of func(*loads) float64) float64 {
		var list []float64
		for _, l := range all {
			list = append(list, of(l))
		}
		return median(list)
	}
	compare := func(what, aim string, bound float64, met func(got, bound float64) bool, write func(got, bound float64) string, got float64) {
		if math.IsNaN(got) || math.IsInf(got, 0) { // nothing was done
			r.unmeasured(what, aim)
			return
		}
		r.finding(met(got, bound), what, write(got, bound), aim)
	}
	atMost := func(v, bound float64) bool { return v <= bound }
	atLeast := func(v, bound float64) bool { return v >= bound }
	inPercent := func(v, bound float64) string { return rounded.Beside(v, bound, 0) + " %" }
	more := func(v, bound float64) string { return rounded.Signed(v, bound, 0) + " %" }
	times := func(v, bound float64) string { return rounded.Beside(v, bound, 2) + " ×" }

	compare("p99 at 3 × the capacity, of 3 × the unloaded p99 and a full queue", "≤ 100 %", 100, atMost, inPercent, each((*loads).bounded))
	least := math.Inf(1)
	for i := range all[0].lower {
		least = min(least, each(func(l *loads) float64 { return 100 * l.full.throughput() / l.lower[i].throughput() }))
	}
	compare("throughput at 3 × the capacity, of the best of the lower loads", "≥ 90 %", 90, atLeast, inPercent, least)
	r.answers(all)
	compare("live heap after 3 × the capacity", "≤ +10 %", 10, atMost, more,
		each(func(l *loads) float64 { return 100 * (float64(l.heapAfter)/float64(l.heapBefore) - 1) }))
	compare("p99 of a tenant beside one that floods", "≤ 2 × alone", 2, atMost, times, each(func(l *loads) float64 {
		return float64(l.beside.host.quantile(0.99)) / float64(l.alone.host.quantile(0.99))
	}))
	compare("work for a busy tenant beside one that floods", "≥ 45 %, half is fair", 45, atLeast, inPercent, each(func(l *loads) float64 { return 100 * l.share }))
	compare("the same, of dear tasks", "≥ 45 %, half is fair", 45, atLeast, inPercent, each(func(l *loads) float64 { return 100 * l.shareDear }))
}

// answers says whether each task at overload had its answer.
func (r *Report) answers(all []*loads) {
	const what = "answers at 3 × the capacity"
	var offered, refused, answered int64
	for _, l := range all {
		offered += l.full.offered.Load()
		refused += l.full.refused.Load()
		answered += l.full.done.Load() + l.full.refused.Load() + l.full.failed.Load()
	}
	if refused == 0 {
		r.unmeasured(what, "as many as were offered") // the queue was never full
		return
	}
	r.finding(answered == offered, what, fmt.Sprint(answered), fmt.Sprint(offered, " offered"))
}

// bounded is the p99 at overload in percent of what it may be: 3 times the unloaded one,
// and what as many tasks take as a queue has room for. That is of the same time: when
// the machine does something else for a while, both are longer.
func (l *loads) bounded() float64 {
	queue, light := l.full.queue.took, l.light.host
	if queue.count() == 0 || light.count() == 0 {
		return math.NaN()
	}
	return 100 * float64(l.full.host.quantile(0.99)) / float64(3*light.quantile(0.99)+queue.quantile(0.99))
}

// heap is how much memory is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
