package host_test

import (
	"encoding/json"
	"testing"

	"github.com/resonhost/resonhost/host"
)

func TestSameJSON(t *testing.T) {
	for _, c := range []struct{ got, want, diff string }{
		{`{"a": [1, {"b": "x"}]}`, `{"a": [1.0, {"b": "x"}]}`, ""},
		{`0.1`, `0.10000000000000001`, ""},
		{`{"a": {"b": [1, 2]}}`, `{"a": {"b": [1, 3]}}`, "a.b[1]: got 2, want 3"},
		{`{"a": 1}`, `{"a": 1, "b": 2}`, "b: is missing, want 2"},
		{`{"a": 1, "b": 2}`, `{"a": 1}`, "b: got 2, want no such member"},
		{`[1, 2]`, `[1]`, "output: has 2 elements, want 1"},
		{`{"a": [1]}`, `{"a": {"0": 1}}`, `a: got [1], want {"0":1}`},
		{`null`, `false`, "output: got null, want false"},
		{`"x"`, `"y"`, `output: got "x", want "y"`},
	} {
		got := ""
		if err := host.SameJSON([]byte(c.got), []byte(c.want)); err != nil {
			got = err.Error()
		}
		if got != c.diff {
			t.Errorf("%s and %s: %q, want %q", c.got, c.want, got, c.diff)
		}
	}
}

func FuzzTests(f *testing.F) {
	f.Add([]byte(`{"name": "a", "transform": "t", "input": {"a": [1, null]}, "output": 1e9}` + "\n\n" + `{"transform": "t", "input": "", "error": "failed", "stream": "s"}`))
	f.Add([]byte(`{"transform": "t", "input": 1, "output": 2} {}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		_ = host.ParseTests(doc)
		if !json.Valid(doc) {
			return
		}
		if err := host.SameJSON(doc, doc); err != nil {
			t.Errorf("%s differs from itself: %v", doc, err)
		}
	})
}
