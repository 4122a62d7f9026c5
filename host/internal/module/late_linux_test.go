package module_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

// gap is a context that measures how much time of its thread's processor passes between two
// looks at it, which other work of the machine does not change.
type gap struct {
	context.Context //nolint:containedctx // it is one

	last, longest time.Duration
}

func (g *gap) Err() error {
	now := threadTime()
	g.longest = max(g.longest, now-g.last)
	g.last = now
	return nil
}

// threadTime is how much processor time the thread has had.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkLate tells how late a guest ends that has 20 ms, from its deadline to when its
// instance is freed, by what it does; how much processor time passes at most between two
// looks at the deadline; and how much it takes to free the instance.
func BenchmarkLate(b *testing.B) {
	m, err := module.Load(b.Context(), read(b, "late"), lateOptions())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close(context.Background()) })
	for i, spec := range m.Info().Manifest.Transforms {
		b.Run(strings.TrimPrefix(spec.Name, "late."), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var late, apart, freeing []time.Duration
			for b.Loop() {
				in, err := m.Instantiate(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				const timeout = 20 * time.Millisecond
				var results [1]abi.Result
				g := &gap{Context: b.Context(), last: threadTime()}
				began := time.Now()
				_, err = in.Run(g, &module.Call{
					Transform: i, Items: []abi.Item{{Payload: []byte{0}}}, Results: results[:],
					Limits: module.Limits{Timeout: timeout, Began: began},
				})
				_ = g.Err()
				if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.Timeout {
					b.Fatal(err)
				}
				ended := threadTime()
				if err := in.Close(); err != nil {
					b.Fatal(err)
				}
				late = append(late, time.Since(began)-timeout)
				freeing = append(freeing, threadTime()-ended)
				apart = append(apart, g.longest)
			}
			report := func(name string, all []time.Duration) {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-median-ms")
				b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, name+"-max-ms")
			}
			b.ReportMetric(0, "ns/op")
			report("late", late)
			report("cpu-apart", apart)
			report("cpu-freeing", freeing)
		})
	}
}
