package devloop

import "testing"

func TestCompareOutputs(t *testing.T) {
	for name, c := range map[string]struct{ before, now, change, difference string }{
		"same":     {`{"a": 1, "b": [2]}`, `{"b": [2.0], "a": 1}`, Same, ""},
		"value":    {`{"a": 1}`, `{"a": 2}`, Changed, "a: was 1, is 2"},
		"gone":     {`{"a": 1}`, `{}`, Changed, "a: is gone, was 1"},
		"new":      {`{}`, `{"b": 2}`, Changed, "b: is new, 2"},
		"renamed":  {`{"a": 1}`, `{"b": 1}`, Changed, "a: is gone, was 1; b: is new, 1"},
		"elements": {`[1]`, `[1, 2]`, Changed, "output: had 1 element, has 2"},
	} {
		if change, difference := compareOutputs([]byte(c.before), []byte(c.now)); change != c.change || difference != c.difference {
			t.Errorf("%s: %s, %q; want %s, %q", name, change, difference, c.change, c.difference)
		}
	}
}
