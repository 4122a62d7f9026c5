package resonance_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/fieldtest"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// transforms are those of cascade and tick.
var transforms = map[string]host.Transform{
	"cascade":    {Name: "cascade", Input: cascade.MediaTypeState, Output: cascade.MediaTypeResult},
	"node":       {Name: "tick.node", Input: tick.MediaTypeNodes, Output: tick.MediaTypeNodesResult},
	"network":    {Name: "tick.network", Input: tick.MediaTypeNetwork, Output: tick.MediaTypeNetwork},
	"connection": {Name: "tick.connection", Input: tick.MediaTypeConnection, Output: tick.MediaTypeConnectionResult},
}

func of(tb testing.TB, name string) codec.Codec {
	tb.Helper()
	c, err := resonance.Codecs().For(transforms[name])
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ codec, name, doc, want string }{
		{"cascade", "empty", " ", "document: is empty"},
		{"cascade", "null", " null ", "document: must not be null"},
		{"cascade", "array", `[]`, "document: must be an object"},
		{"cascade", "unknown member", `{"phi": 1}`, `phi: is not a known field; did you mean "phiValue"?`},
		{"cascade", "misspelt member", `{"phiValu": 1}`, `phiValu: is not a known field; did you mean "phiValue"?`},
		{"cascade", "misspelt stream", `{"strem": "a"}`, `strem: is not a known field; did you mean "stream"?`},
		{"cascade", "prototype", `{"__proto__": {}}`, "__proto__: is not a known field"},
		{"cascade", "twice", `{"phiValue": 1, "phiValue": 1}`, "phiValue: is there twice"},
		{"cascade", "string for a number", `{"phiValue": "1"}`, "phiValue: must be a number"},
		{"cascade", "beyond a float", `{"phiValue": 1e999}`, "phiValue: is out of range"},
		{"cascade", "beyond the bounds", `{"phiValue": 1e13}`, "phiValue: must be 0 or of a magnitude between 1e-12 and 1e12"},
		{"cascade", "fraction of a ms", `{"timestamp": 0.5}`, "timestamp: must be a whole number in range"},
		{"cascade", "timestamp", `{"timestamp": 9000000000000000}`, "timestamp: must be between -8.64e15 and 8.64e15"},
		{"cascade", "timestamp beyond int64", `{"timestamp": 1` + strings.Repeat("0", 30) + `}`, "timestamp: is out of range"},
		{"cascade", "detail", `{"detail": "most"}`, `detail: must be "full" or "summary"`},
		{"cascade", "detail of another type", `{"detail": 1}`, "detail: must be a string"},
		{"cascade", "empty stream", `{"stream": ""}`, "stream: must have 1 to 256 bytes, has 0"},
		{"cascade", "long stream", `{"stream": "` + strings.Repeat("x", 257) + `"}`, "stream: must have 1 to 256 bytes, has 257"},
		{"cascade", "stream of another type", `{"stream": 1}`, "stream: must be a string"},
		{"node", "no time", `{"nodes": []}`, "now_ms: is required"},
		{"node", "null time", `{"now_ms": null, "nodes": []}`, "now_ms: is required"},
		{"node", "no nodes", `{"now_ms": 1}`, "nodes: is required"},
		{"node", "nested", `{"now_ms": 1, "nodes": [{"id": "a"}, {"id": "b", "frequency": []}]}`, "nodes[1].frequency: must be a number"},
		{"node", "null node", `{"now_ms": 1, "nodes": [null]}`, "nodes[0].id: must have 1 to 128 bytes"},
		{"node", "nested unknown", `{"now_ms": 1, "nodes": [{"id": "a", "frequncy": 1}]}`, `nodes[0].frequncy: is not a known field; did you mean "frequency"?`},
		{"node", "out of bounds", `{"now_ms": 1, "nodes": [{"id": "a", "frequency": -1}]}`, "nodes[0].frequency: must be above 0 and at most 1e6"},
		{"node", "pattern", `{"now_ms": 1, "nodes": [], "patterns": {"a": "b"}}`, "patterns.a: must be a number"},
		{"node", "pattern twice", `{"now_ms": 1, "nodes": [], "patterns": {"a": 1, "a": 1}}`, "patterns.a: is there twice"},
		{"node", "reserved pattern", `{"now_ms": 1, "nodes": [], "patterns": {"constructor": 1}}`, `patterns: "constructor" is reserved`},
		{"node", "array for an object", `{"now_ms": 1, "nodes": [], "patterns": []}`, "patterns: must be an object"},
		{"node", "object for an array", `{"now_ms": 1, "nodes": {}}`, "nodes: must be an array"},
		{"network", "no network", `{"now_ms": 1}`, "network: is required"},
		{"network", "no time", `{"network": {}}`, "now_ms: is required"},
		{"network", "negative count", `{"now_ms": 1, "network": {"fields": {"a_field": {"total_resonances": -1}}}}`, "network.fields.a_field.total_resonances: must be a whole number in range"},
		{"network", "metric", `{"now_ms": 1, "network": {"metrics": {"fieldStrenght": 1}}}`, `network.metrics.fieldStrenght: is not a known field; did you mean "fieldStrength"?`},
		{"connection", "no frequency", `{"a": {}, "b": {}}`, "a.frequency: must be above 0 and at most 1e6"},
		{"connection", "position", `{"a": {"position": {"z": 1}}}`, "a.position.z: is not a known field"},
	} {
		t.Run(c.codec+"/"+c.name, func(t *testing.T) {
			_, err := of(t, c.codec).Decode([]byte(c.doc))
			fieldtest.Check(t, err, c.want)
		})
	}
}

func TestCascade(t *testing.T) {
	for _, c := range []struct {
		doc, stream string
		want        cascade.State
	}{
		// A clock would make the same line give two answers: no timestamp is 0.
		{`{}`, "", cascade.State{Detail: cascade.DetailFull}},
		{`{"phiValue": null, "stream": null}`, "", cascade.State{Detail: cascade.DetailFull}},
		{
			` {"awarenessLevel": 1, "coherenceScore": 2, "phiValue": 3, "emotionalResonance": 4, "creativeEmergence": 5, "timestamp": 6, "detail": "summary", "stream": "s"} `,
			"s",
			cascade.State{AwarenessLevel: 1, CoherenceScore: 2, PhiValue: 3, EmotionalResonance: 4, CreativeEmergence: 5, Timestamp: 6, Detail: cascade.DetailSummary},
		},
	} {
		call, err := of(t, "cascade").Decode([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		var got cascade.State
		if err := got.UnmarshalBinary(call.Payload); err != nil {
			t.Fatal(err)
		}
		if got != c.want || call.Stream != c.stream {
			t.Errorf("%s: %+v of stream %q, want %+v of %q", c.doc, got, call.Stream, c.want, c.stream)
		}
	}
}

// TestEncodeRefuses is of plugins that do not answer in their media type.
func TestEncodeRefuses(t *testing.T) {
	docs := map[string]string{
		"cascade": `{}`, "node": `{"now_ms": 1, "nodes": [{"id": "a"}]}`, "network": `{"now_ms": 1, "network": {}}`,
		"connection": `{"a": {"frequency": 1}, "b": {"frequency": 1}}`,
	}
	for name, doc := range docs {
		call, err := of(t, name).Decode([]byte(doc))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if line, err := call.Encode([]byte("\xff\xff")); err == nil {
			t.Errorf("%s: gives %s", name, line)
		}
	}
}

// records are the messages that payloads are of.
var records = map[string]func() message{
	"cascade":    func() message { return new(cascade.State) },
	"node":       func() message { return new(tick.Nodes) },
	"network":    func() message { return new(tick.NetworkState) },
	"connection": func() message { return new(tick.ConnectionRequest) },
}

type message interface {
	encoding.BinaryUnmarshaler
	Validate() error
}

// FuzzDecode feeds one document to every codec: none panics, each error is short
// and names a field, and a payload is a valid record of its media type.
func FuzzDecode(f *testing.F) {
	for _, doc := range []string{
		`{"awarenessLevel": 0.5, "timestamp": 1760000000000, "stream": "s", "detail": "summary"}`,
		`{"now_ms": 1, "nodes": [{"id": "a", "frequency": 432, "resonance_strength": 0.5, "state": "stopped", "harmonic_patterns": ["p"]}], "patterns": {"p": 0.25}}`,
		`{"now_ms": 1, "network": {"metrics": {"fieldStrength": 0.5}, "fields": {"a": {"state": "paused"}}, "patterns": {"b": {"total_cycles": 3}}}}`,
		`{"a": {"frequency": 1, "resonance_strength": 1, "position": {"x": 1, "y": 2, "layer": 0}}, "b": {"frequency": 2}}`,
		`{"__proto__": 1}`, `{"a": 1, "a": 2}`, "\"\xff\"", `{"a":`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for name := range transforms {
			call, err := of(t, name).Decode(doc)
			if err != nil {
				fault := (*abi.FieldError)(nil)
				if !errors.As(err, &fault) || fault.Field == "" || fault.Rule == "" {
					t.Fatalf("%s: %T %v", name, err, err)
				}
				if len(fault.Rule) > 500 {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			if !json.Valid(doc) {
				t.Fatalf("%s: took what is no JSON", name)
			}
			record := records[name]()
			if err := errors.Join(record.UnmarshalBinary(call.Payload), record.Validate()); err != nil {
				t.Fatalf("%s: took what is not valid: %v", name, err)
			}
		}
	})
}

// FuzzCascade goes from JSON to a message and back.
func FuzzCascade(f *testing.F) {
	f.Add([]byte(`{"awarenessLevel": 0.5, "phiValue": -1e-12, "timestamp": 1760000000000, "detail": "summary"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		call, err := of(t, "cascade").Decode(doc)
		if err != nil {
			return
		}
		var state cascade.State
		if err := state.UnmarshalBinary(call.Payload); err != nil {
			t.Fatal(err)
		}
		if err := state.Validate(); err != nil {
			t.Fatalf("took what does not validate: %v", err)
		}
		back, err := json.Marshal(&state)
		if err != nil {
			t.Fatal(err)
		}
		again, err := of(t, "cascade").Decode(back)
		if err != nil {
			t.Fatalf("%s: %v", back, err)
		}
		// A field of −0 is absent, as one of 0.
		var second cascade.State
		if err := second.UnmarshalBinary(again.Payload); err != nil || second != state {
			t.Fatalf("%+v came back as %+v, err %v", state, second, err)
		}
	})
}

// FuzzEncode feeds one output to every codec: none panics, and what comes out is
// one line of JSON.
func FuzzEncode(f *testing.F) {
	f.Add(make([]byte, 168))
	f.Fuzz(func(t *testing.T, output []byte) {
		docs := map[string]string{
			"cascade":    `{}`,
			"node":       `{"now_ms": 1, "nodes": [{"id": "a"}]}`,
			"network":    `{"now_ms": 1, "network": {}}`,
			"connection": `{"a": {"frequency": 1}, "b": {"frequency": 1}}`,
		}
		for name, doc := range docs {
			call, err := of(t, name).Decode([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			line, err := call.Encode(output)
			if err == nil && (!json.Valid(line) || bytes.ContainsAny(line, "\n\r")) {
				t.Fatalf("%s: %q", name, line)
			}
		}
	})
}

// TestManyEmptyNodes has a document within the bounds that would cost a gigabyte.
func TestManyEmptyNodes(t *testing.T) {
	doc := []byte(`{"now_ms": 1, "nodes": [` + strings.TrimSuffix(strings.Repeat("{},", 2_700_000), ",") + `]}`)
	if _, err := of(t, "node").Decode(doc); err == nil || err.Error() != "nodes: must be at most 1048576" {
		t.Errorf("err %v", err)
	}
}
