package host_test

import (
	"testing"

	"github.com/resonhost/resonhost/host"
)

func FuzzTests(f *testing.F) {
	f.Add([]byte(`{"name": "a", "transform": "t", "input": {"a": [1, null]}, "output": 1e9}` + "\n\n" + `{"transform": "t", "input": "", "error": "failed", "stream": "s"}`))
	f.Add([]byte(`{"transform": "t", "input": 1, "output": 2} {}`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		_ = host.ParseTests(doc) // it does not panic
	})
}
