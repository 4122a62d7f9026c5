package companion_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/companion"
)

func TestParse(t *testing.T) {
	f, err := companion.Parse("ocr", []byte(`
kind: extism
name: ocr
config: {lang: en}
arguments: [-v, "2"]
allowed_hosts:
  - "*.example.com"
self_tests:
  - {name: a word, transform: ocr, input: abc, output: {base64: QUJD}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != "extism" || f.Name != "ocr" || f.Config["lang"] != "en" || strings.Join(f.Arguments, " ") != "-v 2" ||
		f.AllowedHosts[0] != "*.example.com" || len(f.SelfTests) != 1 || string(f.SelfTests[0].Output) != "ABC" {
		t.Errorf("%+v", f)
	}
}

func TestTransforms(t *testing.T) {
	f, err := companion.Parse("x", []byte(`
name: x
transforms:
  - name: x
    export: run
    input: application/json
    input_schema: {type: object, required: [a], properties: {a: {maximum: 0x10}}}
    timeout: 1m30s
    state: 64KiB
  - {name: x.twice, operation: twice, arguments: [-a, 1], output: text/plain}
self_tests:
  - {name: t, transform: x.twice, input: "", output: {base64: QQ==}}
`))
	if err != nil {
		t.Fatal(err)
	}
	m, all, err := f.Manifest(companion.Plugin{Source: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if a := m.Transforms[0]; a.Input != "application/json" || a.Output != "application/octet-stream" || a.TimeoutMS != 90_000 || a.StateBytes != 64<<10 ||
		string(a.InputSchema) != `{"type":"object","required":["a"],"properties":{"a":{"maximum":16}}}` {
		t.Errorf("%+v", a)
	}
	if a := all[1]; a.Operation != "twice" || strings.Join(a.Arguments, " ") != "-a 1" || a.Line != 10 || all[0].Export != "run" {
		t.Errorf("%+v", all)
	}
	for doc, want := range map[string]string{
		"transforms: [{export: a}]":                                    `x.plugin.yaml:1: transforms[0] has no name`,
		"transforms:\n- {name: x, exports: a}":                         `x.plugin.yaml:2: transforms[0] has no member "exports"; did you mean "export"?`,
		"transforms:\n- {name: x}\n- {name: x}":                        `x.plugin.yaml:3: transforms[1]: there is a transform "x" in line 2 already`,
		"transforms: [{name: x, timeout: 5}]":                          `x.plugin.yaml:1: transforms[0].timeout: "5": must be a duration from 1ms, such as 250ms or 1m30s`,
		"transforms: [{name: x, timeout: 2h}]":                         `x.plugin.yaml:1: transforms[0].timeout: "2h": must be at most 1h0m0s`,
		"transforms: [{name: x, state: 2MiB}]":                         `x.plugin.yaml:1: transforms[0].state: "2MiB": must be at most 1048576 bytes`,
		"transforms: [{name: x, state: lots}]":                         `x.plugin.yaml:1: transforms[0].state: "lots": must be a size such as 64MiB or 65536`,
		"transforms: [{name: x, input_schema: {a: &b [*b]}}]":          `x.plugin.yaml:1: transforms[0].input_schema must not be nested deeper than 64`,
		"name: x\ntransforms:\n- {name: x}\n- {name: y}":               `x.plugin.yaml:4: transforms[1].name: must be "x" or begin with "x."`,
		"name: x\ntransforms:\n- {name: x, input: text}":               `x.plugin.yaml:3: transforms[0].input: must be a media type without parameters`,
		"name: X\ntransforms:\n- {name: x}":                            `x.plugin.yaml:1: name: must match`,
		"transforms: [{name: x}]\nself_tests: [{transform: y}]":        `x.plugin.yaml:2: self_tests[0]: there is no transform "y"`,
		"transforms: [" + strings.Repeat("{name: x},", 300) + "]":      `x.plugin.yaml:1: transforms[1]: there is`,
		"self_tests: [" + strings.Repeat("{transform: x},", 300) + "]": `x.plugin.yaml:1: self_tests must have at most 256 items`,
	} {
		f, err := companion.Parse("x", []byte(doc))
		if err == nil {
			_, _, err = f.Manifest(companion.Plugin{Source: "x", Exports: []string{"run"}})
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", doc, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		"kind: x\nnam: y":                      `x.plugin.yaml:2: the file has no member "nam"; did you mean "name"?`,
		"timeout: 5s":                          `x.plugin.yaml:1: the file has no member "timeout"; put it under transforms:, in the transform that it is of`,
		"transforms:\n- {name: x, config: {}}": `x.plugin.yaml:2: transforms[0] has no member "config"; put it at the top of the file`,
		"kind: [x]":                            "x.plugin.yaml:1: kind must have a single value",
		"- x":                                  "x.plugin.yaml:1: the file must have lines of the form name: value",
		"config:\n  a: {}":                     "x.plugin.yaml:2: config.a must have a single value",
		"arguments: x":                         "x.plugin.yaml:1: arguments must be a list",
		"a: 1\n---\nb: 2":                      "x.plugin.yaml:2: a second document begins here",
		"kind: a\nkind: b":                     "x.plugin.yaml:2: kind is there twice",
		"self_tests:\n- {nam: x}":              "x.plugin.yaml:2: self_tests[0]: ",
	} {
		if _, err := companion.Parse("x", []byte(doc)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
	}
}

func TestManifest(t *testing.T) {
	f := new(companion.File)
	m, all, err := f.Manifest(companion.Plugin{Source: "Count-Vowels.v2", Hash: strings.Repeat("ab", 32), Exports: []string{"countVowels"}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "count-vowels_v2" || m.Version != "sha256-abababababab" || len(all) != 2 ||
		m.Transforms[0].Name != m.Name || m.Transforms[1].Name != m.Name+".countvowels" || all[1].Export != "countVowels" {
		t.Errorf("%+v, %+v", m, all)
	}
	if _, _, err := f.Manifest(companion.Plugin{Source: "x"}); err == nil {
		t.Error("no exports are no fault")
	}
	if _, _, err := f.Manifest(companion.Plugin{Source: "x", Exports: []string{"a b", "a_b"}}); err == nil {
		t.Error("two exports of one name are no fault")
	}
}

// TestBounds has aliases repeat a long text, and lists be longer than they may be.
func TestBounds(t *testing.T) {
	const beyond = "with it the texts of the file have more than 1048576 bytes together"
	long, three := "&a "+strings.Repeat("x", 500_000), "["+strings.Repeat("*a, ", 3)
	for doc, want := range map[string]string{
		"name: " + long + "\narguments: " + three + "]":                                          "x.plugin.yaml:1: arguments[1]: " + beyond,
		"name: " + long + "\nenvironment: {a: *a, b: *a}":                                        "x.plugin.yaml:1: environment.b: " + beyond,
		"name: " + long + "\nconfig: {a: *a, b: *a}":                                             "x.plugin.yaml:1: config.b: " + beyond,
		"arguments: &a [" + strings.Repeat("'',", 300_000) + "]\ntransforms: [" + many(20) + "]": "x.plugin.yaml:1: transforms[2].arguments[",
		"name: " + long + "\ntransforms: [{name: a, operation: *a}, {name: b, operation: *a}]":   "x.plugin.yaml:1: transforms[1].operation: " + beyond,
		"name: " + long + "\nallowed_hosts: " + three + "]":                                      "x.plugin.yaml:1: allowed_hosts[1]: " + beyond,
		"allowed_hosts: [" + strings.Repeat("a,", 101) + "]":                                     "x.plugin.yaml:1: allowed_hosts must have at most 100 items, has 101",
		"name: x\nallowed_hosts: [a, " + strings.Repeat("x", 256) + "]":                          "x.plugin.yaml:2: allowed_hosts[1] must have at most 255 bytes, has 256",
		"config: &a\n  ? " + strings.Repeat("y", 600_000) + "\n  : b\nenvironment: *a":           "x.plugin.yaml:3: environment: " + beyond,
		"config:\n  ? " + strings.Repeat("y", 600_000) + "\n  : []":                              "x.plugin.yaml:3: config." + strings.Repeat("y", 100),
	} {
		if _, err := companion.Parse("x", []byte(doc)); err == nil || !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%.80q: %.500v, want %s", doc, err, want)
		}
	}
	hosts := "allowed_hosts: [" + strings.Repeat("A"+strings.Repeat("x", 254)+",", 100) + "]"
	if f, err := companion.Parse("x", []byte(hosts)); err != nil || f.AllowedHosts[99][:2] != "ax" {
		t.Errorf("as many and as long as may be: %v", err)
	}
}

// many are transforms with the arguments that are called a.
func many(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("{name: t%d, arguments: *a}", i))
	}
	return strings.Join(all, ",")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kind: extism\nconfig: {a: b}\nself_tests: [{name: x, transform: y, input: z}]"))
	f.Add([]byte("transforms: [{name: x, input_schema: {a: &b [1, *c]}, timeout: 1s, state: 1k}]"))
	f.Add([]byte("self_tests: [{name: &a [*a]}]"))
	f.Add([]byte("arguments: &a [b, 'c']\nallowed_hosts: *a\nenvironment: {b: &d e, c: *d}"))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		if file, err := companion.Parse("x", doc); err == nil {
			_, _, _ = file.Manifest(companion.Plugin{Source: "x", Exports: []string{"run"}})
		}
	})
}
