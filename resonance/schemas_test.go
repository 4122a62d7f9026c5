package resonance_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/schematest"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/tick"
)

// TestSchemasOfInputs holds the schemas to the codecs: what a schema takes its codec takes, and what
// is at a bound is valid by both.
func TestSchemasOfInputs(t *testing.T) {
	for _, c := range []struct {
		codec, doc string
		want       bool
	}{
		{"cascade", `{}`, true},
		{"cascade", `{"awarenessLevel": 1e12, "coherenceScore": -1e-12, "phiValue": 0, "timestamp": -8640000000000000, "detail": "summary", "stream": "s"}`, true},
		{"cascade", `{"phiValue": 1e-13}`, false},
		{"cascade", `{"phiValue": -1e13}`, false},
		{"cascade", `{"phiValue": "1"}`, false},
		{"cascade", `{"phi": 1}`, false},
		{"cascade", `{"timestamp": 0.5}`, false},
		{"cascade", `{"timestamp": 8640000000000001}`, false},
		{"cascade", `{"detail": "most"}`, false},
		{"cascade", `{"stream": ""}`, false},
		{"cascade", `[]`, false},
		{"node", `{"now_ms": 1, "nodes": []}`, true},
		{"node", `{"now_ms": 1, "nodes": [{"id": " ~", "frequency": 1e6, "resonance_strength": 1, "state": "stopped", "harmonic_patterns": ["a_1"]}], "patterns": {"b": 0}}`, true},
		{"node", `{"nodes": []}`, false},
		{"node", `{"now_ms": 1e16, "nodes": []}`, false},
		{"node", `{"now_ms": 1, "nodes": [{}]}`, false},
		{"node", `{"now_ms": 1, "nodes": [{"id": "é"}]}`, false},
		{"node", `{"now_ms": 1, "nodes": [{"id": "a", "frequency": -1}]}`, false},
		{"node", `{"now_ms": 1, "nodes": [{"id": "a", "frequncy": 1}]}`, false},
		{"node", `{"now_ms": 1, "nodes": [], "patterns": {"constructor": 1}}`, false},
		{"node", `{"now_ms": 1, "nodes": [], "patterns": {"a": 2}}`, false},
		{"network", `{"now_ms": 1, "network": {}}`, true},
		{"network", `{"now_ms": 1, "network": {"metrics": {"fieldStrength": 1}, "fields": {"a": {"state": "paused", "peak_resonance": -1e9}}, "patterns": {"b": {"total_cycles": 9007199254740991, "current_phase": 359.9}}}}`, true},
		{"network", `{"network": {}}`, false},
		{"network", `{"now_ms": 1, "network": {"metrics": {"fieldStrenght": 1}}}`, false},
		{"network", `{"now_ms": 1, "network": {"metrics": {"fieldStrength": 1.1}}}`, false},
		{"network", `{"now_ms": 1, "network": {"patterns": {"b": {"current_phase": 360}}}}`, false},
		{"network", `{"now_ms": 1, "network": {"patterns": {"b": {"total_cycles": 9007199254740993}}}}`, false},
		{"connection", `{"a": {"frequency": 1}, "b": {"frequency": 1e6, "resonance_strength": 1, "position": {"x": -1e9, "layer": 3}}}`, true},
		{"connection", `{"a": {"frequency": 1}}`, false},
		{"connection", `{"a": {"frequency": 0}, "b": {"frequency": 1}}`, false},
		{"connection", `{"a": {"frequency": 1}, "b": {"frequency": 1, "position": {"z": 1}}}`, false},
	} {
		takes, _ := resonance.Codecs().Schemas(transforms[c.codec])
		bySchema := schematest.Check(t, schematest.Compile(t, takes), c.doc)
		_, byCodec := of(t, c.codec).Decode([]byte(c.doc))
		if bySchema == nil != c.want || byCodec == nil != c.want {
			t.Errorf("%s %s: by schema %v, by codec %v, want %v", c.codec, c.doc, bySchema, byCodec, c.want)
		}
	}
}

// TestSchemasOfResults holds results to the schemas: those of the vectors that have the whole, and of
// the others what their types write.
func TestSchemasOfResults(t *testing.T) {
	for name, docs := range map[string][]string{
		"cascade": recorded(t, "cascade.ndjson", "expect"),
		"network": recorded(t, "tick-network.ndjson", "after"),
		"node": {written(t, tick.NodesResponse{
			Nodes:    []tick.Node{{ID: "a", Frequency: 100, State: tick.Resonating, Patterns: []string{}}},
			Patterns: map[string]float64{"p": 1}, Progress: []string{"a"},
		})},
		"connection": {written(t, tick.ConnectionResult{Quality: 1})},
	} {
		_, gives := resonance.Codecs().Schemas(transforms[name])
		schema := schematest.Compile(t, gives)
		if len(docs) == 0 {
			t.Errorf("%s: nothing is recorded", name)
		}
		for _, doc := range docs {
			if name == "network" {
				doc = `{"network":` + doc + `}`
			}
			if err := schematest.Check(t, schema, doc); err != nil {
				t.Errorf("%s: %.200s: %v", name, doc, err)
			}
			if err := schematest.Check(t, schema, strings.Replace(doc, "{", `{"more": 1, `, 1)); err == nil {
				t.Errorf("%s: a member that there is not is valid", name)
			}
		}
	}
}

func written(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recorded are the results of a file of vectors that have all of a result.
func recorded(t *testing.T, file, member string) (docs []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if full, there := v["full"]; v[member] != nil && (!there || string(full) == "true") {
			docs = append(docs, string(v[member]))
		}
	}
	return docs
}
