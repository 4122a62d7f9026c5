// Package trial puts a host under load, and measures how it bears it. The load is an
// open one: tasks come when they are due, however long those before them take, and
// latencies count from when they were due, so that none is left out for being late.
package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/resonhost/resonhost/abi/cascade"
	"github.com/resonhost/resonhost/host"
)

// Trial is what all trials are told.
type Trial struct {
	// Open returns a host that is started, which the trial closes; change says how it
	// differs from what the user has set.
	Open func(ctx context.Context, change func(*host.Config)) (*host.Host, error)
	// Duration is how long the longest part lasts.
	Duration time.Duration
	// Progress is told what goes on, in a few words; nil tells nobody.
	Progress func(format string, args ...any)
}

// Report is what a trial has found.
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
}

// Finding is one figure beside what it should be.
type Finding struct {
	What string `json:"what"`
	Got  string `json:"got"`
	Aim  string `json:"aim"`
	Met  bool   `json:"met"`
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
	r.Findings = append(r.Findings, Finding{what, got, aim, met})
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d >= time.Microsecond:
		return d.Round(10 * time.Nanosecond).String()
	}
	return d.String()
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

// offer begins do, at a rate in 1/s, for so long, each time with when that was due: at
// random moments, as independent users come. It returns once the last was begun. do
// must not wait.
func offer(ctx context.Context, rate float64, lasts time.Duration, do func(due time.Time)) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a load, the same each time
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	next := time.Duration(0)
	for next < lasts {
		for now := time.Since(start); next <= now && next < lasts; {
			do(start.Add(next))
			next += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		}
		timer.Reset(max(time.Since(start.Add(next))*-1, time.Millisecond)) // a timer each costs more than the tasks
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// load is what was offered to a host, and what became of it.
type load struct {
	offered, done, refused, failed atomic.Int64
	latency                        *distribution
	lasted                         time.Duration

	mu    sync.Mutex
	first error // of those that failed
}

// input is the task of all loads.
func input() ([]byte, error) {
	state := cascade.State{
		AwarenessLevel: 0.83, CoherenceScore: 0.71, PhiValue: 1.618, EmotionalResonance: 0.64, CreativeEmergence: 0.52,
	}
	return state.AppendBinary(nil)
}

const transform = "cascade"

// Transforms are those that a host must have.
var Transforms = [...]string{transform, "tick.node", "tick.network", "tick.connection"}

// run offers cascades on behalf of a client for so long, waits for them, and returns
// what became of them.
func run(ctx context.Context, c *host.Client, rate float64, lasts time.Duration) (*load, error) {
	task, err := input()
	if err != nil {
		return nil, err
	}
	l := &load{latency: newDistribution()}
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	start := time.Now()
	var all sync.WaitGroup
	offer(ctx, rate, lasts, func(due time.Time) {
		l.offered.Add(1)
		// A server would use its buffers again, too.
		buffer := buffers.Get().(*[]byte)
		p := c.SubmitAppend(ctx, transform, (*buffer)[:0], task)
		end := func() {
			if out := l.end(p, due); out != nil {
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
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return l, l.first
}

// end counts a task once it has ended, and returns its output.
func (l *load) end(p *host.Pending, due time.Time) []byte {
	out, err := p.Wait()
	switch {
	case err == nil:
		l.done.Add(1)
		l.latency.observe(time.Since(due))
	case errors.Is(err, host.ErrQueueFull):
		l.refused.Add(1)
	default:
		l.failed.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.first == nil {
			l.first = err
		}
	}
	return out
}

// throughput is how many tasks the load had done a second.
func (l *load) throughput() float64 { return float64(l.done.Load()) / l.lasted.Seconds() }

// capacity is how many cascades a second a host does when there is always one to do.
func capacity(ctx context.Context, c *host.Client, workers int, lasts time.Duration) (float64, error) {
	task, err := input()
	if err != nil {
		return 0, err
	}
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, 4*workers)
	start := time.Now()
	for i := range errs {
		all.Go(func() {
			var out []byte
			for time.Since(start) < lasts && errs[i] == nil {
				if out, errs[i] = c.RunAppend(ctx, transform, out[:0], task); errs[i] == nil {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err // those of the others are hardly different
		}
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

func (t *Trial) tellf(format string, args ...any) {
	if t.Progress != nil {
		t.Progress(format, args...)
	}
}

// with opens a host for the time of f.
func (t *Trial) with(ctx context.Context, change func(*host.Config), f func(*host.Host) error) error {
	h, err := t.Open(ctx, change)
	if err != nil {
		return err
	}
	return errors.Join(f(h), h.Close(context.WithoutCancel(ctx)))
}
