package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi/cascade"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestForms has the default of Config.JSON take what package codec takes, and give the same,
// for the media types that are no plugin's own.
func TestForms(t *testing.T) {
	types := []string{"application/json", "text/plain", "application/octet-stream"}
	docs := []string{
		`"text"`, `"ü<>&\u0000"`, `""`, `{"base64": "AAH/"}`, `{"base64": ""}`, `{"base64": null}`, `{}`, `{"other": ""}`, `{"base64": "AA", "x": 1}`,
		`{"base64": "!"}`, `null`, `1`, `[1, 2]`, `true`, ` {"a": [1, {"b": null}]} `,
	}
	outputs := [][]byte{nil, []byte("ü<>"), {0, 1, 255}, []byte(`{"a":1}`)}
	for _, in := range types {
		for _, out := range types {
			spec := host.Transform{Name: "x", Input: in, Output: out}
			for _, doc := range docs {
				payload, encode, err := host.FormsOfJSON(spec, []byte(doc))
				want, wantEncode, wantErr := codec.Builtin().Translate(spec, []byte(doc))
				if (err != nil) != (wantErr != nil) || err == nil && strings.TrimSpace(string(payload)) != strings.TrimSpace(string(want)) {
					t.Errorf("%s of %s: %q, err %v; codec has %q, err %v", in, doc, payload, err, want, wantErr)
				}
				if err != nil || wantErr != nil {
					continue
				}
				for _, output := range outputs {
					got, err := encode(output)
					want, wantErr := wantEncode(output)
					if out == "application/json" {
						continue // what is compared then checks it
					}
					same := sameText(got, want)
					if (err != nil) != (wantErr != nil) || err == nil && !same {
						t.Errorf("%s of %q: %s, err %v; codec has %s, err %v", out, output, got, err, want, wantErr)
					}
				}
			}
		}
	}
}

// sameText reports whether JSON is the same but for escapes that encoding/json makes for HTML.
func sameText(a, b []byte) bool {
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
	return plain.Replace(string(a)) == plain.Replace(string(b))
}

// TestScaffoldEmbeds has a directory of a plugin of text and its tests serve with no setting
// but that directory.
func TestScaffoldEmbeds(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"swap.wasm":        tagged(t, "v1").WASM,
		"swap.test.ndjson": []byte(`{"name": "a text", "transform": "swap", "input": "any", "output": "v1.............."}` + "\n"),
		"echo.wasm":        guesttest.Build(t, "./testdata/guests/echo"),
		"echo.test.ndjson": []byte(`{"transform": "echo", "input": {"base64": "AP8="}, "output": {"base64": "AP8="}}` + "\n" + `{"transform": "echo", "input": 1, "error": "invalid_argument"}` + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := start(t, host.Config{PluginDir: dir})
	if out, err := h.Run(t.Context(), "swap", []byte("any")); err != nil || string(out) != "v1.............." {
		t.Errorf("%q, err %v", out, err)
	}
}

// TestJSONForRecord has a caller who gives JSON where a record is wanted be told so.
func TestJSONForRecord(t *testing.T) {
	h := start(t, host.Config{PluginDir: guesttest.Dir(t, guesttest.Cascade)})
	run := map[string]func(input []byte) error{
		"Run":      func(input []byte) error { _, err := h.Run(t.Context(), "cascade", input); return err },
		"Submit":   func(input []byte) error { _, err := h.Submit(t.Context(), "cascade", input).Wait(); return err },
		"RunBatch": func(input []byte) error { return h.RunBatch(t.Context(), "cascade", [][]byte{input})[0].Err },
	}
	for name, run := range run {
		const record = "cascade: invalid_argument: state: must be a record of 56 bytes, has "
		if err, want := run([]byte(`{"awarenessLevel":0.5}`)), record+"22; the input is JSON, and cascade takes "+cascade.MediaTypeState+
			": package codec makes that of JSON (codec.Builtin().Translate)"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
		if err, want := run([]byte("short")), record+"5"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
	}
}
