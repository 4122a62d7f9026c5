package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/host"
)

// TestTestsBeginWithMarks has tests that an editor has begun with a byte order mark.
func TestTestsBeginWithMarks(t *testing.T) {
	const line = `{"transform": "t", "input": 1, "output": 2}` + "\n"
	if err := host.ParseTests([]byte("\ufeff" + line + line)); err != nil {
		t.Error(err)
	}
	err := host.ParseTests([]byte("\xff\xfe{\x00}\x00"))
	if want := "tests: the text is UTF-16, and must be UTF-8"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

func FuzzTests(f *testing.F) {
	f.Add([]byte(`{"name": "a", "transform": "t", "input": {"a": [1, null]}, "output": 1e9}` + "\n\n" + `{"transform": "t", "input": "", "error": "failed", "stream": "s"}`))
	f.Add([]byte(`{"transform": "t", "input": 1, "output": 2} {}`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		_ = host.ParseTests(doc) // it does not panic
	})
}
