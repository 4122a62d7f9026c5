package network_test

import (
	"fmt"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/tick"
)

// chunk is the argument of a task of n nodes with a pattern each.
func chunk(n int) *tick.Nodes {
	a := &tick.Nodes{
		NowMS: 12345, Frequency: make([]float64, n), Strength: make([]float64, n), Stopped: make([]bool, n),
		Pattern: make([]float64, 7), Offset: make([]uint32, n+1), Attached: make([]uint32, n),
	}
	for i := range n {
		a.Frequency[i], a.Attached[i], a.Offset[i+1] = 100+float64(i%900), uint32(i%7), uint32(i+1)
	}
	return a
}

// BenchmarkChunk runs one task of so many nodes, natively and in sandboxes.
func BenchmarkChunk(b *testing.B) {
	source := []host.Source{{Name: "tick", WASM: guesttest.Build(b, guesttest.Tick)}}
	for _, n := range []int{1, 144, 1024, 4096} {
		a := chunk(n)
		perNode := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/node")
		}
		b.Run(fmt.Sprintf("native/%d", n), func(b *testing.B) {
			var res tick.NodesResult
			for b.Loop() {
				ticks.AdvanceNodes(a, &res)
			}
			perNode(b)
		})
		for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "shared": host.IsolationShared} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				h := hosted.Start(b, host.Config{Plugins: source, Defaults: host.PluginConfig{Isolation: isolation}})
				input, err := a.AppendBinary(nil)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := h.Run(b.Context(), "tick.node", input); err != nil {
						b.Fatal(err)
					}
				}
				perNode(b)
				if replaced := h.Stats().Plugins[0].Replaced; replaced > 0 {
					b.Errorf("%d instances were replaced: the guest grows", replaced)
				}
			})
		}
	}
}
