package codec_test

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
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// pairs are the media types of what Builtin has codecs for.
var pairs = map[string]host.Transform{
	"cascade":    {Name: "cascade", Input: cascade.MediaTypeState, Output: cascade.MediaTypeResult},
	"node":       {Name: "tick.node", Input: tick.MediaTypeNodes, Output: tick.MediaTypeNodesResult},
	"network":    {Name: "tick.network", Input: tick.MediaTypeNetwork, Output: tick.MediaTypeNetwork},
	"connection": {Name: "tick.connection", Input: tick.MediaTypeConnection, Output: tick.MediaTypeConnectionResult},
	"json":       {Name: "json", Input: "application/json", Output: "application/json"},
	"text":       {Name: "text", Input: "text/plain", Output: "text/plain"},
	"bytes":      {Name: "bytes", Input: "application/octet-stream", Output: "application/octet-stream"},
	"mixed":      {Name: "mixed", Input: "application/json", Output: "text/plain"},
}

func of(tb testing.TB, name string) codec.Codec {
	tb.Helper()
	c, err := codec.Builtin().For(pairs[name])
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
		{"cascade", "unknown member", `{"phi": 1}`, "phi: is not a known field"},
		{"cascade", "misspelt member", `{"phiValu": 1}`, `phiValu: is not a known field; did you mean "phiValue"?`},
		{"cascade", "another case", `{"PhiValue": 1}`, `PhiValue: is not a known field; did you mean "phiValue"?`},
		{"cascade", "misspelt stream", `{"strem": "a"}`, `strem: is not a known field; did you mean "stream"?`},
		{"cascade", "prototype", `{"__proto__": {}}`, "__proto__: is not a known field"},
		{"cascade", "escaped prototype", `{"\u005f_proto__": {}}`, "__proto__: is not a known field"},
		{"cascade", "twice", `{"phiValue": 1, "phiValue": 1}`, "phiValue: is there twice"},
		{"cascade", "twice, escaped", `{"phiValue": 1, "phiV\u0061lue": 1}`, "phiValue: is there twice"},
		{"cascade", "string for a number", `{"phiValue": "1"}`, "phiValue: must be a number"},
		{"cascade", "object for a number", `{"phiValue": {}}`, "phiValue: must be a number"},
		{"cascade", "deep for a number", `{"phiValue": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "phiValue: must be a number"},
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
		{"cascade", "invalid UTF-8", "{\"stream\": \"\xff\"}", "document: is not valid JSON: invalid UTF-8, at byte 13"},
		{"cascade", "two values", `{} {}`, "document: is not valid JSON: invalid character '{' after top-level value, at byte 4"},
		{"cascade", "cut off", `{"phiValue": 1`, "document: is cut off, at byte 15"},
		{"cascade", "bare NaN", `{"phiValue": NaN}`, "document: is not valid JSON: invalid character 'N' at start of value, at byte 14"},
		{"cascade", "comment", `{/* */}`, "document: is not valid JSON: invalid character '/' at start of value, at byte 2"},
		{"cascade", "trailing comma", `{"phiValue": 1,}`, "document: is not valid JSON: invalid character ',' at start of value, at byte 15"},

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

		{"json", "empty", "", "document: is empty"},
		{"json", "two values", `1 2`, "document: has something behind the value, at byte 2"},
		{"json", "twice", `{"a": {"b": 1, "b": 2}}`, "a.b: is there twice"},
		{"json", "prototype", `[{"__proto__": 1}]`, "0.__proto__: is a reserved name"},
		{"json", "escaped constructor", `{"a": {"constr\u0075ctor": 1}}`, "a.constructor: is a reserved name"},
		{"json", "beyond a float", `{"a": [0, -1e400]}`, "a[1]: is out of range"},
		{"json", "deep", strings.Repeat("[", codec.MaxDepth+1) + strings.Repeat("]", codec.MaxDepth+1), "document: is nested deeper than 64"},
		{"json", "invalid UTF-8", "\"\xff\"", "document: is not valid JSON: invalid UTF-8, at byte 2"},
		{"json", "lone surrogate", `"\ud800"`, "document: is not valid JSON: invalid surrogate pair `\\ud800\"` in string, at byte 2"},
		{"json", "cut off", `{"a": [`, "document: is cut off, at byte 8"},

		{"text", "number", `1`, "document: must be a string"},
		{"text", "null", `null`, "document: must not be null"},
		{"bytes", "number", `1`, `document: must be a string or {"base64": "…"}`},
		{"bytes", "no member", `{}`, "base64: is required"},
		{"bytes", "no base64", `{"base64": "!"}`, "base64: must be a string in base64"},
		{"bytes", "array", `{"base64": [1]}`, "base64: must be a string in base64"},
		{"bytes", "no JSON", `{"base64"`, "document: is cut off, at byte 10"},
		{"bytes", "no JSON at all", `base64`, "document: is not valid JSON: invalid character 'b' at start of value, at byte 1"},
	} {
		t.Run(c.codec+"/"+c.name, func(t *testing.T) {
			_, err := of(t, c.codec).Decode([]byte(c.doc))
			if err == nil || err.Error() != c.want {
				t.Errorf("err  %v\nwant %s", err, c.want)
			}
			if f := (*abi.FieldError)(nil); !errors.As(err, &f) {
				t.Errorf("err is a %T, want an *abi.FieldError", err)
			}
		})
	}
}

func TestDecodeRefusesSize(t *testing.T) {
	doc := bytes.Repeat([]byte(" "), codec.MaxBytes+1)
	copy(doc, "{}")
	for name := range pairs {
		_, err := of(t, name).Decode(doc)
		if want := "document: must have at most 8388608 bytes, has 8388609"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
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

func TestForms(t *testing.T) {
	for _, c := range []struct{ codec, doc, payload, output, line string }{
		{"json", ` {"a": [1, 1e2]} `, ` {"a": [1, 1e2]} `, "{\n \"b\": 1.50\n}\n", `{"b":1.50}`},
		{"json", `"\u00e9"`, `"\u00e9"`, `null`, `null`},
		{"text", `"a\nb"`, "a\nb", "c\nd", `"c\nd"`},
		{"bytes", `{"base64": "AP8="}`, "\x00\xff", "\xff", `{"base64":"/w=="}`},
		{"bytes", `"é"`, "é", "", `{"base64":""}`},
		{"mixed", `[]`, `[]`, "text", `"text"`},
	} {
		call, err := of(t, c.codec).Decode([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		if string(call.Payload) != c.payload {
			t.Errorf("%s: %s has payload %q, want %q", c.codec, c.doc, call.Payload, c.payload)
		}
		line, err := call.Encode([]byte(c.output))
		if err != nil || string(line) != c.line {
			t.Errorf("%s: %q has line %s, want %s; err %v", c.codec, c.output, line, c.line, err)
		}
	}
}

// TestEncodeRefuses is of plugins that do not answer in their media type.
func TestEncodeRefuses(t *testing.T) {
	docs := map[string]string{
		"cascade": `{}`, "node": `{"now_ms": 1, "nodes": [{"id": "a"}]}`, "network": `{"now_ms": 1, "network": {}}`,
		"connection": `{"a": {"frequency": 1}, "b": {"frequency": 1}}`, "json": `0`, "text": `""`,
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

func TestFor(t *testing.T) {
	_, err := codec.Builtin().For(host.Transform{Name: "x.y", Input: "a/b", Output: "c/d"})
	if want := "x.y has no JSON form: no codec for a/b and c/d"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

func TestTakeStream(t *testing.T) {
	for _, c := range []struct{ doc, rest, key, err string }{
		{`{"s": "k"}`, `{        }`, "k", ""},
		{`{"s": "k" , "a": 1}`, `{           "a": 1}`, "k", ""},
		{`{"a": 1, "s": "k", "b": 2}`, `{"a": 1          , "b": 2}`, "k", ""},
		{`{"a": {"s": 1}, "s": "\u006b"}`, `{"a": {"s": 1}               }`, "k", ""},
		{`{"s": null}`, `{         }`, "", ""},
		{`{"a": "s"}`, `{"a": "s"}`, "", ""},
		{`["s"]`, `["s"]`, "", ""},
		{`{"a": `, "", "", "document: is cut off, at byte 7"},
		{`{"s": "k", "s": "k"}`, "", "", "s: is there twice"},
		{`{"s": "k", "a": }`, "", "", "document: is not valid JSON: invalid character '}' at start of value, at byte 17"},
		{`{"s": 1}`, "", "", "s: must be a string, the key of a stream"},
		{`{"s": ""}`, "", "", "s: must have 1 to 256 bytes, has 0"},
		{``, "", "", "document: is empty"},
	} {
		rest, key, err := codec.TakeStream([]byte(c.doc), "s")
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: err %v, want %s", c.doc, err, c.err)
			}
			continue
		}
		if err != nil || string(rest) != c.rest || key != c.key {
			t.Errorf("%s: %q and %q, want %q and %q; err %v", c.doc, rest, key, c.rest, c.key, err)
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
		`{"base64": "AP8="}`, `"text"`, `[1, -0, 1e300, {"a": null}]`, `{"__proto__": 1}`, `{"a": 1, "a": 2}`, "\"\xff\"", `{"a":`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for name := range pairs {
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
			if record := records[name]; record != nil {
				m := record()
				if err := errors.Join(m.UnmarshalBinary(call.Payload), m.Validate()); err != nil {
					t.Fatalf("%s: took what is not valid: %v", name, err)
				}
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
	f.Add([]byte(`{"a": [1]}`))
	f.Add(make([]byte, 168))
	f.Fuzz(func(t *testing.T, output []byte) {
		docs := map[string]string{
			"cascade":    `{}`,
			"node":       `{"now_ms": 1, "nodes": [{"id": "a"}]}`,
			"network":    `{"now_ms": 1, "network": {}}`,
			"connection": `{"a": {"frequency": 1}, "b": {"frequency": 1}}`,
			"json":       `0`, "text": `""`, "bytes": `""`,
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
	c, err := codec.Builtin().For(host.Transform{Name: "tick.node", Input: tick.MediaTypeNodes, Output: tick.MediaTypeNodesResult})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decode(doc); err == nil || err.Error() != "nodes: must be at most 1048576" {
		t.Errorf("err %v", err)
	}
}
