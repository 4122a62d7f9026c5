// Package workload puts a host under load, and measures how it bears it. The load is an
// open one unless it is said to be closed: tasks come when they are due, however long
// those before them take, and latencies count from when they were due, so that none is
// left out for being late. As the load is made by the process that bears it, it can be
// late itself: latencies count from when a task was submitted as well, and what is aimed
// at concerns these.
package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/rounded"
	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/network"
)

// Bench is what all workloads are told.
type Bench struct {
	// Open returns a host that is started, which the workload closes; change says how it
	// differs from what the user has set.
	Open func(ctx context.Context, change func(*host.Config)) (*host.Host, error)
	// Duration is how long the longest part lasts.
	Duration time.Duration
	// Progress is told what goes on, in a few words; nil tells nobody.
	Progress func(format string, args ...any)
}

// Report is what a workload has found.
type Report struct {
	Title string `json:"title"`
	// CPUs is GOMAXPROCS.
	CPUs int `json:"cpus"`
	// Columns head Rows.
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	// Series are distributions of latencies, to be drawn in one plot.
	Series []Series `json:"series"`
	// Findings compare with what is aimed at.
	Findings []Finding `json:"findings"`
	// NodeCosts are what a node and tick costs in ns of processor time, by row, if the rows
	// are of networks; negative if it is less than the uncertainty.
	NodeCosts []float64 `json:"node_costs_ns,omitempty"`
}

// Finding is one figure beside what it should be.
type Finding struct {
	What string `json:"what"`
	Got  string `json:"got"`
	Aim  string `json:"aim"`
	Met  bool   `json:"met"`
	// Measured is false if there was too little to say; then Met is too.
	Measured bool `json:"measured"`
}

func newReport(title string, columns ...string) *Report {
	return &Report{Title: title, CPUs: runtime.GOMAXPROCS(0), Columns: columns}
}

func (r *Report) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case time.Duration:
			texts[i] = short(c)
		case float64:
			texts[i] = fmt.Sprintf("%.0f", c)
		default:
			texts[i] = fmt.Sprint(c)
		}
	}
	r.Rows = append(r.Rows, texts)
}

func (r *Report) finding(met bool, what, got, aim string) {
	r.Findings = append(r.Findings, Finding{what, got, aim, met, true})
}

// unmeasured is a finding that there is too little to say.
func (r *Report) unmeasured(what, aim string) {
	r.Findings = append(r.Findings, Finding{What: what, Got: "not measured", Aim: aim})
}

// short writes a duration with three digits.
func short(d time.Duration) string { return d.Round(step(d)).String() }

// shortBeside is short with more digits where it would seem to be what it is aimed at, and
// is not.
func shortBeside(d, aim time.Duration) string { return rounded.Duration(d, aim, step(d)) }

// step is the unit of the last of a duration's three digits.
func step(d time.Duration) time.Duration {
	switch {
	case d >= 100*time.Millisecond:
		return time.Millisecond
	case d >= time.Millisecond:
		return 10 * time.Microsecond
	case d >= time.Microsecond:
		return 10 * time.Nanosecond
	}
	return 1
}

// Series is a distribution of durations.
type Series struct {
	Name string `json:"name"`
	// Points go from the fastest to the slowest.
	Points []Point `json:"points"`
}

// Point is the share of a series, from 0 to 1, that took at most so long.
type Point struct {
	Share float64       `json:"share"`
	Took  time.Duration `json:"took_ns"`
}

// distribution counts durations, to within a percent, up to ten minutes. It may be used
// concurrently.
type distribution struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newDistribution() *distribution {
	return &distribution{h: hdrhistogram.New(1, int64(10*time.Minute), 2)}
}

func (d *distribution) observe(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.h.RecordValue(int64(min(max(took, 1), 10*time.Minute))) // which is in its range
}

// quantile returns what that share took at most; 0 of nothing.
func (d *distribution) quantile(share float64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.h.ValueAtPercentile(100 * share))
}

func (d *distribution) count() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.h.TotalCount()
}

// shares are those of a series: ever closer to the slowest.
var shares = [...]float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1}

func (d *distribution) series(name string) Series {
	s := Series{Name: name}
	for _, share := range shares {
		// Beyond the count there is only the slowest, once more.
		if share == 1 || (1-share)*float64(d.count()) >= 1 {
			s.Points = append(s.Points, Point{share, d.quantile(share)})
		}
	}
	return s
}

// Timers may be a millisecond late, which is many times what a task takes. So a load
// ceases to sleep when a task is due in less than yielding, unless there is one for each
// heavy: then they come in bursts, as looking at the clock all the time would take the
// CPUs from a host that has much to do.
const (
	yielding = 2 * time.Millisecond
	heavy    = 100 * time.Microsecond
)

// offer begins do, at a rate in 1/s, for so long, each time with when that was due: at
// random moments, as independent users come. It returns once the last was begun, or ctx is done,
// also if it cannot keep up. do must not wait.
func offer(ctx context.Context, rate float64, lasts time.Duration, do func(due time.Time)) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a load, the same each time
	bursts := rate*heavy.Seconds() > 1
	start := time.Now()
	for next := time.Duration(0); next < lasts; {
		left := next - time.Since(start)
		switch {
		case left <= 0:
			do(start.Add(next))
			next += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		case bursts:
			if wait.For(ctx, max(left, time.Millisecond)) != nil {
				return
			}
		case left > yielding:
			if wait.For(ctx, left-yielding) != nil {
				return
			}
		default:
			runtime.Gosched()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// load is what was offered to a host, and what became of it.
type load struct {
	offered, done, refused, failed atomic.Int64
	// latency is from when a task was due to its end, host from when it was submitted.
	latency, host *distribution
	// late is from when a task was due to when it was submitted, if it was done.
	late   *distribution
	queue  *pace // of as many tasks as a queue has room for
	lasted time.Duration

	mu    sync.Mutex
	first error // of those that failed
}

func newLoad() *load {
	return &load{latency: newDistribution(), host: newDistribution(), late: newDistribution(), queue: newPace(host.DefaultQueueCapacity)}
}

// add adds what became of another load, which has ended.
func (l *load) add(other *load) {
	for _, c := range [...][2]*atomic.Int64{{&l.offered, &other.offered}, {&l.done, &other.done}, {&l.refused, &other.refused}, {&l.failed, &other.failed}} {
		c[0].Add(c[1].Load())
	}
	for _, d := range [...][2]*distribution{{l.latency, other.latency}, {l.host, other.host}, {l.late, other.late}, {l.queue.took, other.queue.took}} {
		d[0].h.Merge(d[1].h)
	}
	l.lasted += other.lasted
}

// pace is how long a number of tasks take, from the end of one before them to that of the
// last. It may be used concurrently.
type pace struct {
	mu   sync.Mutex // guards ends and n
	ends []time.Time
	n    int
	took *distribution
}

func newPace(tasks int) *pace { return &pace{ends: make([]time.Time, tasks), took: newDistribution()} }

func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, at := time.Now(), p.n%len(p.ends)
	if p.n >= len(p.ends) {
		p.took.observe(now.Sub(p.ends[at]))
	}
	p.ends[at] = now
	p.n++
}

// work is what a task is to do.
type work struct {
	transform string
	input     []byte
}

// cheap is the task of most loads.
func cheap() (work, error) {
	state := cascade.State{
		AwarenessLevel: 0.83, CoherenceScore: 0.71, PhiValue: 1.618, EmotionalResonance: 0.64, CreativeEmergence: 0.52,
	}
	input, err := state.AppendBinary(nil)
	return work{"cascade", input}, err
}

// dear is a task that takes many times as long as a cheap one.
func dear() (work, error) {
	input, err := chunk(network.DefaultChunkNodes).AppendBinary(nil)
	return work{"tick.node", input}, err
}

// Transforms are those that a host must have.
var Transforms = [...]string{"cascade", "tick.node", "tick.network", "tick.connection"}

// run offers tasks on behalf of a client for so long, waits for them, and returns what
// became of them.
func run(ctx context.Context, c *host.Client, w work, rate float64, lasts time.Duration) (*load, error) {
	l := newLoad()
	err := l.run(ctx, ctx, c, w, rate, lasts, func() {})
	return l, err
}

// flood is a load that lasts until it is ended.
type flood struct {
	*load

	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

// newFlood begins to offer tasks, and returns once there are as many as a queue has room
// for. The caller ends it.
func newFlood(ctx context.Context, c *host.Client, w work, rate float64) *flood {
	offering, stop := context.WithCancel(ctx)
	f := &flood{load: newLoad(), stop: stop, ended: make(chan struct{})}
	full := make(chan struct{})
	go func() {
		defer close(f.ended)
		f.err = f.load.run(ctx, offering, c, w, rate, math.MaxInt64, func() { close(full) })
	}()
	select {
	case <-full:
	case <-f.ended: // it was interrupted
	}
	return f
}

// end ends the flood, and its tasks that have not ended yet, which then count for nothing.
func (f *flood) end() error {
	f.stop()
	<-f.ended
	return f.err
}

// run offers tasks as long as offering is not done. It calls full once it has offered as
// many as a queue has room for.
func (l *load) run(ctx, offering context.Context, c *host.Client, w work, rate float64, lasts time.Duration, full func()) error {
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	start := time.Now()
	var all sync.WaitGroup
	offer(offering, rate, lasts, func(due time.Time) {
		if l.offered.Add(1) == host.DefaultQueueCapacity {
			full()
		}
		// A server would use its buffers again, too.
		buffer := buffers.Get().(*[]byte)
		sent := time.Now()
		p := c.SubmitAppend(offering, w.transform, (*buffer)[:0], w.input)
		end := func() {
			out, err := p.Wait()
			l.end(err, due, sent)
			if out != nil {
				*buffer = out
			}
			buffers.Put(buffer)
		}
		select {
		case <-p.Done(): // refused, most likely
			end()
		default:
			all.Go(end)
		}
	})
	l.lasted = time.Since(start) // what is in the queue by now was offered before
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.first
}

// closed has so many users of a client who do one task after the other for so long, and
// returns what became of the tasks.
func closed(ctx context.Context, c *host.Client, w work, users int, lasts time.Duration) (*load, error) {
	l := newLoad()
	start := time.Now()
	var all sync.WaitGroup
	for range users {
		all.Go(func() {
			var out []byte
			for sent := time.Now(); sent.Sub(start) < lasts && ctx.Err() == nil; sent = time.Now() {
				l.offered.Add(1)
				var err error
				out, err = c.RunAppend(ctx, w.transform, out[:0], w.input)
				l.end(err, sent, sent)
			}
		})
	}
	all.Wait()
	l.lasted = time.Since(start)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return l, l.first
}

// end counts a task that has ended.
func (l *load) end(err error, due, sent time.Time) {
	switch {
	case err == nil:
		now := time.Now()
		l.done.Add(1)
		l.latency.observe(now.Sub(due))
		l.host.observe(now.Sub(sent))
		l.late.observe(sent.Sub(due))
		l.queue.end()
	case errors.Is(err, host.ErrQueueFull):
		l.refused.Add(1)
	case errors.Is(err, context.Canceled): // as the load was ended
		l.offered.Add(-1)
	default:
		l.failed.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.first == nil {
			l.first = err
		}
	}
}

// throughput is how many tasks the load had done a second.
func (l *load) throughput() float64 { return float64(l.done.Load()) / l.lasted.Seconds() }

// capacity is how many tasks a second a host does when there is always one to do.
func capacity(ctx context.Context, c *host.Client, w work, workers int, lasts time.Duration) (float64, error) {
	l, err := closed(ctx, c, w, 4*workers, lasts)
	if err != nil {
		return 0, err
	}
	return l.throughput(), nil
}

// median is the middle one of figures, of which there is at least one.
func median(figures []float64) float64 {
	list := slices.Sorted(slices.Values(figures))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

func (t *Bench) tellf(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(format, args...)
	}
}

// with opens a host for the time of f.
func (t *Bench) with(ctx context.Context, change func(*host.Config), f func(*host.Host) error) error {
	h, err := t.Open(ctx, change)
	if err != nil {
		return err
	}
	return errors.Join(f(h), h.Close(context.WithoutCancel(ctx)))
}
