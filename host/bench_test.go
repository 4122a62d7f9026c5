package host_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
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

// TestAllocations has a task allocate nothing but what is the caller's, and a goroutine for
// Submit.
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
				{"Submit", 4, func() ([]byte, error) { return h.Submit(context.Background(), "hostile.echo", input).Wait() }},
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

// TestBatchAllocations has a batch of one frame allocate nothing where memory is used again.
func TestBatchAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself")
		return
	}
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.Isolation = host.IsolationFrame })
	c := h.Client("", host.PriorityNormal)
	inputs := slices.Repeat([][]byte{make([]byte, 64)}, 64)
	results := c.RunBatch(t.Context(), "hostile.echo", inputs)
	if n := testing.AllocsPerRun(200, func() {
		results = c.RunBatchInto(t.Context(), "hostile.echo", results, inputs)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkQueued is the cost of a task where callers of Run or Submit wait for one worker,
// and, where there are rows, what it is without.
func BenchmarkQueued(b *testing.B) {
	run := func(h *host.Host, input []byte) error {
		_, err := h.Run(context.Background(), "hostile.echo", input)
		return err
	}
	submit := func(h *host.Host, input []byte) error {
		_, err := h.Submit(context.Background(), "hostile.echo", input).Wait()
		return err
	}
	for _, c := range []struct {
		name string
		do   func(*host.Host, []byte) error
		host.PluginConfig
	}{
		{"Run,pristine", run, host.PluginConfig{}},
		{"Run,shared", run, host.PluginConfig{Isolation: host.IsolationShared}},
		{"Run,shared,one", run, host.PluginConfig{Isolation: host.IsolationShared, BatchTarget: -1}},
		{"Submit,pristine", submit, host.PluginConfig{}},
		{"Submit,pristine,one", submit, host.PluginConfig{BatchTarget: -1}},
		{"Submit,shared", submit, host.PluginConfig{Isolation: host.IsolationShared}},
		{"Submit,shared,one", submit, host.PluginConfig{Isolation: host.IsolationShared, BatchTarget: -1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) { cfg.Workers, cfg.Defaults = 1, c.PluginConfig })
			input := make([]byte, 64)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.do(h, input); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkBatch is the cost of a task in frames of 64, into new memory and into the
// results of the batch before.
func BenchmarkBatch(b *testing.B) {
	for name, into := range map[string]bool{"RunBatch": false, "RunBatchInto": true} {
		b.Run(name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) { cfg.Defaults.Isolation = host.IsolationFrame })
			c := h.Client("", host.PriorityNormal)
			inputs := slices.Repeat([][]byte{make([]byte, 64)}, 64)
			var results []host.Result
			b.ReportAllocs()
			for b.Loop() {
				if !into {
					results = nil
				}
				results = c.RunBatchInto(context.Background(), "hostile.echo", results, inputs)
				for i := range results {
					if err := results[i].Err; err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/task")
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
	h := hosted.Start(tb, host.Config{
		Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(tb, guesttest.Version{Tag: "v1", Mode: 's'})}},
		Workers: 1, QueueCapacity: 1, QueuePolicy: host.QueueReject, Defaults: host.PluginConfig{RunTimeout: time.Hour},
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

// BenchmarkAgain is the cost of a task where more callers than the queue has room for try
// again at once when they are refused.
func BenchmarkAgain(b *testing.B) {
	h := hostile(b, func(cfg *host.Config) { cfg.Workers, cfg.QueueCapacity, cfg.QueuePolicy = 2, 64, host.QueueReject })
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := h.Run(context.Background(), "hostile.echo", nil)
			for errors.Is(err, host.ErrQueueFull) {
				_, err = h.Run(context.Background(), "hostile.echo", nil)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
