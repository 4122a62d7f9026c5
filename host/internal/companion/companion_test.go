package companion_test

import (
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

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		"kind: x\nnam: y":         `x.plugin.yaml:2: the file has no member "nam"; did you mean "name"?`,
		"kind: [x]":               "x.plugin.yaml:1: kind must have a single value",
		"- x":                     "x.plugin.yaml:1: the file must have lines of the form name: value",
		"config:\n  a: {}":        "x.plugin.yaml:2: config.a must have a single value",
		"arguments: x":            "x.plugin.yaml:1: arguments must be a list",
		"a: 1\n---\nb: 2":         "x.plugin.yaml:2: a second document begins here",
		"kind: a\nkind: b":        "x.plugin.yaml:2: kind is there twice",
		"self_tests:\n- {nam: x}": "x.plugin.yaml:2: self_tests[0]: ",
	} {
		if _, err := companion.Parse("x", []byte(doc)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
	}
}

func TestManifest(t *testing.T) {
	var f *companion.File
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

func FuzzParse(f *testing.F) {
	f.Add([]byte("kind: extism\nconfig: {a: b}\nself_tests: [{name: x, transform: y, input: z}]"))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		if file, err := companion.Parse("x", doc); err == nil {
			_, _, _ = file.Manifest(companion.Plugin{Source: "x", Exports: []string{"run"}})
		}
	})
}
