package tick_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/fieldtest"
	"github.com/resonhost/resonhost/resonance/tick"
)

func node(id string) tick.Node { return tick.Node{ID: id, Frequency: 100, Strength: 0.5} }

func TestValidate(t *testing.T) {
	nodes := func(change func(*tick.NodesRequest)) interface{ Validate() error } {
		r := &tick.NodesRequest{Nodes: []tick.Node{node("a"), node("b")}, Patterns: map[string]float64{"p": 0.5}}
		change(r)
		return r
	}
	network := func(change func(*tick.NetworkRequest)) interface{ Validate() error } {
		r := &tick.NetworkRequest{Network: tick.Network{
			Fields: map[string]tick.Field{"f": {}}, Patterns: map[string]tick.Pattern{"p": {}},
		}}
		change(r)
		return r
	}
	ends := func(change func(*tick.ConnectionRequest)) interface{ Validate() error } {
		r := &tick.ConnectionRequest{A: tick.End{Frequency: 1}, B: tick.End{Frequency: 1}}
		change(r)
		return r
	}
	const names = "is no name: must be 1 to 64 lower-case letters, digits and '_', a letter first"
	for name, c := range map[string]struct {
		message interface{ Validate() error }
		want    string
	}{
		"nodes":        {nodes(func(*tick.NodesRequest) {}), ""},
		"time":         {nodes(func(r *tick.NodesRequest) { r.NowMS = math.NaN() }), "now_ms: must be between -8.64e15 and 8.64e15"},
		"default":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Frequency = 0 }), ""},
		"frequency":    {nodes(func(r *tick.NodesRequest) { r.Nodes[1].Frequency = -1 }), "nodes[1].frequency: must be above 0 and at most 1e6"},
		"strength":     {nodes(func(r *tick.NodesRequest) { r.Nodes[1].Strength = 1.01 }), "nodes[1].resonance_strength: must be between 0 and 1"},
		"no id":        {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = "" }), "nodes[0].id: must have 1 to 128 bytes"},
		"long id":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = strings.Repeat("x", 129) }), "nodes[0].id: must have 1 to 128 bytes"},
		"odd id":       {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = "a\n" }), "nodes[0].id: must be printable ASCII"},
		"id twice":     {nodes(func(r *tick.NodesRequest) { r.Nodes[1].ID = "a" }), `nodes[1].id: "a" is there twice`},
		"state":        {nodes(func(r *tick.NodesRequest) { r.Nodes[0].State = "asleep" }), `nodes[0].state: must be "resonating" or "stopped"`},
		"pattern":      {nodes(func(r *tick.NodesRequest) { r.Patterns["p"] = 2 }), "patterns.p: must be between 0 and 1"},
		"pattern name": {nodes(func(r *tick.NodesRequest) { r.Patterns["__proto__"] = 0 }), `patterns: "__proto__" ` + names},
		"long name": {nodes(func(r *tick.NodesRequest) { r.Patterns[strings.Repeat("a", 65)] = 0 }),
			`patterns: "` + strings.Repeat("a", 64) + `"… ` + names},
		"attached name": {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Patterns = []string{"p", "1"} }), `nodes[0].harmonic_patterns[1]: "1" ` + names},
		"prototype":     {nodes(func(r *tick.NodesRequest) { r.Patterns["prototype"] = 0 }), `patterns: "prototype" is reserved`},
		"all patterns":  {nodes(func(r *tick.NodesRequest) { many(r.Patterns, tick.MaxPatterns-1) }), ""},
		"many patterns": {nodes(func(r *tick.NodesRequest) { many(r.Patterns, tick.MaxPatterns) }), "patterns: must be at most 4096, are 4097"},
		"many nodes":    {nodes(func(r *tick.NodesRequest) { r.Nodes = make([]tick.Node, tick.MaxNodes+1) }), "nodes: must be at most 1048576, are 1048577"},
		"infinite time": {nodes(func(r *tick.NodesRequest) { r.NowMS = math.Inf(-1) }), "now_ms: must be between -8.64e15 and 8.64e15"},
		"high":          {nodes(func(r *tick.NodesRequest) { r.Nodes[1].Frequency = 1e6 + 1 }), "nodes[1].frequency: must be above 0 and at most 1e6"},
		"reserved":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Patterns = []string{"constructor"} }), `nodes[0].harmonic_patterns[0]: "constructor" is reserved`},
		"attached":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Patterns = make([]string, 65) }), "nodes[0].harmonic_patterns: must be at most 64"},
		"network":       {network(func(*tick.NetworkRequest) {}), ""},
		"metric":        {network(func(r *tick.NetworkRequest) { r.Network.Metrics.FieldStrength = 1.1 }), "network.metrics.fieldStrength: must be between -1e9 and 1"},
		"low metric":    {network(func(r *tick.NetworkRequest) { r.Network.Metrics.NetworkCoherence = math.Inf(-1) }), "network.metrics.networkCoherence: must be between -1e9 and 1"},
		"many fields":   {network(func(r *tick.NetworkRequest) { many(r.Network.Fields, tick.MaxPatterns) }), "network.fields: must be at most 4096, are 4097"},
		"network's":     {network(func(r *tick.NetworkRequest) { many(r.Network.Patterns, tick.MaxPatterns) }), "network.patterns: must be at most 4096, are 4097"},
		"resonances":    {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{TotalResonances: 1 << 53} }), "network.fields.f.total_resonances: must be at most 2^53-1"},
		"stability":     {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{HarmonicStability: math.NaN()} }), "network.fields.f.harmonic_stability: must be between -1e9 and 1e9"},
		"harmonic":      {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{Strength: math.NaN()} }), "network.patterns.p.harmonic_strength: must be between -1e9 and 1e9"},
		"peak":          {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{Peak: 2e9} }), "network.patterns.p.peak_harmonic: must be between -1e9 and 1e9"},
		"enhancement":   {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{Enhancement: -2e9} }), "network.patterns.p.consciousness_enhancement: must be between -1e9 and 1e9"},
		"pattern state": {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{State: "stopped"} }), `network.patterns.p.state: must be "active" or "paused"`},
		"field name":    {network(func(r *tick.NetworkRequest) { r.Network.Fields["F"] = tick.Field{} }), `network.fields: "F" ` + names},
		"field":         {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{Strength: math.Inf(1)} }), "network.fields.f.field_strength: must be between -1e9 and 1e9"},
		"field state":   {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{State: "x"} }), `network.fields.f.state: must be "active" or "paused"`},
		"phase":         {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{Phase: 360} }), "network.patterns.p.current_phase: must be from 0 to below 360"},
		"cycles":        {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{TotalCycles: 1 << 53} }), "network.patterns.p.total_cycles: must be at most 2^53-1"},
		"connection":    {ends(func(*tick.ConnectionRequest) {}), ""},
		"end frequency": {ends(func(r *tick.ConnectionRequest) { r.B.Frequency = 0 }), "b.frequency: must be above 0 and at most 1e6"},
		"end strength":  {ends(func(r *tick.ConnectionRequest) { r.A.Strength = -1 }), "a.resonance_strength: must be between 0 and 1"},
		"position":      {ends(func(r *tick.ConnectionRequest) { r.A.Position.Y = math.NaN() }), "a.position.y: must be between -1e9 and 1e9"},
	} {
		t.Run(name, func(t *testing.T) {
			fieldtest.Check(t, c.message.Validate(), c.want)
		})
	}
}

func many[T any](m map[string]T, n int) {
	var zero T
	for i := range n {
		m[fmt.Sprintf("x%d", i)] = zero
	}
}

func TestNetworkStateValidate(t *testing.T) {
	for name, c := range map[string]struct {
		state tick.NetworkState
		want  string
	}{
		"metric":  {tick.NetworkState{Metrics: tick.Metrics{TranscendentHarmonics: 2}}, "metrics.transcendentHarmonics: must be between -1e9 and 1"},
		"field":   {tick.NetworkState{Fields: []tick.Field{{}, {Coherence: math.NaN()}}}, "fields[1].field_coherence: must be between -1e9 and 1e9"},
		"pattern": {tick.NetworkState{Patterns: []tick.Pattern{{Phase: -1}}}, "patterns[0].current_phase: must be from 0 to below 360"},
	} {
		if err := c.state.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
	}
}

func TestResultsValidate(t *testing.T) {
	result := func() *tick.NodesResult {
		return &tick.NodesResult{Strength: make([]float64, 65), Pattern: make([]float64, 2), Progress: []uint64{math.MaxUint64, 1}}
	}
	if err := result().Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		spoil func(*tick.NodesResult)
		want  string
	}{
		"strength":      {func(r *tick.NodesResult) { r.Strength[64] = math.NaN() }, "nodes[64].resonance_strength: must be between 0 and 1"},
		"pattern":       {func(r *tick.NodesResult) { r.Pattern[1] = -0.1 }, "patterns[1]: must be between 0 and 1"},
		"few bits":      {func(r *tick.NodesResult) { r.Progress = r.Progress[:1] }, "progress: must have a bit a node, and none beyond"},
		"bit beyond":    {func(r *tick.NodesResult) { r.Progress[1] = 2 }, "progress: must have a bit a node, and none beyond"},
		"many nodes":    {func(r *tick.NodesResult) { r.Strength = make([]float64, tick.MaxNodes+1) }, "nodes: must be at most 1048576, are 1048577"},
		"many patterns": {func(r *tick.NodesResult) { r.Pattern = make([]float64, tick.MaxPatterns+1) }, "patterns: must be at most 4096, are 4097"},
	} {
		r := result()
		c.spoil(r)
		if err := r.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
	}
	for want, c := range map[string]tick.ConnectionResult{
		"resonance_strength: must be between 0 and 1": {Strength: math.NaN()},
		"connection_quality: must be between 0 and 1": {Quality: 1.5},
	} {
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

// TestAppendRefuses has what a record cannot carry.
func TestAppendRefuses(t *testing.T) {
	for want, m := range map[string]encoding.BinaryAppender{
		`nodes[1].state: must be "resonating" or "stopped"`: &tick.NodesRequest{Nodes: []tick.Node{{}, {State: "asleep"}}},
		"nodes: must be arrays of one length":               &tick.Nodes{Strength: make([]float64, 1), Offset: make([]uint32, 1)},
		"progress: must have a bit a node, and none beyond": &tick.NodesResult{Progress: make([]uint64, 1)},
		`fields[0].state: must be "active" or "paused"`:     &tick.NetworkState{Fields: []tick.Field{{State: "resonating"}}},
		`patterns[0].state: must be "active" or "paused"`:   &tick.NetworkRequest{Network: tick.Network{Patterns: map[string]tick.Pattern{"p": {State: "x"}}}},
	} {
		if _, err := m.AppendBinary(nil); err == nil || err.Error() != want {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

func TestArraysValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tick.Nodes)
		want   string
	}{
		"lengths":     {func(a *tick.Nodes) { a.Strength = a.Strength[:1] }, "nodes: must be arrays of one length, at most 1048576"},
		"frequency":   {func(a *tick.Nodes) { a.Frequency[1] = math.NaN() }, "nodes[1].frequency: must be above 0 and at most 1e6"},
		"strength":    {func(a *tick.Nodes) { a.Strength[1] = math.NaN() }, "nodes[1].resonance_strength: must be between 0 and 1"},
		"offsets":     {func(a *tick.Nodes) { a.Offset[2] = 9 }, "offsets: must begin at 0 and end at the number of attachments"},
		"backwards":   {func(a *tick.Nodes) { a.Offset[1] = 7 }, "nodes[1].harmonic_patterns: must be at most 64"},
		"attachments": {func(a *tick.Nodes) { a.Attached[0] = 2 }, "attached[0]: must be the index of a pattern"},
	} {
		a := arrays()
		c.change(a)
		if err := a.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
	}
}

func arrays() *tick.Nodes {
	r := &tick.NodesRequest{
		NowMS: 5, Patterns: map[string]float64{"q": 0.25},
		Nodes: []tick.Node{{ID: "a", Patterns: []string{"q", "p"}}, {ID: "b", State: tick.Stopped, Strength: 0.5, Patterns: []string{"p"}}},
	}
	return r.Arrays()
}

func TestArrays(t *testing.T) {
	want := &tick.Nodes{
		NowMS: 5, Frequency: []float64{100, 100}, Strength: []float64{0, 0.5}, Stopped: []bool{false, true},
		Pattern: []float64{0, 0.25}, Offset: []uint32{0, 2, 3}, Attached: []uint32{1, 0, 0},
	}
	if got := arrays(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRespond(t *testing.T) {
	r := &tick.NodesRequest{Nodes: []tick.Node{{ID: "a", Patterns: []string{"p"}}, {ID: "b"}}}
	out, err := r.Respond(&tick.NodesResult{Strength: []float64{0.1, 0.2}, Pattern: []float64{0.3}, Progress: []uint64{2}})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(out)
	want := `{"nodes":[` +
		`{"id":"a","frequency":100,"resonance_strength":0.1,"state":"resonating","harmonic_patterns":["p"]},` +
		`{"id":"b","frequency":100,"resonance_strength":0.2,"state":"resonating","harmonic_patterns":[]}],` +
		`"patterns":{"p":0.3},"progress":["b"]}`
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	for name, res := range map[string]*tick.NodesResult{
		"one node":    {Strength: []float64{1}, Pattern: []float64{0}, Progress: []uint64{0}},
		"no pattern":  {Strength: []float64{1, 1}, Progress: []uint64{0}},
		"no progress": {Strength: []float64{1, 1}, Pattern: []float64{0}},
	} {
		if _, err := r.Respond(res); err == nil || err.Error() != "tick: the result is not of this request" {
			t.Errorf("%s: err %v", name, err)
		}
	}
}

// TestRespondNetwork has maps whose order must not matter.
func TestRespondNetwork(t *testing.T) {
	r := &tick.NetworkRequest{NowMS: 7, Network: tick.Network{
		Fields:   map[string]tick.Field{"z": {Strength: 0.1}, "a": {Strength: 0.2}},
		Patterns: map[string]tick.Pattern{"y": {Phase: 3}, "b": {Phase: 4}},
	}}
	state := r.State()
	if state.Fields[0].Strength != 0.2 || state.Patterns[1].Phase != 3 || state.NowMS != 7 {
		t.Fatalf("%+v", state)
	}
	state.Metrics.FieldStrength, state.Fields[1].Strength, state.Patterns[0].Phase = 0.5, 0.3, 5
	out, err := r.Respond(state)
	if err != nil {
		t.Fatal(err)
	}
	n := out.Network
	if n.Metrics.FieldStrength != 0.5 || n.Fields["z"].Strength != 0.3 || n.Fields["a"].Strength != 0.2 || n.Patterns["b"].Phase != 5 || n.Patterns["y"].Phase != 3 {
		t.Errorf("%+v", n)
	}
	if _, err := r.Respond(&tick.NetworkState{}); err == nil || err.Error() != "tick: the result is not of this request" {
		t.Errorf("err %v", err)
	}
}

// TestPosition compares with the places of the recorded nodes.
func TestPosition(t *testing.T) {
	b, err := os.ReadFile("../../testdata/vectors/tick-node.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(b) {
		var v struct{ Position tick.Position }
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		got, want := tick.PositionOf(v.Position.SpiralPosition), v.Position
		near := func(a, b float64) bool { return math.Abs(a-b) <= max(1e-12, 1e-9*math.Abs(b)) }
		if got.Layer != want.Layer || !near(got.X, want.X) || !near(got.Y, want.Y) || !near(got.GoldenRatioFactor, want.GoldenRatioFactor) {
			t.Errorf("%+v, want %+v", got, want)
		}
		n++
	}
	if n != 60 {
		t.Errorf("%d recorded nodes, want 60", n)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	nodes, _ := arrays().AppendBinary(nil)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(nodes)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no nodes":        {new(tick.Nodes).UnmarshalBinary(nil), "record: must have 32 bytes, has 0"},
		"huge count":      {new(tick.Nodes).UnmarshalBinary(change(7, 0x7f)), "record: counts more than the message may have"},
		"huge attachment": {new(tick.Nodes).UnmarshalBinary(change(22, 1)), "record: counts more than the message may have"},
		"another size":    {new(tick.Nodes).UnmarshalBinary(change(0, 3)), "record: must have 136 bytes, has 120"},
		"odd state":       {new(tick.Nodes).UnmarshalBinary(change(len(nodes)-8, 2)), "nodes[0].state: must be 0 or 1 in a record"},
		"no result":       {new(tick.NodesResult).UnmarshalBinary(make([]byte, 15)), "record: must have 16 bytes, has 15"},
		"result's size":   {new(tick.NodesResult).UnmarshalBinary(make([]byte, 24)), "record: must have 16 bytes, has 24"},
		"no network":      {new(tick.NetworkState).UnmarshalBinary(nil), "record: must have 120 bytes, has 0"},
		"no connection":   {new(tick.ConnectionRequest).UnmarshalBinary(nil), "record: must have 64 bytes, has 0"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("%s: err %v, want %s", name, c.err, c.want)
		}
	}
}

func TestNoAllocationOnReuse(t *testing.T) {
	room := make([]byte, 0, 4<<10)
	for _, m := range []message{
		arrays(),
		&tick.NodesResult{Strength: make([]float64, 70), Pattern: make([]float64, 3), Progress: make([]uint64, 2)},
		&tick.NetworkState{Fields: make([]tick.Field, 3), Patterns: make([]tick.Pattern, 3)},
		&tick.ConnectionRequest{A: tick.End{Frequency: 1}, B: tick.End{Frequency: 1}},
		&tick.ConnectionResult{Strength: 1},
	} {
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(50, func() {
			if _, err := m.AppendBinary(room); err != nil {
				t.Fatal(err)
			}
			if err := m.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%T: %v allocations", m, n)
		}
	}
}

type message interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
	Validate() error
}

// fuzzRecord checks that a record which decodes is encoded such that it decodes
// to the same, also into a value that held another before, and that decoding keeps
// no more memory than a few times the record. size is the memory of a value's
// slices.
func fuzzRecord[M message](f *testing.F, fresh func() M, size func(M) int, seeds ...M) {
	var records [][]byte
	for _, s := range seeds {
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		records = append(records, b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, used := fresh(), fresh()
		if err := used.UnmarshalBinary(records[0]); err != nil {
			t.Fatal(err)
		}
		err := v.UnmarshalBinary(b)
		if got := size(v); got > 4*len(b)+1<<10 {
			t.Fatalf("%d bytes became %d", len(b), got)
		}
		if again := used.UnmarshalBinary(b); (again == nil) != (err == nil) {
			t.Fatalf("err %v, of a used value %v", err, again)
		}
		if err != nil {
			return
		}
		again, err := v.AppendBinary(nil)
		if err != nil || len(again) != len(b) {
			t.Fatalf("%x became %x, err %v", b, again, err)
		}
		second := fresh()
		if err := second.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		for _, other := range []M{second, used} {
			if x, y := fmt.Sprint(v), fmt.Sprint(other); x != y { // NaN is NaN in print
				t.Fatalf("%s became %s", x, y)
			}
		}
		if x, y := fmt.Sprint(v.Validate()), fmt.Sprint(second.Validate()); x != y {
			t.Fatalf("%s became %s", x, y)
		}
	})
}

func FuzzNodes(f *testing.F) {
	fuzzRecord(f, func() *tick.Nodes { return new(tick.Nodes) },
		func(a *tick.Nodes) int {
			return 8*(cap(a.Frequency)+cap(a.Strength)+cap(a.Pattern)) + 4*(cap(a.Offset)+cap(a.Attached)) + cap(a.Stopped)
		},
		arrays(), (&tick.NodesRequest{}).Arrays())
}

func FuzzNodesResult(f *testing.F) {
	fuzzRecord(f, func() *tick.NodesResult { return new(tick.NodesResult) },
		func(r *tick.NodesResult) int { return 8 * (cap(r.Strength) + cap(r.Pattern) + cap(r.Progress)) },
		&tick.NodesResult{Strength: []float64{1, 2}, Pattern: []float64{3}, Progress: []uint64{1}})
}

func FuzzNetworkState(f *testing.F) {
	fuzzRecord(f, func() *tick.NetworkState { return new(tick.NetworkState) },
		func(s *tick.NetworkState) int { return 64*cap(s.Fields) + 56*cap(s.Patterns) },
		&tick.NetworkState{Fields: []tick.Field{{State: tick.Paused}}, Patterns: []tick.Pattern{{TotalCycles: 4}}})
}

func FuzzConnectionRequest(f *testing.F) {
	fuzzRecord(f, func() *tick.ConnectionRequest { return new(tick.ConnectionRequest) },
		func(*tick.ConnectionRequest) int { return 0 },
		&tick.ConnectionRequest{A: tick.End{Frequency: 1}})
}

func FuzzConnectionResult(f *testing.F) {
	fuzzRecord(f, func() *tick.ConnectionResult { return new(tick.ConnectionResult) },
		func(*tick.ConnectionResult) int { return 0 },
		&tick.ConnectionResult{Strength: 1})
}

// FuzzNodesRequest checks that a request which is valid in JSON is so as a record,
// and answered by a result of its size.
func FuzzNodesRequest(f *testing.F) {
	f.Add([]byte(`{"now_ms": 1, "nodes": [{"id": "a", "harmonic_patterns": ["p", "q"]}, {"id": "b", "state": "stopped"}], "patterns": {"p": 0.5}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var r tick.NodesRequest
		if json.Unmarshal(doc, &r) != nil || r.Validate() != nil {
			return
		}
		b, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var a tick.Nodes
		if err := a.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		out, err := r.Respond(&tick.NodesResult{Strength: a.Strength, Pattern: a.Pattern, Progress: make([]uint64, (len(r.Nodes)+63)/64)})
		if err != nil || len(out.Nodes) != len(r.Nodes) || len(out.Patterns) < len(r.Patterns) {
			t.Fatalf("%+v, err %v", out, err)
		}
	})
}

// FuzzNetworkRequest checks that a request which is valid in JSON is so as a
// record, and that a record of it answers it.
func FuzzNetworkRequest(f *testing.F) {
	f.Add([]byte(`{"now_ms": 1, "network": {"metrics": {"fieldStrength": 0.5}, "fields": {"f": {"field_strength": 1}}, "patterns": {"p": {"state": "paused"}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var r tick.NetworkRequest
		if json.Unmarshal(doc, &r) != nil || r.Validate() != nil {
			return
		}
		b, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var s tick.NetworkState
		if err := s.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Respond(&s); err != nil {
			t.Fatal(err)
		}
	})
}
