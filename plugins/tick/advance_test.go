package tick_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	plugin "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/tick"
)

// TestFastLoop has the fast loop do what the plain one does, for frequencies and times
// that are its own and for those that are not.
func TestFastLoop(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// Near 0 and on both sides of it, where a sine's argument becomes large, and at
	// today's milliseconds, where it is.
	for _, now := range []float64{0, 10, -10, 12345.678, -98765, 1e6, 5.3687e5, 1.7e12, 8.64e15} {
		for _, n := range []int{0, 1, 63, 64, 200, 640} {
			for _, most := range []int{0, 1, 2, 64} { // patterns a node
				a := &tick.Nodes{NowMS: now, Offset: []uint32{0}, Pattern: make([]float64, 9)}
				for range n {
					a.Frequency = append(a.Frequency, math.Exp(random.Float64()*18.8-5))
					a.Strength = append(a.Strength, []float64{random.Float64(), 0, 0.1, 0.3, 0.7, 0.9, 1}[random.IntN(7)])
					a.Stopped = append(a.Stopped, random.IntN(4) == 0)
					attached := most
					if random.IntN(4) == 0 {
						attached = random.IntN(most + 1)
					}
					for range attached {
						a.Attached = append(a.Attached, random.Uint32N(9))
					}
					a.Offset = append(a.Offset, uint32(len(a.Attached)))
				}
				for i := range a.Pattern {
					a.Pattern[i] = random.Float64()
				}
				if n > 100 { // others are all within the fast loop's bounds
					a.Frequency[90] = tick.MaxFrequency
				}
				if err := a.Validate(); err != nil {
					t.Fatal(err)
				}
				var got, want tick.NodesResult
				plugin.AdvanceNodes(a, &got)
				plugin.AdvancePlainly(a, &want)
				at := func(what string, i int) { t.Fatalf("at %v, %d nodes: %s %d differs", now, n, what, i) }
				for i := range n {
					if !same(got.Strength[i], want.Strength[i]) {
						at("strength", i)
					}
					if got.Progressed(i) != want.Progressed(i) {
						at("progress", i)
					}
				}
				for i := range a.Pattern {
					if !same(got.Pattern[i], want.Pattern[i]) {
						at("pattern", i)
					}
				}
			}
		}
	}
}

// same is to the last bit where no multiplication is fused with an addition.
func same(a, b float64) bool { return a == b || runtime.GOARCH != "amd64" && math.Abs(a-b) < 1e-12 }

// TestSine holds the sine to package math's, within 1e-15: a pattern at 0 becomes the step.
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
	if worst > 0.001*0.5*1e-15+2e-19 { // and the rounding of a step
		t.Errorf("a step differs by %g", worst)
	}
}
