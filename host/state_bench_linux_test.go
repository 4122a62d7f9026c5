package host_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// manyStreams is how many streams the benchmarks of states have.
const manyStreams = 100_000

// paced has tasks in all streams of the guest count, each of which changes its state, so many a second or as many as can be if that is 0,
// for a while. It returns how many there were, and their latencies from when they were due.
func paced(b *testing.B, h *host.Host, perSecond int, lasts time.Duration) (tasks int, latencies []time.Duration) {
	b.Helper()
	const callers = 16
	began := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range callers {
		a := newAlarm(b)
		wg.Go(func() {
			var mine []time.Duration
			due := began
			for i := c; time.Since(began) < lasts; i = (i + callers) % manyStreams {
				if perSecond > 0 {
					if due = due.Add(callers * time.Second / time.Duration(perSecond)); time.Until(due) > time.Millisecond {
						if err := a.sleep(time.Until(due)); err != nil {
							b.Error(err)
							return
						}
					}
				} else {
					due = time.Now()
				}
				if _, err := h.Stream(strconv.Itoa(i)).Run(context.Background(), "count", nil); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(due))
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, mine...)
		})
	}
	wg.Wait()
	slices.Sort(latencies)
	return len(latencies), latencies
}

// alarm sleeps as who waits for a connection does. Timers of Go's runtime come up to 14 ms late while idle
// processors mark for its collector: they ask for other work, and for what the network has, but not for timers.
type alarm struct {
	fd   int
	file *os.File
}

func newAlarm(b *testing.B) alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "timer")
	b.Cleanup(func() { _ = f.Close() })
	return alarm{fd, f}
}

func (a alarm) sleep(d time.Duration) error {
	err := unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
	if err == nil {
		_, err = a.file.Read(make([]byte, 8))
	}
	return err
}

// BenchmarkState is what a store costs 100,000 streams that change: throughput and the 99th percentile,
// by turns of a host with a store of bbolt and of one without. A turn is as long as the default interval, and
// after a fourth of it the host saves what has changed since the same moment of its turn before: all streams, at 20,000
// tasks a second. There are as many turns as -benchtime 15x says. The metrics are medians of ratios of
// neighbours, with the quarter of them below and above.
func BenchmarkState(b *testing.B) {
	const turn = 10 * time.Second
	for name, rate := range map[string]int{"20000 a second": 20_000, "as many as can be": 0} {
		b.Run(name, func(b *testing.B) {
			store, err := bolt.Open(b.Context(), b.TempDir(), bolt.Options{})
			if err != nil {
				b.Fatal(err)
			}
			cfg := host.Config{
				Plugins: []host.Source{{Name: "count", WASM: guesttest.Build(b, "./testdata/guests/count")}}, Workers: 2, MaxStreams: 2 * manyStreams,
			}
			without := hosted.Start(b, cfg)
			cfg.State, cfg.StateInterval = store, time.Hour
			with := hosted.Start(b, cfg)
			for _, h := range []*host.Host{with, without} { // all streams have a state from the beginning
				paced(b, h, 0, 2*time.Second)
			}
			var throughputs, p99s []float64
			for b.Loop() {
				saved := with.Stats().State.Saved
				time.AfterFunc(turn/4, with.SaveStateSoon)
				tasks, latencies := paced(b, with, rate, turn)
				if with.Stats().State.Saved == saved {
					b.Fatal("nothing was saved")
				}
				others, otherLatencies := paced(b, without, rate, turn)
				throughputs = append(throughputs, float64(tasks)/float64(others))
				p99s = append(p99s, float64(latencies[tasks*99/100])/float64(otherLatencies[others*99/100]))
				b.Logf("tasks %d and %d, 99th percentile %v and %v, saved %d in %v", tasks, others,
					latencies[tasks*99/100], otherLatencies[others*99/100], with.Stats().State.Saved, with.Stats().State.LastTook)
			}
			for name, of := range map[string][]float64{"x-throughput": throughputs, "x-p99": p99s} {
				slices.Sort(of)
				b.ReportMetric(of[len(of)/2], name)
				b.ReportMetric(of[len(of)/4], name+"-low")
				b.ReportMetric(of[len(of)*3/4], name+"-high")
			}
		})
	}
}

// BenchmarkStateStart is the start of a host with 100,000 streams in a store of bbolt, without the opening
// of the store.
func BenchmarkStateStart(b *testing.B) {
	store, err := bolt.Open(b.Context(), b.TempDir(), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var changes []state.Change
	for i := range manyStreams {
		changes = append(changes, state.Change{Record: state.Record{
			Key:  state.Key{Kind: state.KindStream, Transform: "chain", Name: strconv.Itoa(i)},
			Data: make([]byte, 16), Changed: time.Now(),
		}})
	}
	if err := store.Save(b.Context(), changes); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{chained()}, State: store, MaxStreams: manyStreams})
		if err == nil {
			err = h.Start(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		if n := h.Stats().Streams; n != manyStreams {
			b.Fatalf("%d streams, want %d", n, manyStreams)
		}
		b.StopTimer()
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
