package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// load gives tasks to a contender.
type load struct {
	tasks []task // in turns
	run   call
	each  int // how many tasks a call is
}

// closed has callers call one task after the other for so long.
func (l *load) closed(ctx context.Context, callers int, lasts time.Duration) (*answer, error) {
	var all sync.WaitGroup
	errs := make([]error, callers)
	calls := make([]int, callers)
	start := make(chan struct{})
	var end time.Time
	for i := range callers {
		all.Go(func() {
			var out []byte
			n := 0
			<-start
			for {
				if out, errs[i] = l.run(ctx, l.tasks[(i+n)%len(l.tasks)], out[:0]); errs[i] != nil {
					break
				}
				if n++; !time.Now().Before(end) {
					break
				}
			}
			calls[i] = n
		})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	end = began.Add(lasts)
	close(start)
	all.Wait()
	a := &answer{Seconds: time.Since(began).Seconds()}
	runtime.ReadMemStats(&after)
	for i := range calls {
		if errs[i] != nil {
			return nil, errs[i]
		}
		a.Calls += calls[i] * l.each
	}
	a.Mallocs, a.Bytes = float64(after.Mallocs-before.Mallocs), float64(after.TotalAlloc-before.TotalAlloc)
	return a, nil
}

// open begins tasks at a rate in 1/s for so long, at random moments as independent users
// come, and waits for them.
func (l *load) open(ctx context.Context, rate float64, lasts time.Duration) (*answer, error) {
	latency, late := newHistogram(), newHistogram()
	var mu sync.Mutex // guards latency and first
	var first error
	var failed atomic.Bool
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	var all sync.WaitGroup
	n := 0
	start := time.Now()
	err := offer(rate, lasts, func(due time.Duration) bool {
		late.record(time.Since(start) - due)
		t := l.tasks[n%len(l.tasks)]
		n++
		all.Go(func() {
			buffer := buffers.Get().(*[]byte)
			out, err := l.run(ctx, t, (*buffer)[:0])
			took := time.Since(start) - due
			if err == nil {
				*buffer = out
			}
			buffers.Put(buffer)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
				failed.Store(true)
			}
			latency.record(took)
		})
		return !failed.Load()
	})
	all.Wait()
	if err := errors.Join(err, first); err != nil {
		return nil, err
	}
	return &answer{
		Calls: n, Seconds: time.Since(start).Seconds(),
		P50: latency.at(50), P99: latency.at(99), P999: latency.at(99.9), LateP99: late.at(99),
	}, nil
}

// Of waiting: what is due later than napping sleeps until spinning before, for an alarm
// is a little late; then it lets others run until it is due.
const (
	napping  = 150 * time.Microsecond
	spinning = 80 * time.Microsecond
)

// offer calls begin, which must not wait, with when each task is due from the beginning
// on, until begin returns false.
func offer(rate float64, lasts time.Duration, begin func(due time.Duration) bool) (err error) {
	clock, err := newAlarm()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clock.close()) }()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a load, the same each time
	start := time.Now()
	for due := time.Duration(0); due < lasts; due += time.Duration(random.ExpFloat64() / rate * float64(time.Second)) {
		for left := due - time.Since(start); left > 0; left = due - time.Since(start) {
			if left > napping {
				if err := clock.sleep(left - spinning); err != nil {
					return err
				}
				continue
			}
			runtime.Gosched()
		}
		if !begin(due) {
			return nil
		}
	}
	return nil
}

// histogram counts durations to within a thousandth, up to ten minutes.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() histogram { return histogram{hdrhistogram.New(1, int64(10*time.Minute), 3)} }

func (h histogram) record(took time.Duration) {
	_ = h.h.RecordValue(int64(min(max(took, 1), 10*time.Minute))) // which is in its range
}

func (h histogram) at(percentile float64) float64 { return float64(h.h.ValueAtPercentile(percentile)) }
