package workload

import (
	"strings"
	"testing"
	"time"
)

// text are the findings of a report.
func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	_, findings, _ := strings.Cut(b.String(), "\n\n\n")
	return strings.TrimLeft(findings, "\n")
}

// TestNothingIsMeasured has workloads in which nothing came to its end.
func TestNothingIsMeasured(t *testing.T) {
	none := &loads{light: newLoad(), full: newLoad(), lower: [3]*load{newLoad(), newLoad(), newLoad()}, alone: newLoad(), beside: newLoad()}
	for _, l := range append(none.lower[:], none.light, none.full, none.alone, none.beside) {
		l.lasted = time.Second
	}
	nan := 0.0
	none.share, none.shareDear = nan/nan, nan/nan
	for name, fill := range map[string]func(*Report){
		"lag": func(r *Report) { r.lag(newTicks(), newTicks()) },
		"network": func(r *Report) {
			single := &sized{nodes: 1, seen: newTicks(), native: []float64{1}}
			r.networks(single, []*sized{{nodes: 10, seen: newTicks(), native: []float64{1}}, {nodes: 20, seen: newTicks(), native: []float64{1}}, {nodes: 30, seen: newTicks(), native: []float64{1}}})
		},
		"load": func(r *Report) { none.heapBefore = 1; none.heapAfter = 1; r.loads([]*loads{none, none}) },
	} {
		r := newReport(name)
		fill(r)
		if len(r.Findings) == 0 {
			t.Errorf("%s: no findings", name)
		}
		for _, f := range r.Findings {
			if f.What != "live heap after 3 × the capacity" && (f.Measured || f.Met || f.Got != "not measured") {
				t.Errorf("%s: %+v", name, f)
			}
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%s: err %v, %s", name, err, b.String())
		}
	}
}

// TestFlat has ticks that cost 100 ns a node and much besides.
func TestFlat(t *testing.T) {
	of := func(nodes int, cpu ...float64) *sized { return &sized{nodes: nodes, cpu: cpu} }
	for name, c := range map[string]struct {
		list []*sized
		want string
	}{
		"flat":         {[]*sized{of(1000, 4e5, 5e5, 6e5, 9e5, 9e5), of(10_000, 13e5, 14e5, 15e5, 18e5, 9e9), of(100_000, 103e5, 104e5, 105e5, 9e9, 9e9)}, "met     cost of a further node and tick, largest over smallest: +0 % (aim: ≤ +25 %)\n"},
		"not flat":     {[]*sized{of(1000, 4e5, 5e5, 6e5, 9e5, 9e5), of(10_000, 13e5, 14e5, 15e5, 18e5, 18e5), of(100_000, 193e5, 194e5, 195e5, 198e5, 198e5)}, "MISSED  cost of a further node and tick, largest over smallest: +100 % (aim: ≤ +25 %)\n"},
		"barely":       {[]*sized{of(1000, 4e5, 5e5, 6e5, 9e5, 9e5), of(10_000, 13e5, 14e5, 15e5, 18e5, 9e9), of(100_000, 12_559_000, 12_659_000, 12_759_000, 9e9, 9e9)}, "MISSED  cost of a further node and tick, largest over smallest: +25.1 % (aim: ≤ +25 %)\n"},
		"too few":      {[]*sized{of(1000, 1), of(10_000)}, ""},
		"a round less": {[]*sized{of(1000, 1, 2, 3, 4, 5), of(10_000, 1, 2), of(20_000, 1, 2, 3, 4, 5)}, "?       cost of a further node and tick, largest over smallest: not measured (aim: ≤ +25 %)\n"},
		"no clock":     {[]*sized{of(1000, 0, 0, 0, 0, 0), of(10_000, 0, 0, 0, 0, 0), of(20_000, 0, 0, 0, 0, 0)}, "?       cost of a further node and tick, largest over smallest: not measured (aim: ≤ +25 %)\n"},
	} {
		r := newReport(name)
		r.flat(c.list)
		if got := text(t, r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestBounded has a host that takes 1 ms a task when it is full, and one that holds tasks
// for twice as long as its queue takes.
func TestBounded(t *testing.T) {
	for factor, want := range map[int][2]float64{1: {95, 100}, 2: {185, 205}} {
		l := &loads{light: newLoad(), full: newLoad()}
		for range 100 {
			l.light.host.observe(5 * time.Millisecond)
			l.full.host.observe(time.Duration(factor*1024) * time.Millisecond)
			l.full.queue.took.observe(1024 * time.Millisecond)
		}
		if got := l.bounded(); got < want[0] || got > want[1] {
			t.Errorf("%.1f %% of what it may be, want %v", got, want)
		}
	}
}

// TestBarelyMissed has a share that would read like what is aimed at if it were rounded as
// others are.
func TestBarelyMissed(t *testing.T) {
	seen := func(took time.Duration) *ticks {
		s := newTicks()
		s.count = 1
		s.done.observe(took)
		return s
	}
	r := newReport("lag")
	r.lag(seen(2007*time.Microsecond), seen(40*time.Millisecond))
	want := "MISSED  p95 from due to done: 2.01ms (aim: ≤ 2ms)\n" +
		"met     p99 from due to done: 2.01ms (aim: ≤ 5ms)\n" +
		"met     ticks lost: 0 (aim: 0)\n" +
		"MISSED  p95 less than inline: 94.996 % (aim: ≥ 95 %)\n"
	if got := text(t, r); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

func TestPace(t *testing.T) {
	p := newPace(10)
	for range 10 {
		p.end()
	}
	if n := p.took.count(); n != 0 {
		t.Errorf("%d figures before there are 11 ends", n)
	}
	for range 5 {
		p.end()
	}
	if n := p.took.count(); n != 5 {
		t.Errorf("%d figures, want 5", n)
	}
}

func TestMedian(t *testing.T) {
	for want, figures := range map[float64][]float64{3: {3}, 2.5: {9, 1, 2, 3}, 2: {100, 1, 2}} {
		if got := median(figures); got != want {
			t.Errorf("median of %v is %v", figures, got)
		}
	}
}
