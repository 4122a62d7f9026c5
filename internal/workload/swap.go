package workload

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/rounded"
)

// Swap measures what it costs to change a plugin while it serves: swaps times, under as
// much load as there can be; and how long it takes from the saving of a file to the first
// task of the new version, and from the start of a host to its first task, with a warm
// cache.
func (t *Bench) Swap(ctx context.Context, swaps int) (*Report, error) {
	r := newReport(fmt.Sprintf("%d swaps of cascade, at most 10 a second, while it serves with a full queue", swaps),
		"", "tasks", "tasks/s", "failed", "p50", "p95", "p99", "slowest", "a swap takes")
	dir, err := os.MkdirTemp("", "resonhost-bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is the system's to clear
	s := &swapBench{Bench: t, report: r, plugins: filepath.Join(dir, "plugins"), cache: filepath.Join(dir, "cache")}
	if err := os.Mkdir(s.plugins, 0o700); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return s.serving(ctx, swaps) },
		func(ctx context.Context) error { return s.saving(ctx, min(20, swaps), min(5, max(1, swaps/10))) },
		func(ctx context.Context) error { return s.starting(ctx, min(11, max(1, swaps/10))) },
	} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// transform is that of the plugin that is swapped.
const transform = "cascade"

type swapBench struct {
	*Bench

	report         *Report
	plugins, cache string
	cascade        []byte
}

// with opens a host of the bench's own directory, with copies of the user's plugins.
func (s *swapBench) with(ctx context.Context, change func(*host.Config), f func(*host.Host) error) error {
	var err error
	opened := s.Bench.with(ctx, func(c *host.Config) {
		if s.cascade == nil {
			err = s.copyPlugins(c.PluginDir)
		}
		c.PluginDir, c.CacheDir = s.plugins, s.cache
		if change != nil {
			change(c)
		}
	}, f)
	return errors.Join(err, opened)
}

func (s *swapBench) copyPlugins(from string) error {
	for _, name := range []string{transform + ".wasm", "tick.wasm"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if name == transform+".wasm" {
			s.cascade = b
		}
		if err := os.WriteFile(filepath.Join(s.plugins, name), b, 0o600); err != nil { //nolint:gosec // a name of the loop
			return err
		}
	}
	return nil
}

// version returns cascade with a section that nobody reads, so that it is another one.
func (s *swapBench) version(n int) []byte {
	b := append(slices.Clone(s.cascade), 0, 6, 1, 'v')
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// serving swaps two versions, which are compiled already, under load.
func (s *swapBench) serving(ctx context.Context, swaps int) error {
	return s.with(ctx, nil, func(h *host.Host) error {
		deploy := func(n int) error {
			_, err := h.Deploy(ctx, host.Source{Name: transform, WASM: s.version(n)})
			return err
		}
		l := newClosedLoad()
		if err := l.begin(ctx, h, callers); err != nil {
			return err
		}
		for n := range max(2, min(100, swaps)) { // until both are compiled, and the process is as large as it gets
			if err := deploy(n % 2); err != nil {
				l.end()
				return err
			}
		}
		l.end()
		before := measureProcess()
		l = newClosedLoad()
		quiet, swapping := newDistribution(), newDistribution()
		var took [2]time.Duration
		var swapped time.Duration
		const rounds = 10
		each := max(1, swaps/rounds)
		s.tellf("%d rounds, with and without %d swaps each", rounds, each)
		warm := completed(h)
		if err := l.begin(ctx, h, callers); err != nil {
			return err
		}
		done := 0
		for range rounds {
			l.into.Store(swapping)
			began := time.Now()
			for range each {
				done++
				due := time.Now().Add(interval)
				if err := deploy(done % 2); err != nil && ctx.Err() == nil {
					l.fail(err)
				}
				swapped += interval - time.Until(due)
				if err := sleep(ctx, time.Until(due)); err != nil {
					break
				}
			}
			lasted := time.Since(began)
			took[1] += lasted
			l.into.Store(quiet)
			began = time.Now()
			if err := sleep(ctx, lasted); err != nil {
				break
			}
			took[0] += time.Since(began)
		}
		l.end()
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		after := measureProcess()
		counted := completed(h) - warm
		r := s.report
		perSwap := swapped / time.Duration(done)
		for i, d := range []*distribution{quiet, swapping} {
			name, a := "nothing else", any("")
			if i == 1 {
				name, a = fmt.Sprintf("%d swaps", done), perSwap
			}
			r.row(name, d.count(), float64(d.count())/took[i].Seconds(), l.failed.Load(), d.quantile(0.5), d.quantile(0.95), d.quantile(0.99), d.quantile(1), a)
			r.Series = append(r.Series, d.series(name))
		}
		lost := l.begun.Load() - l.done.Load() - l.failed.Load()
		r.finding(l.failed.Load() == 0 && lost == 0 && counted == l.done.Load(), "tasks failed or lost during the swaps",
			fmt.Sprintf("%d of %d", l.failed.Load()+lost, l.begun.Load()), "0")
		if err := l.first.Load(); err != nil {
			r.finding(false, "the first failure", (*err).Error(), "none")
		}
		ratio := float64(swapping.quantile(0.99)) / float64(quiet.quantile(0.99))
		r.finding(ratio <= 2, "p99 while swapping", rounded.Beside(ratio, 2, 2)+" ×", "≤ 2 × without")
		for i, p := range after {
			grown := 100 * (float64(p.value)/float64(max(before[i].value, 1)) - 1)
			r.finding(grown <= 5, p.what+" afterwards", fmt.Sprintf("%s %% of %s", rounded.Signed(grown, 5, 1), p.format(before[i].value)), "≤ +5 %")
		}
		return nil
	})
}

// interval is between the beginnings of swaps, unless one takes longer: more often than
// anybody saves a file.
const interval = 100 * time.Millisecond

// callers is how many there are: as many as fill the queue.
const callers = host.DefaultQueueCapacity

// completed is how many cascades a host has done.
func completed(h *host.Host) int64 {
	stats := h.Stats()
	for _, p := range stats.Plugins {
		for _, t := range p.Transforms {
			if t.Name == transform {
				return int64(t.OK)
			}
		}
	}
	return 0
}

// closedLoad has a number of callers who each begin a task when their last has ended.
type closedLoad struct {
	begun, done, failed atomic.Int64
	into                atomic.Pointer[distribution]
	first               atomic.Pointer[error]
	stop                atomic.Bool
	all                 sync.WaitGroup
}

func newClosedLoad() *closedLoad {
	l := new(closedLoad)
	l.into.Store(newDistribution())
	return l
}

func (l *closedLoad) begin(ctx context.Context, h *host.Host, callers int) error {
	w, err := cheap()
	if err != nil {
		return err
	}
	client := h.Client("", host.PriorityNormal)
	for range callers {
		l.all.Go(func() {
			var out []byte
			for !l.stop.Load() {
				l.begun.Add(1)
				began := time.Now()
				var err error
				if out, err = client.RunAppend(ctx, transform, out[:0], w.input); err != nil {
					l.failed.Add(1)
					l.fail(err)
					continue
				}
				l.done.Add(1)
				l.into.Load().observe(time.Since(began))
			}
		})
	}
	return nil
}

func (l *closedLoad) fail(err error) { l.first.CompareAndSwap(nil, &err) }

func (l *closedLoad) end() {
	l.stop.Store(true)
	l.all.Wait()
}

// saving measures from the saving of a file to the first task of the new version, so many times of
// one that was compiled before, and of one that was not.
func (s *swapBench) saving(ctx context.Context, compiled, fresh int) error {
	bus := event.New(0)
	defer func() { _ = bus.Close(context.WithoutCancel(ctx)) }()
	told := make(chan event.PluginChanged, 16)
	bus.Handle(16, func(_ context.Context, e event.Event) { told <- e.Body.(event.PluginChanged) }, event.KindPluginChanged)
	w, err := cheap()
	if err != nil {
		return err
	}
	return s.with(ctx, func(c *host.Config) { c.Watch, c.Events = true, bus }, func(h *host.Host) error {
		save := func(n int) (took, compiling time.Duration, err error) {
			file := filepath.Join(s.plugins, transform+".wasm")
			temp := filepath.Join(s.plugins, ".new")
			if err := os.WriteFile(temp, s.version(n), 0o600); err != nil {
				return 0, 0, err
			}
			began := time.Now()
			if err := os.Rename(temp, file); err != nil {
				return 0, 0, err
			}
			for {
				select {
				case e := <-told:
					switch e.Change {
					case event.PluginReady:
						continue
					case event.PluginSwapped:
					default:
						return 0, 0, fmt.Errorf("the plugin is %s: %s", e.Change, e.Detail)
					}
				case <-ctx.Done():
					return 0, 0, context.Cause(ctx)
				}
				break
			}
			if _, err := h.Run(ctx, transform, w.input); err != nil {
				return 0, 0, err
			}
			took = time.Since(began)
			for _, p := range h.Plugins() {
				if p.Name == transform {
					compiling = p.Compiling
				}
			}
			return took, compiling, nil
		}
		s.tellf("saving a plugin's file, compiled before and not")
		measure := func(times, first, kinds int) (took, beyond []time.Duration, err error) {
			for i := range times {
				a, compiling, err := save(first + i%kinds)
				if err != nil {
					return nil, nil, err
				}
				took, beyond = append(took, a), append(beyond, a-compiling)
			}
			slices.Sort(took)
			slices.Sort(beyond)
			return took, beyond, nil
		}
		if _, _, err := measure(2, 0, 2); err != nil { // to be in the cache
			return err
		}
		warm, _, err := measure(compiled, 0, 2)
		if err != nil {
			return err
		}
		_, beyond, err := measure(fresh, 1000, fresh)
		if err != nil {
			return err
		}
		s.found(warm, "from saving a file that was compiled before to the first answer", 100*time.Millisecond)
		s.found(beyond, "the same of a new one, beyond compiling", 300*time.Millisecond)
		return nil
	})
}

// starting measures the start of a host with both plugins, compiled before, so many times.
func (s *swapBench) starting(ctx context.Context, times int) error {
	s.tellf("starting hosts")
	w, err := cheap()
	if err != nil {
		return err
	}
	var took []time.Duration
	for range times {
		var began time.Time
		err := s.with(ctx, func(*host.Config) { began = time.Now() }, func(h *host.Host) error {
			_, err := h.Run(ctx, transform, w.input)
			took = append(took, time.Since(began))
			return err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(took)
	s.found(took, "from the start of a host with both plugins to its first answer", 150*time.Millisecond)
	return nil
}

// found compares the median of sorted durations.
func (s *swapBench) found(took []time.Duration, what string, aim time.Duration) {
	median := took[len(took)/2]
	s.report.finding(median <= aim, what, fmt.Sprintf("%s (%s–%s, %d times)", shortBeside(median, aim), short(took[0]), short(took[len(took)-1]), len(took)), "≤ "+short(aim))
}

// figure is what a process has of something.
type figure struct {
	what  string
	value int64
	unit  int64 // bytes are told in MiB, if it is 1 << 20
}

func (f *figure) format(v int64) string {
	if f.unit > 1 {
		return fmt.Sprintf("%.1f MiB", float64(v)/float64(f.unit))
	}
	return fmt.Sprint(v)
}

// measureProcess returns what the process has once it has come to rest. Where the system
// does not tell, that is left out.
func measureProcess() []figure {
	for range 3 { // what finalizers free is returned after the next
		debug.FreeOSMemory()
	}
	figures := []figure{{"goroutines", int64(runtime.NumGoroutine()), 1}}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		figures = append(figures, figure{"file descriptors", int64(len(fds)), 1})
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return figures
	}
	var code int64
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var access, offset, device, inode string
		if n, err := fmt.Sscanf(line, "%x-%x %s %s %s %s", &from, &to, &access, &offset, &device, &inode); n == 6 && err == nil &&
			strings.HasPrefix(access, "r-x") && inode == "0" {
			code += to - from
		}
	}
	figures = append(figures, figure{"mapped code of plugins", code, 1 << 20})
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return figures
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 && err == nil {
			figures = append(figures, figure{"resident memory", kb << 10, 1 << 20})
		}
	}
	return figures
}
