package manifest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
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

func TestSelfTestErrors(t *testing.T) {
	for doc, want := range map[string]struct {
		status abi.Status
		fault  string
	}{
		`{"error": "invalid_argument"}`:              {abi.StatusInvalidArgument, ""},
		`{"error": "invalid_argument", "status": 1}`: {abi.StatusInvalidArgument, ""},
		`{"error": "failed"}`:                        {abi.StatusFailed, ""},
		`{"status": 2}`:                              {abi.StatusFailed, ""},
		`{"error": "failed", "status": 1}`:           {0, "status: must not differ from error, which says the same"},
		`{"error": "trap"}`:                          {0, "error: must be invalid_argument or failed; other kinds of errors are for NAME.test.ndjson"},
		`{"status": 3}`:                              {0, "status: must be 0, 1 or 2"},
	} {
		got, err := manifest.ParseSelfTest([]byte(doc))
		if want.fault != "" {
			if err == nil || err.Error() != want.fault {
				t.Errorf("%s: error %v, want %s", doc, err, want.fault)
			}
			continue
		}
		if err != nil || got.Status != want.status || got.Error != "" {
			t.Errorf("%s: %+v, %v, want the status %v", doc, got, err, want.status)
		}
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
		"nothing":                    {"", "manifest: is empty"},
		"no object":                  {"[]", "manifest: document: must be an object, is an array"},
		"too long":                   {strings.Repeat(" ", manifest.MaxBytes+1), "manifest: 262145 bytes, the limit is 262144"},
		"deep":                       {strings.Repeat("[", 100_000), "manifest: document: must be an object, is an array"},
		"deep inside":                {`{"name": ` + strings.Repeat("[", 100_000), "manifest: name: must be a string, is an array"},
		"trailing":                   {good + "{}", "manifest: something follows the JSON value"},
		"unknown member":             {`{"nane": "x"}`, `manifest: nane: is not a known member; did you mean "name"?; there are name, version, transforms, self_tests`},
		"no name":                    {plugin("", transform("x")), "manifest: name: must match ^[a-z]"},
		"a path":                     {plugin("../x", transform("x")), "manifest: name: must match ^[a-z]"},
		"no version":                 {`{"name": "x", "transforms": [` + transform("x") + `]}`, "manifest: version: must match"},
		"no transforms":              {plugin("x", ""), "manifest: transforms: must have 1 to 256 entries, has 0"},
		"many transforms":            {plugin("x", strings.TrimSuffix(strings.Repeat(transform("x")+",", 257), ",")), "manifest: transforms: must have 1 to 256 entries, has 257"},
		"another's":                  {plugin("x", transform("y.z")), `manifest: transforms[0].name: must be "x" or begin with "x."`},
		"twice":                      {plugin("x", transform("x")+","+transform("x")), `manifest: transforms[1].name: "x" is there twice`},
		"media type":                 {plugin("x", `{"name": "x", "input": "text", "output": "text/plain; q=1"}`), "manifest: transforms[0].input: must be a media type without parameters\nmanifest: transforms[0].output: must be"},
		"state":                      {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "state_bytes": 1048577}`), "manifest: transforms[0].state_bytes: must be between 0 and 1048576"},
		"format of states":           {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "state_version": 2147483648}`), "manifest: transforms[0].state_version: must be between 0 and 2147483647"},
		"timeout":                    {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "timeout_ms": -1}`), "manifest: transforms[0].timeout_ms: must be between 0 and 3600000"},
		"a schema that is none":      {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "input_schema": [1], "output_schema": "s"}`), "manifest: transforms[0].input_schema: must be a JSON Schema, an object\nmanifest: transforms[0].output_schema: must be a JSON Schema, an object"},
		"a long schema":              {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "input_schema": {"x": "`+strings.Repeat("x", manifest.MaxSchemaBytes)+`"}}`), "manifest: transforms[0].input_schema: must have at most 65536 bytes, has 65545"},
		"a deep schema":              {plugin("x", `{"name": "x", "input": "a/b", "output": "a/b", "input_schema": {"x\\\"{": `+strings.Repeat("[", 64)+strings.Repeat("]", 64)+`}}`), "manifest: transforms[0].input_schema: must not be nested deeper than 64"},
		"test of nothing":            {`{"name": "x", "version": "1", "transforms": [` + transform("x") + `], "self_tests": [{"transform": "y", "input": ""}]}`, `manifest: self_tests[0].transform: no transform is called "y"`},
		"test with a number":         {`{"name": "x", "version": "1", "transforms": [` + transform("x") + `], "self_tests": [{"transform": "x", "input": 7}]}`, `manifest: self_tests[0].input: must be a string or {"base64": "…"}, is 7`},
		"test with another object":   {`{"self_tests": [{"input": {"base32": "AA"}}]}`, `manifest: self_tests[0].input.base32: is not a known member; did you mean "base64"?; there is only base64`},
		"test with no base64":        {`{"self_tests": [{"input": {"base64": "AA=A"}}]}`, `manifest: self_tests[0].input.base64: must be a string in base64, is none at byte 3`},
		"test with a number as such": {`{"self_tests": [{"input": {"base64": 7}}]}`, `manifest: self_tests[0].input.base64: must be a string in base64, is 7`},
		"a number for a string":      {`{"name": "x", "transforms": [{}, {"name": 7}]}`, `manifest: transforms[1].name: must be a string, is 7`},
		"a string for a number":      {`{"transforms": [{"state_bytes": "8"}]}`, `manifest: transforms[0].state_bytes: must be a whole number in range, is the string "8"`},
		"a fraction":                 {`{"transforms": [{"state_reads": [1, 1.5]}]}`, `manifest: transforms[0].state_reads[1]: must be a whole number in range, is 1.5`},
		"out of range":               {`{"transforms": [{"timeout_ms": 1e99}]}`, `manifest: transforms[0].timeout_ms: must be a whole number in range, is 1e99`},
		"a negative status":          {`{"self_tests": [{"status": -1}]}`, `manifest: self_tests[0].status: must be a whole number in range, is -1`},
		"an object for an array":     {`{"transforms": {"name": "x"}}`, `manifest: transforms: must be an array, is an object`},
		"true for an object":         {`{"transforms": [true]}`, `manifest: transforms[0]: must be an object, is true`},
		"a member twice":             {`{"name": "x", "version": "1", "name": "x"}`, `manifest: name: is there twice`},
		"a member twice inside":      {`{"transforms": [{"name": "x", "timeout_ms": 1, "timeout_ms": 2}]}`, `manifest: transforms[0].timeout_ms: is there twice`},
		"member of a transform":      {`{"name": "x", "timeout_ms": 5}`, `manifest: timeout_ms: is a member of a transform: put it into one of transforms`},
		"member of the manifest":     {`{"transforms": [{"self_tests": []}]}`, `manifest: transforms[0].self_tests: is no member of a transform: put it at the top of the manifest`},
		"another case":               {`{"Name": "x"}`, `manifest: Name: is not a known member`},
		"a name that is long":        {`{"` + strings.Repeat("x", 100) + `": 1}`, "manifest: " + strings.Repeat("x", 64) + "…: is not"},
		"cut off":                    {`{"name": "x`, `manifest: document: is cut off, behind byte `},
		"cut off between":            {`{"name": "x",`, `manifest: document: is cut off, behind byte 13`},
		"no JSON":                    {`{"name": nought}`, `manifest: document: is not valid JSON, near byte 10: invalid character 'o'`},
		"no comma":                   {`{"name": "x" "version": "1"}`, `manifest: document: is not valid JSON, near byte 1`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Parse([]byte(c.doc))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("err %v, want %s", err, c.want)
			}
		})
	}
}

// TestParseNull takes null for what is absent, as encoders of other languages write it.
func TestParseNull(t *testing.T) {
	doc := `{"name": "x", "version": "1", "transforms": [{"name": "x", "input": "a/b", "output": "a/b", "state_reads": null}],
		"self_tests": [{"name": null, "transform": "x", "input": {"base64": null}, "state": null}]}`
	if _, err := manifest.Parse([]byte(doc)); err != nil {
		t.Error(err)
	}
}

// TestContentRefuses has contents that are decoded by themselves held to their form too.
func TestContentRefuses(t *testing.T) {
	for _, doc := range []string{`{"base64": "AA==", "text": "x"}`, `{"base46": "AA=="}`, `{"base64": "A"}`, `1`} {
		var c manifest.Content
		if err := json.Unmarshal([]byte(doc), &c); err == nil {
			t.Errorf("%s: taken as %q", doc, c)
		}
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
	f.Add([]byte(`{"name": "x", "version": "1", "transforms": [{"name": "x", "input": "a/b", "output": "a/b", "input_schema": {"type": "string"}, "output_schema": null}]}`))
	f.Add([]byte(`{"name": null, "self_tests": [{"input": {"base64": "AA=A"}, "status": 4294967296}], "name": 1e3}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := manifest.Parse(doc)
		if err != nil {
			for _, theirs := range []any{new(*json.SyntaxError), new(*json.UnmarshalTypeError), new(*strconv.NumError), new(base64.CorruptInputError)} {
				if errors.As(err, theirs) {
					t.Errorf("an error of the decoder's own: %v", err)
				}
			}
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
