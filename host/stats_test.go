package host_test

import (
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
)

// TestLatencies has every task's latency take in its wait and its run, however many share
// those.
func TestLatencies(t *testing.T) {
	const tasks = 10
	alone := func(t *testing.T, h *host.Host) {
		for range tasks {
			if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	batch := func(t *testing.T, h *host.Host) {
		for _, r := range h.RunBatch(t.Context(), "hostile.echo", make([][]byte, tasks)) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	for _, c := range []struct {
		name         string
		isolation    host.Isolation
		run          func(*testing.T, *host.Host)
		waits, runs  uint64
		share, cross int // tasks that have a wait, and a run, in common
	}{
		{"shared", host.IsolationShared, alone, tasks, tasks, 1, 1},
		{"pristine", host.IsolationPristine, alone, tasks, tasks, 1, 1},
		{"shared batch", host.IsolationShared, batch, 1, 1, tasks, tasks},
		{"frame batch", host.IsolationFrame, batch, 1, 1, tasks, tasks},
		{"pristine batch", host.IsolationPristine, batch, 1, tasks, tasks, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hostile(t, func(cfg *host.Config) { cfg.Defaults.Isolation = c.isolation })
			c.run(t, h)
			for _, s := range h.Stats().Plugins[0].Transforms {
				if s.Name != "hostile.echo" {
					continue
				}
				if s.Wait.Count != c.waits || s.Run.Count != c.runs || s.Latency.Count != tasks {
					t.Errorf("%d waits, %d runs, %d latencies", s.Wait.Count, s.Run.Count, s.Latency.Count)
				}
				least := s.Wait.Sum*time.Duration(c.share) + s.Run.Sum*time.Duration(c.cross)
				if s.Run.Sum <= 0 || s.Latency.Sum < least {
					t.Errorf("latencies of %v, at least %v, of which runs %v", s.Latency.Sum, least, s.Run.Sum)
				}
			}
		})
	}
}
