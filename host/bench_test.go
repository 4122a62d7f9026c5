package host_test

import (
	"context"
	"testing"

	"github.com/resonhost/resonhost/host"
)

// BenchmarkRun is the cost of a task beside the transform's own.
func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name      string
		interrupt host.Interrupt
	}{{"runtime", host.InterruptRuntime}, {"off", host.InterruptOff}} {
		b.Run(c.name, func(b *testing.B) {
			h := hostile(b, func(cfg *host.Config) { cfg.Defaults.Interrupt = c.interrupt })
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
