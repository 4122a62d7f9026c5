package tick_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	plugin "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/tick"
)

const now = 1_760_000_000_123

// nodes returns n nodes with three patterns, of which each node has two and every
// seventh node none, and every fifth node is stopped.
func nodes(n int) *tick.Nodes {
	a := &tick.Nodes{NowMS: now, Pattern: []float64{0, 0.5, 0.9999}, Offset: []uint32{0}}
	for i := range n {
		a.Frequency = append(a.Frequency, 100+float64(i))
		a.Strength = append(a.Strength, float64(i%101)/100)
		a.Stopped = append(a.Stopped, i%5 == 4)
		if i%7 != 6 {
			a.Attached = append(a.Attached, uint32(i%3), uint32((i+1)%3))
		}
		a.Offset = append(a.Offset, uint32(len(a.Attached)))
	}
	return a
}

// TestBatch has many nodes with shared patterns advance as one after the other
// does.
func TestBatch(t *testing.T) {
	const n = 200
	all := nodes(n)
	if err := all.Validate(); err != nil {
		t.Fatal(err)
	}
	var got, one tick.NodesResult
	plugin.AdvanceNodes(all, &got)
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	pattern := all.Pattern
	for i := range n {
		attached := all.Attached[all.Offset[i]:all.Offset[i+1]]
		plugin.AdvanceNodes(&tick.Nodes{
			NowMS: all.NowMS, Frequency: all.Frequency[i : i+1], Strength: all.Strength[i : i+1], Stopped: all.Stopped[i : i+1],
			Pattern: pattern, Offset: []uint32{0, uint32(len(attached))}, Attached: attached,
		}, &one)
		pattern = slices.Clone(one.Pattern)
		if got.Strength[i] != one.Strength[0] || got.Progressed(i) != one.Progressed(0) {
			t.Errorf("node %d: %v, %t, alone %v, %t", i, got.Strength[i], got.Progressed(i), one.Strength[0], one.Progressed(0))
		}
		if stays := got.Strength[i] == all.Strength[i]; all.Stopped[i] != stays && all.Strength[i] < 1 {
			t.Errorf("node %d, stopped %t: from %v to %v", i, all.Stopped[i], all.Strength[i], got.Strength[i])
		}
	}
	if !slices.Equal(got.Pattern, pattern) {
		t.Errorf("patterns %v, one after the other %v", got.Pattern, pattern)
	}
}

// TestProgress has a clock at which strengths do not change: sin is −1 but for
// 1e-16.
func TestProgress(t *testing.T) {
	still := 1.5 * math.Pi / tick.Phi * 1000
	for strength, want := range map[float64]bool{
		0: true, 0.0009: true, 0.05: false, 0.0999: false, 0.1: true, 0.1009: true, 0.101: false, 0.5: true, 0.999: false, 1: true,
	} {
		var r tick.NodesResult
		plugin.AdvanceNodes(&tick.Nodes{
			NowMS: still, Frequency: []float64{100}, Strength: []float64{strength}, Stopped: []bool{false}, Offset: []uint32{0, 0},
		}, &r)
		if math.Abs(r.Strength[0]-strength) > 1e-15 || r.Progressed(0) != want {
			t.Errorf("from %v to %v, progress %t, want %t", strength, r.Strength[0], r.Progressed(0), want)
		}
	}
}

// TestStoppedMakesNoProgress: not even at a strength of which others would.
func TestStoppedMakesNoProgress(t *testing.T) {
	var r tick.NodesResult
	plugin.AdvanceNodes(&tick.Nodes{
		NowMS: now, Frequency: []float64{100}, Strength: []float64{0.5}, Stopped: []bool{true},
		Pattern: []float64{0.25}, Offset: []uint32{0, 1}, Attached: []uint32{0},
	}, &r)
	if r.Strength[0] != 0.5 || r.Pattern[0] != 0.25 || r.Progressed(0) {
		t.Errorf("%+v", r)
	}
}

// TestExtremes has the bounds of what Validate accepts.
func TestExtremes(t *testing.T) {
	times := []float64{-tick.MaxTime, -1, 0, now, tick.MaxTime}
	frequencies := []float64{math.SmallestNonzeroFloat64, 1, tick.MaxFrequency}
	for _, ms := range times {
		for _, f := range frequencies {
			a := &tick.Nodes{
				NowMS: ms, Frequency: []float64{f}, Strength: []float64{1}, Stopped: []bool{false},
				Pattern: []float64{1}, Offset: []uint32{0, 1}, Attached: []uint32{0},
			}
			var r tick.NodesResult
			if err := a.Validate(); err != nil {
				t.Fatal(err)
			}
			plugin.AdvanceNodes(a, &r)
			if err := r.Validate(); err != nil {
				t.Errorf("at %v, %v Hz: %v", ms, f, err)
			}
			for _, other := range frequencies {
				c := &tick.ConnectionRequest{
					A: tick.End{Frequency: f, Position: tick.Position{X: -1e9, Y: 1e9}},
					B: tick.End{Frequency: other, Strength: 1, Position: tick.Position{X: 1e9}},
				}
				if err := c.Validate(); err != nil {
					t.Fatal(err)
				}
				got := plugin.Connect(c)
				if err := got.Validate(); err != nil {
					t.Errorf("%v and %v Hz: %v", f, other, err)
				}
			}
		}
	}
}

func TestConnect(t *testing.T) {
	a := tick.End{Frequency: 432, Strength: 0.25, Position: tick.PositionOf(3)}
	b := tick.End{Frequency: 528, Strength: 0.75, Position: tick.PositionOf(8)}
	if x, y := plugin.Connect(&tick.ConnectionRequest{A: a, B: b}), plugin.Connect(&tick.ConnectionRequest{A: b, B: a}); x != y {
		t.Errorf("%+v, the other way round %+v", x, y)
	}
	if got := plugin.Connect(&tick.ConnectionRequest{A: a, B: a}); got.Quality != 1 {
		t.Errorf("a node and itself: %+v", got)
	}
	far := b
	far.Position.X = a.Position.X + 100
	if got := plugin.Connect(&tick.ConnectionRequest{A: a, B: far}); got.Quality != 0 {
		t.Errorf("a hundred apart: %+v", got)
	}
}

func TestNetwork(t *testing.T) {
	network := func(activity tick.Activity) *tick.NetworkState {
		return &tick.NetworkState{
			NowMS: now, Metrics: tick.Metrics{UniversalAlignment: 1},
			Fields:   []tick.Field{{State: activity, Strength: 0.5, TotalResonances: tick.MaxCount}},
			Patterns: []tick.Pattern{{State: activity, Phase: 359, TotalCycles: tick.MaxCount}},
		}
	}
	t.Run("active", func(t *testing.T) {
		for _, activity := range []tick.Activity{"", tick.Active} {
			s := network(activity)
			plugin.AdvanceNetwork(s)
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
			f, p := s.Fields[0], s.Patterns[0]
			if f.Strength == 0.5 || f.TotalResonances != tick.MaxCount || math.Abs(p.Phase-2.6) > 1e-12 || p.TotalCycles != tick.MaxCount {
				t.Errorf("%q: %+v, %+v", activity, f, p)
			}
			if s.Metrics.UniversalAlignment != 1 {
				t.Errorf("%q: a metric of %v", activity, s.Metrics.UniversalAlignment)
			}
		}
	})
	t.Run("paused", func(t *testing.T) {
		s, want := network(tick.Paused), network(tick.Paused)
		plugin.AdvanceNetwork(s)
		if s.Fields[0] != want.Fields[0] || s.Patterns[0] != want.Patterns[0] {
			t.Errorf("%+v, %+v", s.Fields[0], s.Patterns[0])
		}
		if s.Metrics.NetworkCoherence != 0 || s.Metrics.FieldStrength != 0 {
			t.Errorf("strengths of nothing count: %+v", s.Metrics)
		}
	})
	t.Run("empty", func(t *testing.T) {
		s := new(tick.NetworkState)
		plugin.AdvanceNetwork(s)
		if err := s.Validate(); err != nil || s.Metrics.ResonanceEvolution != 0.0001 {
			t.Errorf("%+v, err %v", s.Metrics, err)
		}
	})
}

func TestNoAllocationOnReuse(t *testing.T) {
	a, r := nodes(500), new(tick.NodesResult)
	s := &tick.NetworkState{Fields: make([]tick.Field, 7), Patterns: make([]tick.Pattern, 7)}
	c := &tick.ConnectionRequest{A: tick.End{Frequency: 1}, B: tick.End{Frequency: 2}}
	for name, f := range map[string]func(){
		"nodes":      func() { plugin.AdvanceNodes(a, r) },
		"network":    func() { plugin.AdvanceNetwork(s) },
		"connection": func() { plugin.Connect(c) },
	} {
		f()
		if n := testing.AllocsPerRun(20, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAdvanceNodes(b *testing.B) {
	const n = 10_000
	a, r := nodes(n), new(tick.NodesResult)
	b.ReportAllocs()
	for b.Loop() {
		plugin.AdvanceNodes(a, r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/node")
}

func BenchmarkAdvanceNetwork(b *testing.B) {
	s := &tick.NetworkState{Fields: make([]tick.Field, 7), Patterns: make([]tick.Pattern, 7)}
	b.ReportAllocs()
	for b.Loop() {
		s.NowMS++
		plugin.AdvanceNetwork(s)
	}
}

func ExampleAdvanceNodes() {
	request := tick.NodesRequest{
		NowMS:    0,
		Nodes:    []tick.Node{{ID: "first", Patterns: []string{"universal_harmonics"}}, {ID: "second", State: tick.Stopped}},
		Patterns: map[string]float64{"universal_harmonics": 0.5},
	}
	if err := request.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	var result tick.NodesResult
	plugin.AdvanceNodes(request.Arrays(), &result)
	response, err := request.Respond(&result)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f %.4f %.4f\n", response.Nodes[0].Strength, response.Nodes[1].Strength, response.Patterns["universal_harmonics"])
	// Output: 0.0050 0.0000 0.5005
}
