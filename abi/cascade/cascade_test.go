package cascade_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/cascade"
)

func TestStateValidate(t *testing.T) {
	const magnitude = "must be 0 or of a magnitude between 1e-12 and 1e12"
	for name, c := range map[string]struct {
		state cascade.State
		want  string
	}{
		"empty":     {cascade.State{}, ""},
		"bounds":    {cascade.State{AwarenessLevel: 1e12, CoherenceScore: -1e12, PhiValue: 1e-12, Timestamp: -cascade.MaxTimestamp, Detail: "summary"}, ""},
		"NaN":       {cascade.State{AwarenessLevel: math.NaN()}, "awarenessLevel: " + magnitude},
		"infinite":  {cascade.State{CoherenceScore: math.Inf(-1)}, "coherenceScore: " + magnitude},
		"large":     {cascade.State{PhiValue: 1.1e12}, "phiValue: " + magnitude},
		"tiny":      {cascade.State{EmotionalResonance: -9e-13}, "emotionalResonance: " + magnitude},
		"subnormal": {cascade.State{CreativeEmergence: 5e-324}, "creativeEmergence: " + magnitude},
		"late":      {cascade.State{Timestamp: cascade.MaxTimestamp + 1}, "timestamp: must be between -8.64e15 and 8.64e15"},
		"detail":    {cascade.State{Detail: "Full"}, `detail: must be "full" or "summary"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.state.Validate()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if f := (*abi.FieldError)(nil); !errors.As(err, &f) || err.Error() != c.want {
				t.Errorf("err %v, want %s", err, c.want)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	var h cascade.History
	for i := range 25 {
		h.Add(cascade.Pattern{float64(i) / 100})
		b, err := h.AppendBinary(nil)
		if err != nil || len(b) > cascade.MaxHistoryBytes {
			t.Fatalf("%d bytes, err %v", len(b), err)
		}
		var got cascade.History
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if got.Length != uint64(i+1) || len(got.Patterns) != min(i+1, 10) || got.Patterns[len(got.Patterns)-1][0] != float64(i)/100 {
			t.Errorf("after %d: %+v", i+1, got)
		}
	}
	if err := h.UnmarshalBinary(nil); err != nil || h.Length != 0 || len(h.Patterns) != 0 {
		t.Errorf("of no bytes: %+v, err %v", h, err)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	state, _ := new(cascade.State).AppendBinary(nil)
	detail := bytes.Clone(state)
	detail[48] = 2
	var h cascade.History
	h.Add(cascade.Pattern{0.5})
	history, _ := h.AppendBinary(nil)
	change := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"short state":      {new(cascade.State).UnmarshalBinary(state[:55]), "state: must be a record of 56 bytes, has 55"},
		"unknown detail":   {new(cascade.State).UnmarshalBinary(detail), "detail: must be 0 or 1 in a record"},
		"half a pattern":   {new(cascade.History).UnmarshalBinary(history[:50]), "cascade history: a record of 50 bytes"},
		"another format":   {new(cascade.History).UnmarshalBinary(change(history, 0, 2)), "cascade history: unknown format"},
		"wrong length":     {new(cascade.History).UnmarshalBinary(change(history, 8, 2)), "cascade history: 1 patterns of 2 results"},
		"wild resonance":   {new(cascade.History).UnmarshalBinary(change(history, 23, 0x7f)), "cascade history: a resonance that is not within -1 and 1"},
		"long history":     {new(cascade.History).UnmarshalBinary(make([]byte, 1000)), "cascade history: a record of 1000 bytes"},
		"no result":        {new(cascade.Result).UnmarshalBinary(nil), "cascade result: not of the form"},
		"result of zeros":  {new(cascade.Result).UnmarshalBinary(make([]byte, 1000)), "cascade result: not of the form"},
		"result in pieces": {new(cascade.Result).UnmarshalBinary(change(make([]byte, 1000), 8, 1)), "result: must be a record of"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("%s: err %v, want %s", name, c.err, c.want)
		}
	}
}

// result is one of the largest.
func result(full bool) *cascade.Result {
	r := &cascade.Result{
		Timestamp: -5, HarmonicScore: 0.7, ResonanceQuality: cascade.Harmonious,
		DominantEmotion: cascade.DominantEmotion{Emotion: cascade.Unity, Strength: 1, Color: cascade.Unity.Color()},
	}
	for k := range cascade.Octaves {
		o := cascade.Octave{Octave: k, Frequencies: make([]float64, cascade.MaxFrequencies), Resonance: 0.5}
		if full {
			o.Harmonics = make([]cascade.Harmonic, cascade.MaxFrequencies*cascade.HarmonicsPerFrequency)
		}
		r.OctaveAnalysis = append(r.OctaveAnalysis, o)
	}
	for k := range cascade.Octaves - 1 {
		r.Convergence.Points = append(r.Convergence.Points, cascade.Point{Octaves: [2]int{k, k + 1}, Strength: 0.8})
	}
	r.StandingWaves.Nodes = make([]cascade.Node, 10)
	return r
}

func TestResultRefusesOtherForms(t *testing.T) {
	for name, spoil := range map[string]func(*cascade.Result){
		"seven octaves":     func(r *cascade.Result) { r.OctaveAnalysis = r.OctaveAnalysis[:7] },
		"octaves swapped":   func(r *cascade.Result) { r.OctaveAnalysis[0].Octave = 1 },
		"no frequencies":    func(r *cascade.Result) { r.OctaveAnalysis[0].Frequencies = nil },
		"harmonics missing": func(r *cascade.Result) { r.OctaveAnalysis[3].Harmonics = nil },
		"unknown emotion":   func(r *cascade.Result) { r.DominantEmotion.Emotion = "rage" },
		"unknown quality":   func(r *cascade.Result) { r.ResonanceQuality = "" },
	} {
		r := result(true)
		spoil(r)
		if _, err := r.AppendBinary(nil); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestNoAllocationOnReuse(t *testing.T) {
	room := make([]byte, 0, 16<<10)
	state := &cascade.State{AwarenessLevel: 1}
	full := result(true)
	stateBytes, _ := state.AppendBinary(nil)
	resultBytes, _ := full.AppendBinary(nil)
	for name, f := range map[string]func() error{
		"append state":     func() error { _, err := state.AppendBinary(room); return err },
		"append result":    func() error { _, err := full.AppendBinary(room); return err },
		"unmarshal state":  func() error { return state.UnmarshalBinary(stateBytes) },
		"unmarshal result": func() error { return full.UnmarshalBinary(resultBytes) },
	} {
		n := testing.AllocsPerRun(50, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// fuzzRecord checks that a record which decodes is encoded as the same bytes.
func fuzzRecord[T any, P interface {
	*T
	AppendBinary([]byte) ([]byte, error)
	UnmarshalBinary([]byte) error
}](f *testing.F, seeds ...P) {
	for _, s := range seeds {
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v := P(new(T))
		if v.UnmarshalBinary(b) != nil {
			return
		}
		again, err := v.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) && len(b) > 0 {
			t.Fatalf("%x became %x, err %v", b, again, err)
		}
	})
}

func FuzzState(f *testing.F) {
	fuzzRecord(f, &cascade.State{}, &cascade.State{AwarenessLevel: 1, Timestamp: 5, Detail: cascade.DetailSummary})
}

func FuzzHistory(f *testing.F) {
	h := &cascade.History{}
	for range 12 {
		h.Add(cascade.Pattern{0.25})
	}
	fuzzRecord(f, h, &cascade.History{})
}

func FuzzResult(f *testing.F) { fuzzRecord(f, result(true), result(false)) }
