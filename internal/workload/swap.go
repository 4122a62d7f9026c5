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
	"github.com/resonhost/resonhost/internal/wait"
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
		if err := s.settle(ctx, h, max(2, min(100, swaps))); err != nil {
			return err
		}
		before := measureProcess()
		warm := completed(h)
		d, err := s.during(ctx, h, max(1, swaps/swapRounds))
		if err != nil {
			return err
		}
		after := measureProcess()
		s.report.swapped(d, completed(h)-warm)
		for i, p := range after {
			grown := 100 * (float64(p.value)/float64(max(before[i].value, 1)) - 1)
			s.report.finding(grown <= 5, p.what+" afterwards", fmt.Sprintf("%s %% of %s", rounded.Signed(grown, 5, 1), p.format(before[i].value)), "≤ +5 %")
		}
		return nil
	})
}

// deploy swaps the plugin for its n-th version.
func (s *swapBench) deploy(ctx context.Context, h *host.Host, n int) error {
	_, err := h.Deploy(ctx, host.Source{Name: transform, WASM: s.version(n)})
	return err
}

// settle swaps until both versions are compiled, and the process is as large as it gets.
func (s *swapBench) settle(ctx context.Context, h *host.Host, swaps int) error {
	l := newClosedLoad()
	if err := l.begin(ctx, h, callers); err != nil {
		return err
	}
	defer l.end()
	for n := range swaps {
		if err := s.deploy(ctx, h, n%2); err != nil {
			return err
		}
	}
	return nil
}

// swapRounds is how often serving swaps for a while, and then leaves the plugin alone for as long.
const swapRounds = 10

// besideSwaps is what became of tasks while their plugin was swapped, and of others in between.
type besideSwaps struct {
	load            *closedLoad
	quiet, swapping phase
	done            int           // swaps
	took            time.Duration // by all of them
}

// phase is some of the time, and how long tasks took in it.
type phase struct {
	tasks  *distribution
	lasted time.Duration
}

// during swaps so many times in each round, under load.
func (s *swapBench) during(ctx context.Context, h *host.Host, each int) (*besideSwaps, error) {
	d := &besideSwaps{load: newClosedLoad(), quiet: phase{tasks: newDistribution()}, swapping: phase{tasks: newDistribution()}}
	s.tellf("%d rounds, with and without %d swaps each", swapRounds, each)
	if err := d.load.begin(ctx, h, callers); err != nil {
		return nil, err
	}
	for range swapRounds {
		d.load.into.Store(d.swapping.tasks)
		began := time.Now()
		for range each {
			d.done++
			due := time.Now().Add(interval)
			if err := s.deploy(ctx, h, d.done%2); err != nil && ctx.Err() == nil {
				d.load.fail(err)
			}
			d.took += interval - time.Until(due)
			if err := wait.For(ctx, time.Until(due)); err != nil {
				break
			}
		}
		lasted := time.Since(began)
		d.swapping.lasted += lasted
		d.load.into.Store(d.quiet.tasks)
		began = time.Now()
		if err := wait.For(ctx, lasted); err != nil {
			break
		}
		d.quiet.lasted += time.Since(began)
	}
	d.load.end()
	return d, context.Cause(ctx)
}

// swapped compares tasks beside swaps with those in between. The host has counted so many.
func (r *Report) swapped(d *besideSwaps, counted int64) {
	l := d.load
	row := func(name string, s *phase, took any) {
		t := s.tasks
		r.row(name, t.count(), float64(t.count())/s.lasted.Seconds(), l.failed.Load(), t.quantile(0.5), t.quantile(0.95), t.quantile(0.99), t.quantile(1), took)
		r.Series = append(r.Series, t.series(name))
	}
	row("nothing else", &d.quiet, "")
	row(fmt.Sprintf("%d swaps", d.done), &d.swapping, d.took/time.Duration(d.done))
	lost := l.begun.Load() - l.done.Load() - l.failed.Load()
	r.finding(l.failed.Load() == 0 && lost == 0 && counted == l.done.Load(), "tasks failed or lost during the swaps",
		fmt.Sprintf("%d of %d", l.failed.Load()+lost, l.begun.Load()), "0")
	if err := l.first.Load(); err != nil {
		r.finding(false, "the first failure", (*err).Error(), "none")
	}
	ratio := float64(d.swapping.tasks.quantile(0.99)) / float64(d.quiet.tasks.quantile(0.99))
	r.finding(ratio <= 2, "p99 while swapping", rounded.Beside(ratio, 2, 2)+" ×", "≤ 2 × without")
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
		d := &savedFile{swapBench: s, host: h, told: told, input: w.input}
		s.tellf("saving a plugin's file, compiled before and not")
		if _, _, err := d.saves(ctx, 2, 0, 2); err != nil { // to be in the cache
			return err
		}
		warm, _, err := d.saves(ctx, compiled, 0, 2)
		if err != nil {
			return err
		}
		_, beyond, err := d.saves(ctx, fresh, 1000, fresh)
		if err != nil {
			return err
		}
		s.found(warm, "from saving a file that was compiled before to the first answer", 100*time.Millisecond)
		s.found(beyond, "the same of a new one, beyond compiling", 300*time.Millisecond)
		return nil
	})
}

// savedFile is the plugin's file, which a host watches.
type savedFile struct {
	*swapBench

	host  *host.Host
	told  <-chan event.PluginChanged
	input []byte
}

// saves has the file saved so many times, with as many versions from the first on in turn, and returns
// what each took, and what it took beyond compiling, both sorted.
func (f *savedFile) saves(ctx context.Context, times, first, versions int) (took, beyond []time.Duration, err error) {
	for i := range times {
		a, compiling, err := f.save(ctx, first+i%versions)
		if err != nil {
			return nil, nil, err
		}
		took, beyond = append(took, a), append(beyond, a-compiling)
	}
	slices.Sort(took)
	slices.Sort(beyond)
	return took, beyond, nil
}

// save saves a version, and has a task done by it.
func (f *savedFile) save(ctx context.Context, version int) (took, compiling time.Duration, err error) {
	file, temp := filepath.Join(f.plugins, transform+".wasm"), filepath.Join(f.plugins, ".new")
	if err := os.WriteFile(temp, f.version(version), 0o600); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := os.Rename(temp, file); err != nil {
		return 0, 0, err
	}
	if err := f.swapped(ctx); err != nil {
		return 0, 0, err
	}
	if _, err := f.host.Run(ctx, transform, f.input); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	for _, p := range f.host.Plugins() {
		if p.Name == transform {
			compiling = p.Compiling
		}
	}
	return took, compiling, nil
}

// swapped waits until the host tells that the plugin was swapped.
func (f *savedFile) swapped(ctx context.Context) error {
	for {
		select {
		case e := <-f.told:
			switch e.Change {
			case event.PluginReady:
			case event.PluginSwapped:
				return nil
			default:
				return fmt.Errorf("the plugin is %s: %s", e.Change, e.Detail)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
