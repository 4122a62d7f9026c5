package form_test

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/internal/form"
)

// TestForms has forms take what package codec takes, and give the same,
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
				payload, encode, err := form.Translate(in, out, []byte(doc))
				want, wantEncode, wantErr := codec.New().Translate(spec, []byte(doc))
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
