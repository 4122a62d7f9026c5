package testcase_test

import (
	"testing"

	"github.com/resonhost/resonhost/host/internal/testcase"
)

func parse(doc []byte) error {
	_, err := testcase.Parse("a.test.ndjson", doc, func(kind string) bool { return kind == "failed" })
	return err
}

// TestTestsBeginWithMarks has tests that an editor has begun with a byte order mark.
func TestTestsBeginWithMarks(t *testing.T) {
	const line = `{"transform": "t", "input": 1, "output": 2}` + "\n"
	if err := parse([]byte("\ufeff" + line + line)); err != nil {
		t.Error(err)
	}
	err := parse([]byte("\xff\xfe{\x00}\x00"))
	if want := "a.test.ndjson: the text is UTF-16, and must be UTF-8"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

// TestRefused has each rule broken.
func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		`{"input": 1, "output": 2}`:                                         `must have "transform" and "input"`,
		`{"transform": "t", "output": 2}`:                                   `must have "transform" and "input"`,
		`{"transform": "t", "input": 1}`:                                    `must have either "output" or "error"`,
		`{"transform": "t", "input": 1, "output": 2, "error": "failed"}`:    `must have either "output" or "error"`,
		`{"transform": "t", "input": 1, "error": "fail"}`:                   `error: there is no kind of error "fail"`,
		`{"transform": "t", "input": 1, "output": 2} {}`:                    "something follows the JSON value",
		`{"transform": "t", "input": 1, "output": 2, "Line": 3, "more": 1}`: `Line: is not a known member; there are name, transform, input, output, error, stream`,
		`{"transform": "t", "-": 1}`:                                        `-: is not a known member; there are name, transform, input, output, error, stream`,
		`{"transform": 7}`:                                                  `transform: must be a string, is 7`,
		`{"stream": {"key": "s"}}`:                                          `stream: must be a string, is an object`,
		`{"input": 1, "input": 1}`:                                          `input: is there twice`,
		`[1]`:                                                               `document: must be an object, is an array`,
		`{"input": {"a": [1, }`:                                             `document: is not valid JSON, near byte 19: invalid character '}' looking for beginning of value`,
		`{"input": {"a": [1`:                                                `document: is cut off, behind byte 18`,
	} {
		if err := parse([]byte("\n" + line)); err == nil || err.Error() != "a.test.ndjson: line 2: "+want {
			t.Errorf("%s: err %v, want %s", line, err, want)
		}
	}
	if err := parse(make([]byte, testcase.MaxBytes+1)); err == nil || err.Error() != "a.test.ndjson: 8388609 bytes, the limit is 8388608" {
		t.Errorf("err %v", err)
	}
}

func FuzzTests(f *testing.F) {
	f.Add([]byte(`{"name": "a", "transform": "t", "input": {"a": [1, null]}, "output": 1e9}` + "\n\n" + `{"transform": "t", "input": "", "error": "failed", "stream": "s"}`))
	f.Add([]byte(`{"transform": "t", "input": 1, "output": 2} {}`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		_ = parse(doc) // it does not panic
	})
}
