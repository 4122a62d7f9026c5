package devloop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "in.ndjson")
	for name, c := range map[string]struct{ text, want, err string }{
		"tests": {
			`{"name": "a", "transform": "t", "input": [1], "output": 2, "stream": "s"}` + "\n\n" + `{"transform": "u", "input": null, "error": "trap"}`,
			`a t s [1]; in.ndjson:3 u  null`, "",
		},
		"bare":         {`"x"` + "\r\n" + `{"input": 1}`, `in.ndjson:1   "x"; in.ndjson:2   {"input": 1}`, ""},
		"other member": {`{"transform": "t", "input": 1, "size": 3}`, `in.ndjson:1   {"transform": "t", "input": 1, "size": 3}`, ""},
		"other kind":   {`{"transform": 1, "input": 1}`, `in.ndjson:1   {"transform": 1, "input": 1}`, ""},
		"mark":         {"\ufeff1", `in.ndjson:1   1`, ""},
		"UTF-16":       {"\xff\xfe1\x00", "", ":1: the text is UTF-16, and must be UTF-8"},
		"empty":        {"\n \n", "", ""},
		"no JSON":      {"1\n{", "", ":2: unexpected end of JSON input"},
		"two":          {"1 2", "", ":1: invalid character '2' after top-level value"},
		"many":         {strings.Repeat("1\n", maxInputs+1), "", ":1001: more than 1000 inputs"},
		"long":         {strings.Repeat(" ", maxInputBytes+1), "", ": larger than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, dir, "in.ndjson", c.text)
			list, err := readInputs(file, false)
			var got []string
			for i := range list {
				in := &list[i]
				got = append(got, fmt.Sprintf("%s %s %s %s", in.at(), in.transform, in.stream, in.doc))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("%s, want %s", s, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != file+c.err) {
				t.Errorf("err %v, want %s", err, c.err)
			}
		})
	}
	none := filepath.Join(dir, "none")
	if list, err := readInputs(none, true); list != nil || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := readInputs(none, false); err == nil || err.Error() != "open "+none+": no such file or directory" {
		t.Error(err)
	}
}

func FuzzParseInputs(f *testing.F) {
	f.Add([]byte(`{"name": "a", "transform": "t", "input": [1], "output": 2}` + "\n\n" + `"x"`))
	f.Add([]byte("{\"transform\": \"t\", \"input\"\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		list, err := parseInputs(doc)
		if err != nil {
			return
		}
		for i := range list {
			if len(list[i].doc) == 0 || list[i].line < 1 || compact(list[i].doc) == "" {
				t.Errorf("input %d of %q is none", i, doc)
			}
		}
	})
}
