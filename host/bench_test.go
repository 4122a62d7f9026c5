package host_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// BenchmarkRun is the cost of a task beside the transform's own.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name string
		host.PluginConfig
	}{
		{"pristine", host.PluginConfig{}},
		{"shared", host.PluginConfig{Isolation: host.IsolationShared}},
		{"shared,runtime", host.PluginConfig{Isolation: host.IsolationShared, Interrupt: host.InterruptRuntime}},
		{"shared,off", host.PluginConfig{Isolation: host.IsolationShared, Interrupt: host.InterruptOff}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) { cfg.Defaults = c.PluginConfig })
			input := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Run(context.Background(), "hostile.echo", input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocations has a task allocate nothing but its output, which is the caller's.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself")
		return
	}
	for name, isolation := range map[string]host.Isolation{"shared": host.IsolationShared, "pristine": host.IsolationPristine} {
		h := hostile(t, func(cfg *host.Config) { cfg.Defaults.Isolation = isolation })
		client := h.Client("", host.PriorityNormal)
		for _, size := range []int{0, 64, 64 << 10} {
			input, dst := make([]byte, size), make([]byte, 0, size)
			for _, c := range []struct {
				name string
				most float64
				run  func() ([]byte, error)
			}{
				{"Run", 1, func() ([]byte, error) { return h.Run(context.Background(), "hostile.echo", input) }},
				{"RunAppend", 0, func() ([]byte, error) {
					return client.RunAppend(context.Background(), "hostile.echo", dst, input)
				}},
			} {
				got := testing.AllocsPerRun(200, func() {
					if _, err := c.run(); err != nil {
						t.Fatal(err)
					}
				})
				if got > c.most {
					t.Errorf("%s, %s, %d bytes: %v allocations, want at most %v", name, c.name, size, got, c.most)
				}
			}
		}
	}
}

// BenchmarkRunQueued is the cost of a task where callers of Run wait for one worker:
// one at a time, and as many in a row as Submit's do.
func BenchmarkRunQueued(b *testing.B) {
	for _, c := range []struct {
		name string
		host.PluginConfig
	}{
		{"pristine", host.PluginConfig{}},
		{"pristine,one", host.PluginConfig{BatchTarget: -1}},
		{"shared", host.PluginConfig{Isolation: host.IsolationShared}},
		{"shared,one", host.PluginConfig{Isolation: host.IsolationShared, BatchTarget: -1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) { cfg.Workers, cfg.Defaults = 1, c.PluginConfig })
			input := make([]byte, 64)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := h.Run(context.Background(), "hostile.echo", input); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkRunBeside is the cost of a task where each processor has a caller and a worker.
func BenchmarkRunBeside(b *testing.B) {
	for _, c := range []struct {
		name string
		host.Isolation
	}{
		{"pristine", host.IsolationPristine},
		{"shared", host.IsolationShared},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) {
				cfg.Workers, cfg.Defaults.Isolation = runtime.GOMAXPROCS(0), c.Isolation
			})
			input := make([]byte, 64)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := h.Run(context.Background(), "hostile.echo", input); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// full returns a host whose queue for swap is full, as long as the test lasts.
func full(tb testing.TB) *host.Host {
	tb.Helper()
	h := start(tb, host.Config{
		Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(tb, guesttest.Version{Tag: "v1", Mode: 's'})}},
		Workers: 1, QueueCapacity: 1, QueuePolicy: host.Reject, Defaults: host.PluginConfig{RunTimeout: time.Hour},
	})
	ctx, cancel := context.WithCancel(context.Background())
	running := []*host.Pending{h.Submit(ctx, "swap", []byte("!")), h.Submit(ctx, "swap", []byte("!"))}
	tb.Cleanup(func() {
		cancel()
		for _, p := range running {
			<-p.Done()
		}
	})
	return h
}

// TestRefusalsAllocateNothing: under overload most tasks are refused.
func TestRefusalsAllocateNothing(t *testing.T) {
	h := full(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := h.Submit(t.Context(), "swap", nil).Wait(); !errors.Is(err, host.ErrQueueFull) {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRefused refuses tasks since the queue is full.
func BenchmarkRefused(b *testing.B) {
	h := full(b)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Submit(ctx, "swap", nil).Wait(); !errors.Is(err, host.ErrQueueFull) {
			b.Fatal(err)
		}
	}
}
