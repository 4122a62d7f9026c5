//go:build scaffolds

package plugins_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/resonance/tick"
)

// The indices of tick's transforms.
const (
	tickNode = iota
	tickNetwork
	tickConnection
)

// TestRustTick has both builds answer frames of random tasks of each transform: of every
// number of nodes and patterns, at times near and far, valid or not.
func TestRustTick(t *testing.T) {
	for _, c := range []struct {
		name      string
		transform uint32
		frames    int
		input     func(*rand.Rand) []byte
		reached   []string
	}{
		{"node", tickNode, 20_000, randomNodes, []string{
			"ok", "record: must", "record: counts", "nodes.state", "now_ms", "nodes.frequency", "nodes.resonance_strength",
			"patterns", "offsets", "nodes.harmonic_patterns", "attached",
		}},
		{"network", tickNetwork, 20_000, randomNetwork, []string{
			"ok", "record: must", "record: counts", "fields.state", "patterns.state", "now_ms", "metrics.networkCoherence",
			"metrics.transcendentHarmonics", "fields.field_strength", "fields.average_strength", "fields.peak_resonance",
			"fields.field_coherence", "fields.harmonic_stability", "fields.total_resonances", "patterns.current_phase",
			"patterns.harmonic_strength", "patterns.peak_harmonic", "patterns.consciousness_enhancement", "patterns.total_cycles",
		}},
		{"connection", tickConnection, 100_000, randomConnection, []string{
			"ok", "record: must", "a.frequency", "a.resonance_strength", "a.position.x", "a.position.y",
			"b.frequency", "b.resonance_strength", "b.position.x", "b.position.y",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, uint64(c.transform)))
			p, g := newGuests(t, "tick")
			seen := make(map[string]int)
			for range c.frames {
				items := make([]abi.Item, 1+random.IntN(3))
				for i := range items {
					items[i].Payload = c.input(random)
				}
				for _, r := range compareGuests(t, p, g, c.transform, items...) {
					seen[kindOf(r)]++
				}
			}
			for _, kind := range c.reached {
				if seen[kind] == 0 {
					t.Errorf("the inputs are too few for %q: %v", kind, seen)
				}
			}
		})
	}
}

// TestRustTickHosted runs single tasks of those in hosts.
func TestRustTickHosted(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for transform, input := range map[string]func(*rand.Rand) []byte{"tick.node": randomNodes, "tick.network": randomNetwork, "tick.connection": randomConnection} {
		t.Run(transform, func(t *testing.T) { compareHosted(t, "tick", transform, 1000, func() []byte { return input(random) }) })
	}
}

// kindOf is "ok", or the field of a message without indices, and of a record's the rule's
// first word.
func kindOf(r abi.Result) string {
	if r.Status == abi.StatusOK {
		return "ok"
	}
	field, rule, _ := strings.Cut(string(r.Payload), ": ")
	if field == "record" {
		first, _, _ := strings.Cut(rule, " ")
		return field + ": " + first
	}
	if from, to := strings.IndexByte(field, '['), strings.IndexByte(field, ']'); from >= 0 {
		field = field[:from] + field[to+1:]
	}
	return field
}

// oneOf is any of them.
func oneOf[T any](random *rand.Rand, all ...T) T { return all[random.IntN(len(all))] }

// randomTime is a now_ms, mostly a valid one.
func randomTime(random *rand.Rand) float64 {
	if random.IntN(50) == 0 {
		return oneOf(random, math.NaN(), math.Inf(1), math.Inf(-1), 8.64e15+1, -8.64e15-1)
	}
	// Near 0 and on both sides of it, where a sine's argument becomes large, and at
	// today's milliseconds, where it is.
	v := oneOf(random, 0, math.Copysign(0, -1), 10, 12345.678, 98765, 1e6, 5.3687e5, 5.36870912e7, 3.3e11, 1.7e12, 8.64e15, 8.64e15*random.Float64(),
		1e6*random.Float64(), 1e13*random.Float64(), 5e-324, 2000*math.Pi, math.Exp(80*random.Float64()-44))
	if random.IntN(4) == 0 {
		return -v
	}
	return v
}

// randomNodes is a record of nodes.
func randomNodes(random *rand.Rand) []byte {
	n := oneOf(random, 0, 1, 2, 3, 4, 5, 8, 16, 63, 64, 65, 128, 129, 200, 320, random.IntN(500))
	most := oneOf(random, 0, 1, 1, 2, 64) // patterns a node
	exactly, stopped := random.IntN(3) > 0, oneOf(random, 0, 0, 1, 50, 100)
	patterns := oneOf(random, 1, 2, 3, 7, 9, 100, tick.MaxPatterns)
	highest := oneOf(random, 8.0, 12.0, 13.8)
	a := &tick.Nodes{NowMS: randomTime(random), Offset: []uint32{0}, Pattern: make([]float64, patterns)}
	for range n {
		a.Frequency = append(a.Frequency, math.Exp(random.Float64()*(highest+5)-5))
		a.Strength = append(a.Strength, oneOf(random, random.Float64(), 0, math.Copysign(0, -1), 0.1, 0.3, 0.7, 0.9, 1))
		a.Stopped = append(a.Stopped, random.IntN(100) < stopped)
		attached := most
		if !exactly {
			attached = random.IntN(most + 1)
		}
		for range attached {
			a.Attached = append(a.Attached, random.Uint32N(uint32(patterns)))
		}
		a.Offset = append(a.Offset, uint32(len(a.Attached)))
	}
	for i := range a.Pattern {
		a.Pattern[i] = oneOf(random, random.Float64(), 0, math.Copysign(0, -1), 1, 0.9999)
	}
	if n > 0 && random.IntN(8) == 0 {
		a.Frequency[random.IntN(n)] = oneOf(random, tick.MaxFrequency, 10_000, math.Nextafter(10_000, 20_000), 5e-324)
	}
	wrong := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5e-324, -math.NaN(), math.Nextafter(1, 2), -1}
	switch at := random.IntN(n + 1); random.IntN(24) {
	case 0:
		if at < n {
			a.Frequency[at] = oneOf(random, math.NaN(), 0, math.Copysign(0, -1), -1, math.Nextafter(1e6, 2e6), math.Inf(1), math.Inf(-1))
		}
	case 1:
		if at < n {
			a.Strength[at] = oneOf(random, wrong...)
		}
	case 2:
		a.Pattern[random.IntN(patterns)] = oneOf(random, wrong...)
	case 3:
		a.Offset[at] = oneOf(random, random.Uint32(), a.Offset[at]+65, a.Offset[at]+1, a.Offset[at]-1)
	case 4:
		if len(a.Attached) > 0 {
			a.Attached[random.IntN(len(a.Attached))] = oneOf(random, uint32(patterns), random.Uint32(), math.MaxUint32)
		}
	}
	b, err := a.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	if n > 0 && random.IntN(24) == 0 { // a state or its padding
		b[len(b)-1-random.IntN(n)] = byte(random.Uint32())
	}
	return maltreated(random, b, 3)
}

// maltreated is the record, seldom cut off or longer, or with another count of so many at
// its beginning.
func maltreated(random *rand.Rand, b []byte, counts int) []byte {
	switch random.IntN(60) {
	case 0:
		return b[:random.IntN(len(b))]
	case 1:
		return append(b, make([]byte, oneOf(random, 1, 7, 8, random.IntN(100)))...)
	case 2:
		if counts > 0 {
			at := b[8*random.IntN(counts):]
			v := binary.LittleEndian.Uint64(at)
			binary.LittleEndian.PutUint64(at, oneOf(random, v+1, v-1, 1<<20, 1<<20+1, 1<<26, 1<<26+1, 4096, 4097, 1<<32, random.Uint64()))
		}
	}
	return b
}

// randomNetwork is a record of a network.
func randomNetwork(random *rand.Rand) []byte {
	metric := func() float64 {
		return oneOf(random, random.Float64(), -random.Float64(), 0, math.Copysign(0, -1), 1, 0.9999, -1e9)
	}
	wide := func() float64 { return oneOf(random, metric(), 1e9, -1e9, 1e6*random.NormFloat64()) }
	state := func() tick.Activity { return oneOf(random, tick.Active, tick.Active, tick.Paused) }
	total := func() uint64 { return oneOf(random, 0, 1, random.Uint64N(1000), tick.MaxCount, tick.MaxCount-1) }
	s := &tick.NetworkState{
		NowMS:  randomTime(random),
		Fields: make([]tick.Field, oneOf(random, 0, 1, 2, random.IntN(30))), Patterns: make([]tick.Pattern, oneOf(random, 0, 1, 2, random.IntN(30))),
	}
	for i := range s.Fields {
		s.Fields[i] = tick.Field{
			State: state(), Strength: wide(), TotalResonances: total(), AverageStrength: wide(),
			PeakResonance: wide(), Coherence: wide(), HarmonicStability: wide(),
		}
	}
	for i := range s.Patterns {
		phase := oneOf(random, 360*random.Float64(), 0, math.Copysign(0, -1), 356.4, math.Nextafter(360, 0))
		s.Patterns[i] = tick.Pattern{State: state(), Phase: phase, Strength: wide(), TotalCycles: total(), Peak: wide(), Enhancement: wide()}
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	for at := 24; at < 120; at += 8 {
		binary.LittleEndian.PutUint64(b[at:], math.Float64bits(metric()))
	}
	if random.IntN(4) == 0 { // any number that is not a count
		at := b[16+8*random.IntN(len(b)/8-2):]
		if len(b) > 120 && random.IntN(2) == 0 {
			at = b[120+8*random.IntN(len(b)/8-15):]
		}
		v := binary.LittleEndian.Uint64(at)
		binary.LittleEndian.PutUint64(at, oneOf(random, 2, tick.MaxCount+1, random.Uint64(), v|1<<63,
			math.Float64bits(math.NaN()), math.Float64bits(math.Inf(-1)), math.Float64bits(math.Nextafter(1, 2)), math.Float64bits(360),
			math.Float64bits(math.Nextafter(1e9, 2e9)), math.Float64bits(-math.Nextafter(1e9, 2e9))))
	}
	return maltreated(random, b, 2)
}

// randomConnection is a record of a connection.
func randomConnection(random *rand.Rand) []byte {
	b := make([]byte, 0, 64)
	like := math.Exp(random.Float64()*18.8 - 5)
	for range 2 {
		for _, v := range [...]float64{
			oneOf(random, like, math.Exp(random.Float64()*18.8-5), tick.MaxFrequency, 5e-324),
			oneOf(random, random.Float64(), 0, math.Copysign(0, -1), 1),
			oneOf(random, 100*random.NormFloat64(), 0, math.Copysign(0, -1), 30, 1e9, -1e9, 5e-324),
			oneOf(random, 100*random.NormFloat64(), 0, 40, 1e9, -1e9, 1e-300),
		} {
			if random.IntN(60) == 0 {
				v = oneOf(random, math.NaN(), math.Inf(1), -1, 0, -5e-324, math.Nextafter(1, 2), math.Nextafter(1e6, 2e6), math.Nextafter(1e9, 2e9), -math.Nextafter(1e9, 2e9))
			}
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return maltreated(random, b, 0)
}

// TestRustTickSine has arguments of every magnitude, in nodes and, by package math's own
// sine, in networks.
func TestRustTickSine(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	p, g := newGuests(t, "tick")
	const n = 256
	a := &tick.Nodes{
		Frequency: make([]float64, n), Strength: make([]float64, n), Stopped: make([]bool, n),
		Pattern: make([]float64, n), Offset: make([]uint32, n+1), Attached: make([]uint32, n),
	}
	var s tick.NetworkState
	for range 2000 {
		a.NowMS = (random.Float64()*2 - 1) * math.Exp(random.Float64()*36.6)
		for i := range n {
			a.Frequency[i], a.Attached[i], a.Offset[i+1] = math.Exp(random.Float64()*23.8-10), uint32(i), uint32(i+1)
		}
		// About a multiple of π/4 most digits of the argument cancel out.
		multiple := math.Floor(math.Exp(random.Float64()*20)) * math.Pi / 4
		s.NowMS = oneOf(random, a.NowMS, multiple*100*1000/tick.Phi, multiple*1e6/963)
		for transform, m := range map[uint32]interface{ AppendBinary([]byte) ([]byte, error) }{tickNode: a, tickNetwork: &s} {
			record, err := m.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			compareGuests(t, p, g, transform, abi.Item{Payload: record})
		}
	}
}

// TestRustTickLarge has the most nodes of a message, and a node's most patterns.
func TestRustTickLarge(t *testing.T) {
	p, g := newGuests(t, "tick")
	a := chunk(tick.MaxNodes)
	most := chunk(4096)
	for i := range most.Offset {
		most.Offset[i] = uint32(i * tick.MaxAttached)
	}
	most.Attached = slices.Repeat(most.Attached, tick.MaxAttached)
	for _, nodes := range []*tick.Nodes{a, most} {
		record, err := nodes.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		compareGuests(t, p, g, tickNode, abi.Item{Payload: record})
	}
}
