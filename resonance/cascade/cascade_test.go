package cascade_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/resonhost/resonhost/internal/fieldtest"
	"github.com/resonhost/resonhost/resonance/cascade"
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
			fieldtest.Check(t, c.state.Validate(), c.want)
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
	full, _ := result(true).AppendBinary(nil)
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
		"wrong length":     {new(cascade.History).UnmarshalBinary(change(history, 8, 2)), "cascade history: patterns: must be the last 10 of 2 results, are 1"},
		"wild resonance":   {new(cascade.History).UnmarshalBinary(change(history, 23, 0x7f)), "cascade history: patterns[0]: must be within -1 and 1"},
		"long history":     {new(cascade.History).UnmarshalBinary(make([]byte, 1000)), "cascade history: a record of 1000 bytes"},
		"no result":        {new(cascade.Result).UnmarshalBinary(nil), "cascade result: not of the form that the analysis has"},
		"result of zeros":  {new(cascade.Result).UnmarshalBinary(make([]byte, 1000)), "cascade result: not of the form that the analysis has"},
		"result in pieces": {new(cascade.Result).UnmarshalBinary(change(make([]byte, 1000), 8, 1)), "result: must be a record of 360 bytes, has 1000"},
		"huge count":       {new(cascade.Result).UnmarshalBinary(change(make([]byte, 1000), 15, 0x80)), "cascade result: not of the form that the analysis has"},
		"odd octaves":      {new(cascade.Result).UnmarshalBinary(change(full, len(full)-10*32-3*8, 7)), "cascade result: not of the form that the analysis has"},
		"unknown emotion":  {new(cascade.Result).UnmarshalBinary(change(full, 32, 6)), "cascade result: not of the form that the analysis has"},
		"unknown quality":  {new(cascade.Result).UnmarshalBinary(change(full, 40, 5)), "cascade result: not of the form that the analysis has"},
		"trailing":         {new(cascade.Result).UnmarshalBinary(append(bytes.Clone(full), 0)), "result: must be a record of 5904 bytes, has 5905"},
	} {
		if c.err == nil || c.err.Error() != c.want {
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
	r.StandingWaves.Nodes, r.StandingWaves.Detected = make([]cascade.Node, 10), true
	return r
}

func TestResultValidate(t *testing.T) {
	for _, full := range []bool{true, false} {
		if err := result(full).Validate(); err != nil {
			t.Error(err)
		}
	}
	const finite = "must have finite numbers"
	nan := math.NaN()
	for name, c := range map[string]struct {
		spoil func(*cascade.Result)
		want  string
		// form: what a record cannot carry is not encoded either
		form bool
	}{
		"seven octaves":     {func(r *cascade.Result) { r.OctaveAnalysis = r.OctaveAnalysis[:7] }, "octaveAnalysis: must have 8 entries", true},
		"octaves swapped":   {func(r *cascade.Result) { r.OctaveAnalysis[0].Octave = 1 }, "octaveAnalysis[0].octave: must be 0", true},
		"no frequencies":    {func(r *cascade.Result) { r.OctaveAnalysis[0].Frequencies = nil }, "octaveAnalysis[0].frequencies: must have 1 to 5 entries", true},
		"a frequency less":  {func(r *cascade.Result) { r.OctaveAnalysis[7].Frequencies = nil }, "octaveAnalysis[7].frequencies: must be as many as in every octave", true},
		"harmonics missing": {func(r *cascade.Result) { r.OctaveAnalysis[3].Harmonics = nil }, "octaveAnalysis[3].harmonics: must be none in any octave, or 5 a frequency", true},
		"eight points":      {func(r *cascade.Result) { r.Convergence.Points = make([]cascade.Point, 8) }, "convergence.points: must be at most 7", true},
		"distant octaves":   {func(r *cascade.Result) { r.Convergence.Points[1].Octaves[1] = 4 }, "convergence.points[1].octaves: must be neighbours", true},
		"negative octave":   {func(r *cascade.Result) { r.Convergence.Points[0].Octaves = [2]int{-1, 0} }, "convergence.points[0].octaves: must be neighbours", true},
		"eleven nodes":      {func(r *cascade.Result) { r.StandingWaves.Nodes = make([]cascade.Node, 11) }, "standingWaves.nodes: must be at most 10", true},
		"undetected":        {func(r *cascade.Result) { r.StandingWaves.Detected = false }, "standingWaves.detected: must say whether there are nodes", true},
		"antinode":          {func(r *cascade.Result) { r.StandingWaves.Antinodes = make([]struct{}, 1) }, "standingWaves.antinodes: must be empty", true},
		"unknown emotion":   {func(r *cascade.Result) { r.DominantEmotion.Emotion = "rage" }, "dominantEmotion.emotion: must be an emotion", true},
		"another's colour":  {func(r *cascade.Result) { r.DominantEmotion.Color = "#CCCCCC" }, "dominantEmotion.color: must be the emotion's", true},
		"unknown quality":   {func(r *cascade.Result) { r.ResonanceQuality = "" }, "resonanceQuality: must be a quality", true},
		"timestamp":         {func(r *cascade.Result) { r.Timestamp = math.MinInt64 }, "timestamp: must be between -8.64e15 and 8.64e15", false},
		"score":             {func(r *cascade.Result) { r.HarmonicScore = nan }, "harmonicScore: must be between 0 and 1", false},
		"scalar":            {func(r *cascade.Result) { r.StandingWaves.Stability = nan }, "standingWaves.stability: " + finite, false},
		"resonance":         {func(r *cascade.Result) { r.OctaveAnalysis[2].Resonance = math.Inf(1) }, "octaveAnalysis[2]: " + finite, false},
		"frequency":         {func(r *cascade.Result) { r.OctaveAnalysis[2].Frequencies[4] = math.Inf(-1) }, "octaveAnalysis[2]: " + finite, false},
		"harmonic":          {func(r *cascade.Result) { r.OctaveAnalysis[2].Harmonics[24].Phase = nan }, "octaveAnalysis[2]: " + finite, false},
		"point":             {func(r *cascade.Result) { r.Convergence.Points[6].GoldenAlignment = nan }, "convergence.points[6]: " + finite, false},
		"node":              {func(r *cascade.Result) { r.StandingWaves.Nodes[9].Ratio = nan }, "standingWaves.nodes[9]: " + finite, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := result(true)
			c.spoil(r)
			fieldtest.Check(t, r.Validate(), c.want)
			if _, err := r.AppendBinary(nil); (err != nil) != c.form {
				t.Errorf("encoded with err %v", err)
			}
		})
	}
}

func TestHistoryValidate(t *testing.T) {
	for name, c := range map[string]struct {
		history cascade.History
		want    string
	}{
		"too few":  {cascade.History{Length: 3}, "patterns: must be the last 10 of 3 results, are 0"},
		"too many": {cascade.History{Length: 99, Patterns: make([]cascade.Pattern, 11)}, "patterns: must be the last 10 of 99 results, are 11"},
		"NaN":      {cascade.History{Length: 1, Patterns: []cascade.Pattern{{7: math.NaN()}}}, "patterns[0]: must be within -1 and 1"},
	} {
		if err := c.history.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
		if _, err := c.history.AppendBinary(nil); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

// TestHistoryEndsCounting has a stream longer than can be counted.
func TestHistoryEndsCounting(t *testing.T) {
	h := cascade.History{Length: math.MaxUint64, Patterns: make([]cascade.Pattern, 10)}
	h.Add(cascade.Pattern{1})
	if err := h.Validate(); err != nil || h.Length != math.MaxUint64 || h.Patterns[9][0] != 1 {
		t.Errorf("%+v, err %v", h, err)
	}
}

// TestJSON has the empty lists that a consumer reads as lists.
func TestJSON(t *testing.T) {
	r := result(false)
	r.Convergence.Points, r.StandingWaves.Nodes, r.StandingWaves.Detected = nil, nil, false
	record, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got cascade.Result
	if err := got.UnmarshalBinary(record); err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"points":[]`, `"standingWaves":{"detected":false,"nodes":[],"antinodes":[],"stability":0}`,
		`"octaveAnalysis":[{"octave":0,"frequencies":[0,0,0,0,0],"resonance":0.5,"goldenRatioAlignment":0},`,
		`"dominantEmotion":{"emotion":"unity","strength":1,"color":"#FFFFFF"},"resonanceQuality":"harmonious"`,
	} {
		if !bytes.Contains(doc, []byte(want)) {
			t.Errorf("%s lacks %s", doc, want)
		}
	}
}

func TestNoAllocationOnReuse(t *testing.T) {
	room := make([]byte, 0, 16<<10)
	state := &cascade.State{AwarenessLevel: 1}
	full := result(true)
	history := new(cascade.History)
	for range 10 {
		history.Add(cascade.Pattern{0.5})
	}
	stateBytes, _ := state.AppendBinary(nil)
	resultBytes, _ := full.AppendBinary(nil)
	historyBytes, _ := history.AppendBinary(nil)
	for name, f := range map[string]func() error{
		"append state":      func() error { _, err := state.AppendBinary(room); return err },
		"append result":     func() error { _, err := full.AppendBinary(room); return err },
		"append history":    func() error { _, err := history.AppendBinary(room); return err },
		"unmarshal state":   func() error { return state.UnmarshalBinary(stateBytes) },
		"unmarshal result":  func() error { return full.UnmarshalBinary(resultBytes) },
		"unmarshal history": func() error { return history.UnmarshalBinary(historyBytes) },
		"validate":          func() error { return errors.Join(state.Validate(), full.Validate(), history.Validate()) },
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

type message[T any] interface {
	*T
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// fuzzRecord checks that a record which decodes is encoded as the same bytes, also
// by a value that held another before, and that decoding keeps no more memory than
// a few times the record. size is the memory of a value's slices.
func fuzzRecord[T any, P message[T]](f *testing.F, size func(P) int, dirty func() P, seeds ...P) {
	for _, s := range seeds {
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fresh, used := P(new(T)), dirty()
		err := fresh.UnmarshalBinary(b)
		if got := size(fresh); got > 4*len(b)+1<<10 {
			t.Fatalf("%d bytes became %d", len(b), got)
		}
		if again := used.UnmarshalBinary(b); (again == nil) != (err == nil) {
			t.Fatalf("err %v, of a used value %v", err, again)
		}
		if err != nil {
			return
		}
		for _, v := range []P{fresh, used} {
			again, err := v.AppendBinary(nil)
			if err != nil || !bytes.Equal(again, b) && len(b) > 0 {
				t.Fatalf("%x became %x, err %v", b, again, err)
			}
		}
	})
}

func FuzzState(f *testing.F) {
	fuzzRecord(f,
		func(*cascade.State) int { return 0 },
		func() *cascade.State { return &cascade.State{PhiValue: 1, Detail: cascade.DetailSummary} },
		&cascade.State{}, &cascade.State{AwarenessLevel: 1, Timestamp: 5, Detail: cascade.DetailSummary})
}

func FuzzHistory(f *testing.F) {
	long := func() *cascade.History {
		h := new(cascade.History)
		for range 12 {
			h.Add(cascade.Pattern{0.25})
		}
		return h
	}
	fuzzRecord(f,
		func(h *cascade.History) int { return cap(h.Patterns) * 64 },
		long, long(), &cascade.History{})
}

func FuzzResult(f *testing.F) {
	fuzzRecord(f,
		func(r *cascade.Result) int {
			n := cap(r.OctaveAnalysis) * 72
			for _, o := range r.OctaveAnalysis {
				n += cap(o.Frequencies)*8 + cap(o.Harmonics)*24
			}
			return n + cap(r.Convergence.Points)*32 + cap(r.StandingWaves.Nodes)*32
		},
		func() *cascade.Result { return result(true) }, result(true), result(false))
}
