package host_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// traces are those of tasks whose context has a name, by that.
type traces struct {
	mu  sync.Mutex
	all map[string][]host.TaskTrace
}

type nameKey struct{}

func named(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, nameKey{}, name)
}

func newTraces() *traces { return &traces{all: make(map[string][]host.TaskTrace)} }

func (r *traces) follow(ctx context.Context) (context.Context, func(host.TaskTrace)) {
	name, ok := ctx.Value(nameKey{}).(string)
	if !ok {
		return ctx, nil
	}
	return ctx, func(t host.TaskTrace) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all[name] = append(r.all[name], t)
	}
}

// of returns the traces of a name.
func (r *traces) of(name string) []host.TaskTrace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all[name])
}

// one returns the only trace of a name, and checks that its times are in order.
func (r *traces) one(t *testing.T, name string) host.TaskTrace {
	t.Helper()
	all := r.of(name)
	if len(all) != 1 {
		t.Fatalf("%s was told %d times, want once", name, len(all))
	}
	got, last := all[0], all[0].Submitted
	for _, p := range got.Phases {
		if p.Began.Before(last.Add(-time.Microsecond)) || p.Ended.Before(p.Began) {
			t.Errorf("%s: a phase is out of order: %+v", name, got)
		}
		last = p.Began // tasks of a frame are taken over in turn while its first waits no more
	}
	if got.Ended.Before(got.Submitted) || time.Since(got.Submitted.Round(0)).Abs() > time.Hour {
		t.Errorf("%s: the times are not those of the wall clock: %+v", name, got)
	}
	return got
}

func phases(of host.TaskTrace) (names []host.Phase) {
	for _, p := range of.Phases {
		names = append(names, p.Phase)
	}
	return names
}

// TestTrace has each way to run a task be followed, and counts as the statistics do.
func TestTrace(t *testing.T) {
	reset := []host.Phase{host.PhaseQueue, host.PhaseRun, host.PhaseReset}
	for name, c := range map[string]struct {
		isolation host.Isolation
		want      []host.Phase
	}{
		"pristine": {host.IsolationPristine, reset}, "fresh": {host.IsolationFresh, reset},
		"frame": {host.IsolationFrame, reset}, "shared": {host.IsolationShared, reset[:2]},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTraces()
			h := hostile(t, func(cfg *host.Config) { cfg.Trace, cfg.Defaults.Isolation = r.follow, c.isolation })
			client := h.Client("acme", host.PriorityNormal)
			for name, run := range map[string]func(ctx context.Context) error{
				"run": func(ctx context.Context) error { _, err := client.Run(ctx, "hostile.echo", []byte("x")); return err },
				"submit": func(ctx context.Context) error {
					_, err := client.Submit(ctx, "hostile.echo", []byte("x")).Wait()
					return err
				},
				"batch": func(ctx context.Context) error {
					return client.RunBatch(ctx, "hostile.echo", [][]byte{[]byte("x")})[0].Err
				},
			} {
				before := transformStats(t, h, "hostile.echo")
				if err := errors.Join(run(named(t.Context(), name)), run(t.Context())); err != nil {
					t.Fatal(err)
				}
				got, s := r.one(t, name), transformStats(t, h, "hostile.echo")
				if !slices.Equal(phases(got), c.want) {
					t.Errorf("%s: phases %v, want %v", name, phases(got), c.want)
				}
				p := got.Phases[1]
				if got.Transform != "hostile.echo" || got.Tenant != "acme" || got.Tasks != 1 || got.Err != nil ||
					p.Plugin != "hostile" || p.Version == "" || len(p.Hash) != 64 || p.Tasks != 1 || p.Kind != "" ||
					got.Fuel == 0 || p.Fuel != got.Fuel || got.Fuel != (s.Fuel-before.Fuel)/2 {
					t.Errorf("%s: %+v; the host counts %d of fuel", name, got, s.Fuel-before.Fuel)
				}
				if got.Latency <= 0 || got.Latency > s.Latency.Sum-before.Latency.Sum || p.Ended.Sub(p.Began) > s.Run.Sum-before.Run.Sum {
					t.Errorf("%s: %+v takes longer than the host counts", name, got)
				}
			}
		})
	}
}

// TestTraceCountsAsStats has one task whose times are those that are counted.
func TestTraceCountsAsStats(t *testing.T) {
	r := newTraces()
	h := hostile(t, func(cfg *host.Config) { cfg.Trace = r.follow })
	if _, err := h.Run(named(t.Context(), "one"), "hostile.echo", nil); err != nil {
		t.Fatal(err)
	}
	got, s := r.one(t, "one"), transformStats(t, h, "hostile.echo")
	queue, run := got.Phases[0], got.Phases[1]
	if got.Latency != s.Latency.Sum || queue.Ended.Sub(queue.Began) != s.Wait.Sum || run.Ended.Sub(run.Began) != s.Run.Sum {
		t.Errorf("trace %+v, stats %+v", got, s)
	}
}

// TestTraceOfFailures has tasks that fail in each of their phases.
func TestTraceOfFailures(t *testing.T) {
	r := newTraces()
	h := hostile(t, func(cfg *host.Config) { cfg.Trace, cfg.Workers = r.follow, 1 })
	_, err := h.Run(named(t.Context(), "unknown"), "hostile.unheard", nil)
	if got := r.one(t, "unknown"); len(got.Phases) > 0 || got.Err != err || got.Latency != 0 { //nolint:errorlint // the same
		t.Errorf("%+v, want the error %v alone", got, err)
	}
	_, err = h.Run(named(t.Context(), "trap"), "hostile.trap", []byte("!"))
	if got := r.one(t, "trap"); len(got.Phases) != 3 || got.Phases[1].Kind != host.KindTrap || got.Err != err || got.Failed != 1 { //nolint:errorlint // the same
		t.Errorf("%+v, want a run that traps", got)
	}
	_, err = h.Run(named(t.Context(), "failed"), "hostile.badutf8", []byte("!"))
	if got := r.one(t, "failed"); host.KindOf(err) != host.KindFailed || got.Phases[1].Kind != "" || got.Err != err { //nolint:errorlint // the same
		t.Errorf("%+v, want a run that went well, of a task that failed", got)
	}
	spinning, stop := context.WithCancel(t.Context())
	spin := h.Submit(named(spinning, "spin"), "hostile.spin", []byte("!"))
	waiting, leave := context.WithCancel(t.Context())
	left := h.Submit(named(waiting, "left"), "hostile.echo", nil)
	leave()
	_, _ = left.Wait()
	if got := r.one(t, "left"); !slices.Equal(phases(got), []host.Phase{host.PhaseQueue}) || host.KindOf(got.Err) != host.KindCancelled {
		t.Errorf("%+v, want a task that only waited", got)
	}
	stop()
	_, _ = spin.Wait()
	if got := r.one(t, "spin"); got.Phases[1].Kind != host.KindCancelled {
		t.Errorf("%+v, want a run that was cancelled", got)
	}
}

// TestTraceOfFrames has tasks with a crossing in common, of which some are followed, and one fails it.
func TestTraceOfFrames(t *testing.T) {
	for _, isolation := range []host.Isolation{host.IsolationFrame, host.IsolationShared} {
		r := newTraces()
		h := hostile(t, func(cfg *host.Config) {
			cfg.Trace, cfg.Workers, cfg.Defaults.Isolation, cfg.Defaults.BatchTarget = r.follow, 1, isolation, time.Hour
		})
		inputs := slices.Repeat([][]byte{[]byte("x")}, 10)
		inputs[3] = []byte("!")
		h.RunBatch(named(t.Context(), "batch"), "hostile.trap", inputs)
		got := r.one(t, "batch")
		runs := 0
		for _, p := range got.Phases {
			if p.Phase == host.PhaseRun {
				runs++
			}
		}
		if got.Tasks != 10 || got.Failed != 1 || host.KindOf(got.Err) != host.KindTrap || runs != 11 ||
			got.Phases[1].Tasks != 10 || got.Phases[1].Kind != host.KindTrap {
			t.Errorf("%+v, want a run of all and one of each", got)
		}
		spinning, stop := context.WithCancel(t.Context())
		spin := h.Submit(spinning, "hostile.spin", []byte("!"))
		var all []*host.Pending
		for i := range 20 {
			ctx := t.Context()
			if i%2 == 1 {
				ctx = named(ctx, fmt.Sprint(i))
			}
			all = append(all, h.Submit(ctx, "hostile.trap", inputs[i%10]))
		}
		stop()
		_, _ = spin.Wait()
		shared := 0
		for i, p := range all {
			_, _ = p.Wait()
			if i%2 == 0 {
				continue
			}
			got := r.one(t, fmt.Sprint(i))
			last := got.Phases[1]
			if got.Phases[0].Phase != host.PhaseQueue || last.Phase != host.PhaseRun || (got.Err != nil) != (i%10 == 3) {
				t.Errorf("task %d: %+v", i, got)
			}
			if last.Tasks > 1 {
				shared++
				if n := len(got.Phases); got.Phases[n-1].Tasks != 1 && got.Phases[n-2].Tasks != 1 {
					t.Errorf("task %d: %+v, want a run by itself after the one that failed", i, got)
				}
			}
		}
		if shared == 0 {
			t.Error("no task shared a crossing")
		}
	}
}

// TestTraceOfCanary has the version beside a canary do what that fails.
func TestTraceOfCanary(t *testing.T) {
	r := newTraces()
	h := swapHost(t, func(cfg *host.Config) {
		cfg.Trace, cfg.Defaults.Canary, cfg.Defaults.CanaryTime = r.follow, 1, time.Hour
	})
	deploy(t, h, version(t, guesttest.Version{Tag: "v2", Mode: 'f'}), host.DeployCanary)
	if _, err := h.Run(named(t.Context(), "one"), "swap", []byte("!")); err != nil {
		t.Fatal(err)
	}
	got := r.one(t, "one")
	if want := []host.Phase{host.PhaseQueue, host.PhaseRun, host.PhaseReset, host.PhaseRun, host.PhaseReset}; !slices.Equal(phases(got), want) {
		t.Fatalf("phases %v, want %v", phases(got), want)
	}
	if first, second := got.Phases[1], got.Phases[3]; !first.Canary || first.Version != "v2" || second.Canary || second.Version != "v1" {
		t.Errorf("%+v", got)
	}
}

// TestTraceAcrossSwaps swaps under load: each task is told once, with the version that did it.
func TestTraceAcrossSwaps(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "shared": host.IsolationShared} {
		t.Run(name, func(t *testing.T) {
			r := newTraces()
			h := swapHost(t, func(c *host.Config) {
				c.Trace, c.Defaults.Isolation, c.CacheDir = r.follow, isolation, t.TempDir()
			})
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						name := fmt.Sprint(caller, " ", i)
						run := h.Run
						if caller%2 == 1 {
							run = func(ctx context.Context, transform string, input []byte) ([]byte, error) {
								return h.Submit(ctx, transform, input).Wait()
							}
						}
						out, err := run(named(t.Context(), name), "swap", []byte("x"))
						if err != nil {
							t.Error(err)
							return
						}
						got := r.of(name)
						if len(got) != 1 {
							t.Errorf("task %s was told %d times before its answer came, want once", name, len(got))
							return
						}
						at := slices.IndexFunc(got[0].Phases, func(p host.TaskPhase) bool { return p.Phase == host.PhaseRun })
						if at < 0 || guesttest.SwapTag(got[0].Phases[at].Version) != string(out) {
							t.Errorf("%+v of a task that answers %q", got, out)
						}
						runtime.Gosched()
					}
				})
			}
			for i := range 50 {
				deploy(t, h, tagged(t, []string{"v2", "v3"}[i%2]), host.DeploySwapped)
			}
			cancel()
			callers.Wait()
		})
	}
}

// TestTraceReachesPlugin has the context that a task is given instead of its caller's reach what the
// plugin calls.
func TestTraceReachesPlugin(t *testing.T) {
	seen := make(chan any, 1)
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{extism(t, "allowed_hosts: [example.com]")}, Defaults: host.PluginConfig{Grants: []host.Grant{host.GrantNetwork}},
		Trace: func(ctx context.Context) (context.Context, func(host.TaskTrace)) {
			return named(ctx, "followed"), func(host.TaskTrace) {}
		},
		Fetch: func(ctx context.Context, _ host.FetchRequest) (host.FetchResponse, error) {
			seen <- ctx.Value(nameKey{})
			return host.FetchResponse{Status: 200}, nil
		},
	})
	if _, err := h.Run(t.Context(), "x.http", []byte(`{"url": "http://example.com"}`)); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "followed" {
		t.Errorf("the request has the context of %v, want the task's", got)
	}
}

// TestAllocationsUnfollowed has tasks that nobody follows cost what they cost without Trace.
func TestAllocationsUnfollowed(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself")
		return
	}
	h := hostile(t, func(cfg *host.Config) { cfg.Trace = newTraces().follow })
	client := h.Client("", host.PriorityNormal)
	dst := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := client.RunAppend(context.Background(), "hostile.echo", dst, dst); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
