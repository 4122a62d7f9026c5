package cascade_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/vectors"
	plugin "github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// TestRecord has the plugin write, at once, the record of what Analyze spells out, to the
// last bit.
func TestRecord(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	p := plugin.New()
	var converging, waves int
	for i := range 3000 {
		value := func() float64 {
			switch random.IntN(6) {
			case 0:
				return 0
			case 1:
				return float64(random.IntN(9)-4) / 4
			case 2:
				return math.Exp((random.Float64() - 0.5) * 55) // from 1e-12 to 1e12
			}
			return random.Float64()
		}
		s := cascade.State{
			AwarenessLevel: value(), CoherenceScore: value(), PhiValue: value(), EmotionalResonance: value(), CreativeEmergence: value(),
			Timestamp: random.Int64N(2*cascade.MaxTimestamp) - cascade.MaxTimestamp, Detail: []cascade.Detail{"", cascade.DetailSummary}[i%2],
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		var h cascade.History
		for range random.IntN(12) {
			h.Add(cascade.Pattern{random.Float64(), -random.Float64(), 1, -1, 0, random.Float64(), 0.5, 0.9})
		}
		state, err := h.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var r cascade.Result
		plugin.Analyze(&s, &h, &r)
		want, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := vectors.RunNative(t, p, 0, abi.Item{Payload: record(t, s), State: state})
		if got.Status != abi.StatusOK || !bytes.Equal(got.Payload, want) {
			t.Fatalf("%+v: %v, a record of %d bytes, Analyze's of %d is another", s, got.Status, len(got.Payload), len(want))
		}
		if next, err := h.AppendBinary(nil); err != nil || !bytes.Equal(got.State, next) {
			t.Fatalf("%+v: another history, err %v", s, err)
		}
		if len(r.Convergence.Points) > 0 {
			converging++
		}
		if r.StandingWaves.Detected {
			waves++
		}
	}
	if converging == 0 || waves == 0 {
		t.Errorf("%d converge, %d have standing waves: the inputs are too few", converging, waves)
	}
}
