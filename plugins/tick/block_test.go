package tick_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/resonhost/resonhost/abi/tick"
	plugin "github.com/resonhost/resonhost/plugins/tick"
)

// TestBlocks advances nodes many at a time, and one by one.
func TestBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// Near 0 and on both sides of it, where a sine's argument becomes large, and at
	// today's milliseconds, where it is.
	for _, now := range []float64{0, 10, -10, 12345.678, -98765, 1e6, 5.3687e5, 1.7e12, 8.64e15} {
		for _, n := range []int{64, 200, 640} {
			a := &tick.Nodes{NowMS: now, Offset: []uint32{0}, Pattern: make([]float64, 9)}
			for range n {
				a.Frequency = append(a.Frequency, math.Exp(random.Float64()*18.8-5))
				a.Strength = append(a.Strength, random.Float64())
				a.Stopped = append(a.Stopped, random.IntN(4) == 0)
				for range random.IntN(4) * random.IntN(2) {
					a.Attached = append(a.Attached, random.Uint32N(9))
				}
				a.Offset = append(a.Offset, uint32(len(a.Attached)))
			}
			for i := range a.Pattern {
				a.Pattern[i] = random.Float64() / 2
			}
			a.Frequency[0] = tick.MaxFrequency
			if err := a.Validate(); err != nil {
				t.Fatal(err)
			}
			var all tick.NodesResult
			plugin.AdvanceNodes(a, &all)
			pattern := a.Pattern
			for i := range n {
				attached := a.Attached[a.Offset[i]:a.Offset[i+1]]
				one := &tick.Nodes{
					NowMS: now, Frequency: a.Frequency[i : i+1], Strength: a.Strength[i : i+1], Stopped: a.Stopped[i : i+1],
					Pattern: pattern, Offset: []uint32{0, uint32(len(attached))}, Attached: attached,
				}
				var res tick.NodesResult
				plugin.AdvanceNodes(one, &res)
				if !same(res.Strength[0], all.Strength[i]) || res.Progressed(0) != all.Progressed(i) {
					t.Fatalf("at %v, node %d of %d: %v in a block, %v alone", now, i, n, all.Strength[i], res.Strength[0])
				}
				pattern = res.Pattern
			}
			for i := range pattern {
				if !same(pattern[i], all.Pattern[i]) {
					t.Fatalf("at %v, pattern %d of %d nodes: %v in blocks, %v one by one", now, i, n, all.Pattern[i], pattern[i])
				}
			}
		}
	}
}

// same is to the last bit where no multiplication is fused with an addition.
func same(a, b float64) bool { return a == b || runtime.GOARCH != "amd64" && math.Abs(a-b) < 1e-12 }

// TestSine holds the sine of a block to package math's: a pattern at 0 becomes the step.
func TestSine(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	a := &tick.Nodes{
		Frequency: make([]float64, 64), Strength: make([]float64, 64), Stopped: make([]bool, 64),
		Pattern: make([]float64, 64), Offset: make([]uint32, 65), Attached: make([]uint32, 64),
	}
	var res tick.NodesResult
	worst := 0.0
	for range 20_000 {
		a.NowMS = (random.Float64()*2 - 1) * math.Exp(random.Float64()*25)
		for i := range 64 {
			a.Frequency[i], a.Attached[i], a.Offset[i+1] = math.Exp(random.Float64()*13), uint32(i), uint32(i+1)
		}
		plugin.AdvanceNodes(a, &res)
		for i, f := range a.Frequency {
			want := 0.001 * (0.5*math.Sin(a.NowMS/1000*f/100) + 0.5)
			worst = max(worst, math.Abs(res.Pattern[i]-want))
		}
	}
	limit := 0.0
	if runtime.GOARCH != "amd64" {
		limit = 1e-15
	}
	if worst > limit {
		t.Errorf("a step differs by %g", worst)
	}
}
