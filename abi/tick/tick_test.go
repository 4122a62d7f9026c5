package tick_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/tick"
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
	const names = "names must be 1 to 64 lower-case letters, digits and '_', a letter first"
	for name, c := range map[string]struct {
		message interface{ Validate() error }
		want    string
	}{
		"nodes":         {nodes(func(*tick.NodesRequest) {}), ""},
		"time":          {nodes(func(r *tick.NodesRequest) { r.NowMS = math.NaN() }), "now_ms: must be between -8.64e15 and 8.64e15"},
		"default":       {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Frequency = 0 }), ""},
		"frequency":     {nodes(func(r *tick.NodesRequest) { r.Nodes[1].Frequency = -1 }), "nodes[1].frequency: must be above 0 and at most 1e6"},
		"strength":      {nodes(func(r *tick.NodesRequest) { r.Nodes[1].Strength = 1.01 }), "nodes[1].resonance_strength: must be between 0 and 1"},
		"no id":         {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = "" }), "nodes[0].id: must have 1 to 128 bytes"},
		"long id":       {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = strings.Repeat("x", 129) }), "nodes[0].id: must have 1 to 128 bytes"},
		"odd id":        {nodes(func(r *tick.NodesRequest) { r.Nodes[0].ID = "a\n" }), "nodes[0].id: must be printable ASCII"},
		"id twice":      {nodes(func(r *tick.NodesRequest) { r.Nodes[1].ID = "a" }), `nodes[1].id: "a" is there twice`},
		"state":         {nodes(func(r *tick.NodesRequest) { r.Nodes[0].State = "asleep" }), `nodes[0].state: must be "resonating" or "stopped"`},
		"pattern":       {nodes(func(r *tick.NodesRequest) { r.Patterns["p"] = 2 }), "patterns.p: must be between 0 and 1"},
		"pattern name":  {nodes(func(r *tick.NodesRequest) { r.Patterns["__proto__"] = 0 }), "patterns: " + names},
		"reserved":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Patterns = []string{"constructor"} }), `nodes[0].harmonic_patterns[0]: "constructor" is reserved`},
		"attached":      {nodes(func(r *tick.NodesRequest) { r.Nodes[0].Patterns = make([]string, 65) }), "nodes[0].harmonic_patterns: must be at most 64"},
		"network":       {network(func(*tick.NetworkRequest) {}), ""},
		"metric":        {network(func(r *tick.NetworkRequest) { r.Network.Metrics.FieldStrength = 1.1 }), "metrics.fieldStrength: must be at most 1"},
		"field name":    {network(func(r *tick.NetworkRequest) { r.Network.Fields["F"] = tick.Field{} }), "network.fields: " + names},
		"field":         {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{Strength: math.Inf(1)} }), "network.fields.f: must have numbers of a magnitude of at most 1e9"},
		"field state":   {network(func(r *tick.NetworkRequest) { r.Network.Fields["f"] = tick.Field{State: "x"} }), `network.fields.f.state: must be "active" or "paused"`},
		"phase":         {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{Phase: 360} }), "network.patterns.p.current_phase: must be from 0 to below 360"},
		"cycles":        {network(func(r *tick.NetworkRequest) { r.Network.Patterns["p"] = tick.Pattern{TotalCycles: 1 << 53} }), "network.patterns.p.total_cycles: must be at most 2^53-1"},
		"connection":    {ends(func(*tick.ConnectionRequest) {}), ""},
		"end frequency": {ends(func(r *tick.ConnectionRequest) { r.B.Frequency = 0 }), "b.frequency: must be above 0 and at most 1e6"},
		"end strength":  {ends(func(r *tick.ConnectionRequest) { r.A.Strength = -1 }), "a.resonance_strength: must be between 0 and 1"},
		"position":      {ends(func(r *tick.ConnectionRequest) { r.A.Position.Y = math.NaN() }), "a.position: must have x and y of a magnitude of at most 1e9"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.message.Validate()
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
	if _, err := r.Respond(&tick.NodesResult{Strength: []float64{1}, Progress: []uint64{0}}); err == nil {
		t.Error("a result of one node answers two")
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
	a := arrays()
	room := make([]byte, 0, 4<<10)
	b, _ := a.AppendBinary(nil)
	n := testing.AllocsPerRun(50, func() {
		if _, err := a.AppendBinary(room); err != nil {
			t.Fatal(err)
		}
		if err := a.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type record interface {
	AppendBinary(b []byte) ([]byte, error)
	UnmarshalBinary(b []byte) error
}

// fuzzRecord checks that a record which decodes is encoded such that it decodes
// to the same.
func fuzzRecord(f *testing.F, fresh func() record, seeds ...record) {
	for _, s := range seeds {
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v := fresh()
		if v.UnmarshalBinary(b) != nil {
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
		if x, y := fmt.Sprint(v), fmt.Sprint(second); x != y { // NaN is NaN in print
			t.Fatalf("%s became %s", x, y)
		}
	})
}

func FuzzNodes(f *testing.F) {
	fuzzRecord(f, func() record { return new(tick.Nodes) }, arrays(), (&tick.NodesRequest{}).Arrays())
}

func FuzzNodesResult(f *testing.F) {
	fuzzRecord(f, func() record { return new(tick.NodesResult) },
		&tick.NodesResult{Strength: []float64{1, 2}, Pattern: []float64{3}, Progress: []uint64{1}})
}

func FuzzNetworkState(f *testing.F) {
	fuzzRecord(f, func() record { return new(tick.NetworkState) },
		&tick.NetworkState{Fields: []tick.Field{{State: tick.Paused}}, Patterns: []tick.Pattern{{TotalCycles: 4}}})
}

func FuzzConnection(f *testing.F) {
	fuzzRecord(f, func() record { return new(tick.ConnectionRequest) }, &tick.ConnectionRequest{A: tick.End{Frequency: 1}})
}
