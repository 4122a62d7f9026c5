package yamlfile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/yamlfile"
)

func TestJSON(t *testing.T) {
	for doc, want := range map[string]string{
		"{b: 1, a: [x, 'y', \"z\"]}":              `{"b":1,"a":["x","y","z"]}`,
		"[null, ~, true, 0x10, 1.5, 2001-01-01]":  `[null,null,true,16,1.5,"2001-01-01"]`,
		"[18446744073709551615, -1, '1', {}, []]": `[18446744073709551615,-1,"1",{},[]]`,
		"{a: &x [1], b: *x}":                      `{"a":[1],"b":[1]}`,
		"- .inf":                                  "line 1: it: .inf is no number of JSON",
		"{a: 1, a: 2}":                            "line 1: a is there twice",
		"{[a]: 1}":                                "line 1: it: a name must be a word",
		"[&x [*x]]":                               "line 1: it must not be nested deeper than 64",
		"{v: " + strings.Repeat("x", 4096) + "}":  "line 1: it must have at most 4096 bytes as JSON",
		"{a: &a [l,l,l,l,l,l,l,l,l], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b,*b,*b], d: [*c,*c,*c,*c,*c,*c,*c,*c]}": "line 1: it must have at most 4096 bytes as JSON",
	} {
		n, err := yamlfile.Parse([]byte(doc))
		if err != nil {
			t.Fatal(doc, err)
		}
		got, err := yamlfile.JSON(n, "it", 4096)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want {
			t.Errorf("%.60s: %s, want %s", doc, got, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("{a: [1, 0x10, .nan], b: &x {c: ~}, d: *x}"))
	f.Add([]byte("[&x [*x]]"))
	f.Add([]byte("<<: {a: 1}\nb: !!binary aGk="))
	f.Fuzz(func(t *testing.T, doc []byte) {
		n, err := yamlfile.Parse(doc)
		if err != nil || n == nil {
			return
		}
		if got, err := yamlfile.JSON(n, "it", 1<<10); err == nil && (!json.Valid(got) || len(got) > 1<<10) {
			t.Errorf("%q becomes %q", doc, got)
		}
	})
}
