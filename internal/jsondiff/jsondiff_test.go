package jsondiff_test

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/jsondiff"
)

func TestDiff(t *testing.T) {
	long := `"` + strings.Repeat("ä", 150) + `"`
	for name, c := range map[string]struct{ got, want, err string }{
		"same":          {`{"a": 1, "b": [1, "x"]}`, `{"b": [1.0, "x"], "a": 1}`, ""},
		"printed again": {`0.1`, `0.10000000000000002`, ""},
		"number":        {`{"a": {"b": [1, 2]}}`, `{"a": {"b": [1, 3]}}`, "a.b[1]: got 2, want 3"},
		"whole":         {`"x"`, `"y"`, `output: got "x", want "y"`},
		"missing":       {`{}`, `{"a": null}`, "a: is missing, want null"},
		"more":          {`{"a": null}`, `{}`, "a: got null, want no such member"},
		"another name":  {`{"a": {"c": 1, "x": 3}}`, `{"a": {"b": 1, "c": 2, "d": 4}}`, "a.b: is missing, want 1; a.x: got 3, want no such member"},
		"and before it": {`{"a": 1}`, `{"b": 1}`, "b: is missing, want 1; a: got 1, want no such member"},
		"first by name": {`{"b": 1, "a": 1}`, `{"a": 2, "b": 2}`, "a: got 1, want 2"},
		"lengths":       {`[1, 2]`, `[1]`, "output: has 2 elements, want 1"},
		"one element":   {`[1]`, `[]`, "output: has 1 element, want 0"},
		"deep lengths":  {`{"a": []}`, `{"a": [1]}`, "a: has 0 elements, want 1"},
		"kinds":         {`{"a": []}`, `{"a": {}}`, "a: got [], want {}"},
		"long":          {long, `1`, `output: got "` + strings.Repeat("ä", 99) + "…, want 1"},
		"no JSON":       {`x`, `1`, "the output is no JSON: invalid character 'x' looking for beginning of value"},
		"no JSON want":  {`1`, `x`, "what it is compared with is no JSON: invalid character 'x' looking for beginning of value"},
	} {
		t.Run(name, func(t *testing.T) {
			err := jsondiff.Diff([]byte(c.got), []byte(c.want))
			if got := text(err); got != c.err {
				t.Errorf("got %q, want %q", got, c.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzDiff has a document differ from no copy of itself, and be told apart from others
// either way round.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": "x"}]}`), []byte(`{"a": [1, {"b": "y"}], "c": null}`))
	f.Add([]byte(`1e400`), []byte(`[[[]]]`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		there, back := jsondiff.Diff(a, b), jsondiff.Diff(b, a)
		if (there == nil) != (back == nil) {
			t.Errorf("one way %v, the other %v", there, back)
		}
		if there == nil && jsondiff.Diff(a, a) != nil {
			t.Errorf("%q differs from itself", a)
		}
	})
}
