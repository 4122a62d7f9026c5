//go:build scaffolds

package plugins_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// TestRustCascade has both builds answer frames of random tasks: states of every kind, near
// special ratios and far from all, with histories, valid or not.
func TestRustCascade(t *testing.T) {
	const frames = 30_000
	random := rand.New(rand.NewPCG(3, 4))
	p, g := newGuests(t, "cascade")
	seen := make(map[string]int)
	for range frames {
		items := make([]abi.Item, 1+random.IntN(4))
		for i := range items {
			items[i] = abi.Item{Payload: randomState(random), State: randomHistory(t, random)}
		}
		for _, r := range compareGuests(t, p, g, 0, items...) {
			seen[r.Status.String()]++
			if r.Status != abi.StatusOK {
				seen[string(r.Payload[:8])]++
				continue
			}
			var result cascade.Result
			if err := result.UnmarshalBinary(r.Payload); err != nil {
				t.Fatal(err)
			}
			for name, is := range map[string]bool{
				"converges": len(result.Convergence.Points) > 0, "waves": result.StandingWaves.Detected,
				"neutral": result.DominantEmotion.Emotion == cascade.Neutral, "novel": result.CreativePatterns.EmergentNovelty != 0.5,
				string(result.ResonanceQuality): true,
			} {
				if is {
					seen[name]++
				}
			}
		}
	}
	for _, name := range []string{
		"ok", "invalid argument", "failed", "state: m", "detail: ", "timestam", "awarenes", "phiValue", "creative",
		"converges", "waves", "neutral", "novel", "transcendent", "harmonious", "resonant", "emerging", "discordant",
	} {
		if seen[name] == 0 {
			t.Errorf("the inputs are too few for %q: %v", name, seen)
		}
	}
}

// TestRustCascadeHosted runs single tasks of those in hosts.
func TestRustCascadeHosted(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	compareHosted(t, "cascade", "cascade", 3000, func() []byte { return randomState(random) })
}

// randomState is a record of a state, mostly a valid one.
func randomState(random *rand.Rand) []byte {
	base := math.Exp((random.Float64() - 0.5) * 8)
	hz := [...]float64{432, 528, 741, 639, 852}
	near := [...]float64{1, 2, 3, 4, 5, 1.5, 4.0 / 3, 1.25, 5.0 / 3, 1.6, 1.618033988749895, 1 / 1.618033988749895, 1.61, 2.5}
	kind := random.IntN(6)
	b := make([]byte, 0, 64)
	for i := range hz {
		var v float64
		switch {
		case random.IntN(5) == 0:
		case kind == 0: // any magnitude
			v = math.Exp((random.Float64() - 0.5) * 55.2)
		case kind == 1: // about one that is special, within its bounds or at them
			ratio := near[random.IntN(len(near))] * float64(1+random.IntN(5)) / float64(1+random.IntN(5))
			v = base * (ratio + (random.Float64()-0.5)*[]float64{0, 0.001, 0.0200001}[random.IntN(3)]) / hz[i] * 432
		case kind == 2: // whole ratios
			v = base * float64(1+random.IntN(5)) / hz[i]
		case kind == 3:
			v = float64(random.IntN(9)-4) / 4
		case kind == 4: // on the bounds
			v = []float64{1e12, 1e-12, -1e12, -1e-12, 1, 0.5}[random.IntN(6)]
		default:
			v = random.Float64()
		}
		if random.IntN(8) == 0 {
			v = -v
		}
		if random.IntN(60) == 0 {
			v = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.0000001e12, 0.9999999e-12, 5e-324, math.Copysign(0, -1)}[random.IntN(7)]
		}
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	timestamp := random.Int64N(2*cascade.MaxTimestamp+1) - cascade.MaxTimestamp
	detail := uint64(random.IntN(2))
	switch random.IntN(60) {
	case 0:
		timestamp = cascade.MaxTimestamp + 1
	case 1:
		timestamp = -cascade.MaxTimestamp - 1
	case 2:
		timestamp = math.MinInt64
	case 3:
		timestamp = cascade.MaxTimestamp
	case 4:
		detail = random.Uint64()
	}
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, uint64(timestamp)), detail)
	switch random.IntN(60) {
	case 0:
		return b[:random.IntN(len(b))]
	case 1:
		return append(b, make([]byte, 1+random.IntN(9))...)
	}
	return b
}

// randomHistory is a record of a history, mostly a valid one.
func randomHistory(tb testing.TB, random *rand.Rand) []byte {
	tb.Helper()
	if random.IntN(4) == 0 {
		return nil
	}
	var h cascade.History
	for range random.IntN(13) {
		value := func() float64 { return []float64{random.Float64(), -random.Float64(), 1, -1, 0, 0.999}[random.IntN(6)] }
		h.Add(cascade.Pattern{value(), value(), value(), value(), value(), value(), value(), value()})
	}
	if len(h.Patterns) == cascade.HistoryPatterns && random.IntN(8) == 0 {
		h.Length = math.MaxUint64 - uint64(random.IntN(2))
	}
	b, err := h.AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	switch random.IntN(24) {
	case 0:
		return b[:random.IntN(len(b))]
	case 1:
		return append(b, make([]byte, 1+random.IntN(100))...)
	case 2:
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	case 3:
		wild := []float64{math.NaN(), 1.0000000000000002, -1.0000000000000002, math.Inf(1), math.Copysign(0, -1), -math.NaN()}
		if at := 16 + 8*random.IntN(8*max(1, len(h.Patterns))); at < len(b) {
			binary.LittleEndian.PutUint64(b[at:], math.Float64bits(wild[random.IntN(len(wild))]))
		}
	case 4:
		binary.LittleEndian.PutUint64(b[8:], random.Uint64N(13))
	}
	return bytes.Clone(b)
}

// TestRustCascadeRatios has pairs of every ratio about each that is special, and those at
// the bounds of the tables' cells and about them.
func TestRustCascadeRatios(t *testing.T) {
	p, g := newGuests(t, "cascade")
	var items []abi.Item
	check := func(ratio float64) {
		// 432·11 is 528·9, so that what is a power of two's multiple stays one.
		s := cascade.State{AwarenessLevel: 11 * ratio, CoherenceScore: 9, Detail: cascade.DetailSummary}
		record, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if items = append(items, abi.Item{Payload: record}); len(items) == 500 {
			compareGuests(t, p, g, 0, items...)
			items = items[:0]
		}
	}
	for i := range 200_000 {
		check(float64(i) / 12_000) // to 16, as far as the table goes
	}
	for i := range 16 * 512 {
		at := float64(i) / 512
		check(at)
		check(math.Nextafter(at, 0))
		check(math.Nextafter(at, 17))
	}
	for _, special := range []float64{1, 2, 1.5, 4.0 / 3, 1.25, 5.0 / 3, 1.6, 1.618033988749895, 1 / 1.618033988749895} {
		for n := 1.0; n <= 5; n++ {
			for m := 1.0; m <= 5; m++ {
				for _, bound := range []float64{special - 0.01, special + 0.01} {
					at := bound * m / n
					for range 8 {
						at = math.Nextafter(at, 0)
					}
					for range 17 {
						check(at)
						at = math.Nextafter(at, 17)
					}
				}
			}
		}
	}
	compareGuests(t, p, g, 0, items...)
}

// TestRustCascadeLarge has frames that are larger than what the guest has room for.
func TestRustCascadeLarge(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	p, g := newGuests(t, "cascade")
	for _, n := range []int{1, 40, 1000, 1, 5000, 2} {
		items := make([]abi.Item, n)
		for i := range items {
			items[i] = abi.Item{Payload: randomState(random), State: randomHistory(t, random)}
		}
		compareGuests(t, p, g, 0, items...)
	}
}
