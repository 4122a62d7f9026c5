package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
)

const good = `{
	"name": "shout", "version": "1.2.0",
	"transforms": [
		{"name": "shout", "input": "text/plain", "output": "text/plain"},
		{"name": "shout.twice", "input": "text/plain", "output": "application/vnd.x+json", "state_bytes": 8, "timeout_ms": 1500}
	],
	"self_tests": [
		{"name": "a word", "transform": "shout", "input": "abc", "output": "ABC"},
		{"name": "bytes", "transform": "shout.twice", "input": {"base64": "AAE="}, "status": 1}
	]
}`

func TestParse(t *testing.T) {
	m, err := manifest.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "shout" || len(m.Transforms) != 2 || m.Transforms[1].Timeout() != 1500*time.Millisecond {
		t.Errorf("manifest %+v", m)
	}
	if c := m.SelfTests; string(c[0].Input) != "abc" || string(c[1].Input) != "\x00\x01" || c[1].Status != 1 {
		t.Errorf("self-tests %+v", c)
	}
}

func TestParseRefuses(t *testing.T) {
	transform := func(name string) string {
		return fmt.Sprintf(`{"name": %q, "input": "text/plain", "output": "text/plain"}`, name)
	}
	plugin := func(name, transforms string) string {
		return fmt.Sprintf(`{"name": %q, "version": "1", "transforms": [%s]}`, name, transforms)
	}
	for name, c := range map[string]struct{ doc, want string }{
		"nothing":            {"", "manifest: is empty"},
		"no object":          {"[]", "manifest: json: cannot unmarshal array"},
		"too long":           {strings.Repeat(" ", manifest.MaxBytes+1), "manifest: 262145 bytes, the limit is 262144"},
		"deep":               {strings.Repeat("[", 100_000), "manifest: invalid character"},
		"deep inside":        {`{"name": ` + strings.Repeat("[", 100_000), "manifest: "},
		"trailing":           {good + "{}", "manifest: something follows the JSON value"},
		"unknown member":     {`{"nane": "x"}`, `manifest: json: unknown field "nane"`},
		"no name":            {plugin("", transform("x")), "manifest: name: must match ^[a-z]"},
		"a path":             {plugin("../x", transform("x")), "manifest: name: must match ^[a-z]"},
		"no version":         {`{"name": "x", "transforms": [` + transform("x") + `]}`, "manifest: version: must match"},
		"no transforms":      {plugin("x", ""), "manifest: transforms: must have 1 to 256 entries, has 0"},
		"many transforms":    {plugin("x", strings.TrimSuffix(strings.Repeat(transform("x")+",", 257), ",")), "manifest: transforms: must have 1 to 256 entries, has 257"},
		"another's":          {plugin("x", transform("y.z")), `manifest: transforms[0].name: must be "x" or begin with "x."`},
		"twice":              {plugin("x", transform("x")+","+transform("x")), `manifest: transforms[1].name: "x" is there twice`},
		"media type":         {plugin("x", `{"name": "x", "input": "text", "output": "text/plain; q=1"}`), "manifest: transforms[0].input: must be a media type without parameters\ntransforms[0].output: must be"},
		"state":              {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "state_bytes": 1048577}`), "manifest: transforms[0].state_bytes: must be between 0 and 1048576"},
		"timeout":            {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "timeout_ms": -1}`), "manifest: transforms[0].timeout_ms: must be between 0 and 3600000"},
		"test of nothing":    {`{"name": "x", "version": "1", "transforms": [` + transform("x") + `], "self_tests": [{"transform": "y", "input": ""}]}`, `manifest: self_tests[0].transform: no transform is called "y"`},
		"test with a number": {`{"name": "x", "version": "1", "transforms": [` + transform("x") + `], "self_tests": [{"transform": "x", "input": 7}]}`, `manifest: want a string or {"base64": "…"}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(c.doc))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("err %v, want %s", err, c.want)
			}
		})
	}
}

func ExampleParse() {
	m, err := manifest.Parse([]byte(`{
		"name": "shout", "version": "1.0.0",
		"transforms": [{"name": "shout", "input": "text/plain", "output": "text/plain"}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Name, m.Version, m.Transforms[0].Input)

	_, err = manifest.Parse([]byte(`{"name": "shout", "version": "1.0.0", "transforms": []}`))
	fmt.Println(err)
	// Output:
	// shout 1.0.0 text/plain
	// manifest: transforms: must have 1 to 256 entries, has 0
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"name": "x", "version": "1", "transforms": [{"name": "x", "input": "a/b", "output": "a/b"}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := manifest.Parse(doc)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > manifest.MaxBytes { // escapes and base64 lengthen
			return
		}
		second, err := manifest.Parse(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third, _ := json.Marshal(second); !bytes.Equal(third, again) {
			t.Fatalf("%s became %s", again, third)
		}
	})
}
