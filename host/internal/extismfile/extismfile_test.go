package extismfile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/extismfile"
)

var files = map[string][]byte{"a.wasm": []byte("binary"), "sub/b.wasm": []byte("other")}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestRead(t *testing.T) {
	doc := []byte(`{"wasm": [{"path": "a.wasm", "hash": "` + strings.ToUpper(hash(files["a.wasm"])) + `", "name": "main"}],
		"config": {"lang": "e\u0001n", "q": "\"<ü>\ud83d\ude00"}, "allowed_hosts": ["*.example.com"], "timeout_ms": 1500, "allowed_paths": {},
		"memory": {"max_pages": 100, "max_http_response_bytes": 1000, "max_var_bytes": 0}}`)
	if paths, ok, err := extismfile.Files(doc); !ok || err != nil || !slices.Equal(paths, []string{"a.wasm"}) {
		t.Errorf("it names %q, %v", paths, ok)
	}
	binary, text, err := extismfile.Read(doc, files)
	if err != nil || string(binary) != "binary" {
		t.Fatalf("%q, err %v", binary, err)
	}
	f, err := companion.Parse("x", text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if f.Kind != "extism" || f.Config["lang"] != "e\x01n" || f.Config["q"] != "\"<ü>😀" || f.AllowedHosts[0] != "*.example.com" ||
		f.Limits.TimeoutMS != 1500 || f.Limits.MaxPages != 100 || *f.Limits.MaxResponseBytes != 1000 || *f.Limits.MaxVariableBytes != 0 {
		t.Errorf("%s becomes %+v", text, f)
	}
	doc = []byte(`{"wasm": [{"path": "a.wasm", "data": null, "hash": null, "url": null, "method": null, "headers": null, "name": null}],
		"config": null, "allowed_hosts": null, "timeout_ms": null, "allowed_paths": null, "memory": {"max_pages": null, "max_var_bytes": null}}`)
	if _, text, err := extismfile.Read(doc, files); err != nil || string(text) != "{\"kind\":\"extism\"}\n" {
		t.Errorf("of members that are null: %s, %v", text, err)
	}
	if binary, _, err := extismfile.Read([]byte(`{"wasm": [{"data": "YmluYXJ5"}]}`), nil); err != nil || string(binary) != "binary" {
		t.Errorf("from base64: %q, %v", binary, err)
	}
}

func TestRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		`{"wasm": []}`:   "wasm: names no module",
		`{"wasm": [{}]}`: "wasm[0] has neither path nor data",
		`{"wasm": [{"path": "a.wasm"}, {"path": "sub/b.wasm"}]}`:       "wasm: names 2 modules, and this host links none to another",
		`{"wasm": [{"url": "https://example.com/a.wasm"}]}`:            "wasm[0].url: a host takes plugins from its directory alone",
		`{"wasm": [{"path": "../a.wasm"}]}`:                            `wasm[0].path: "../a.wasm" does not lie in the directory of the manifest`,
		`{"wasm": [{"path": "/a.wasm"}]}`:                              `wasm[0].path: "/a.wasm" does not lie in the directory of the manifest`,
		`{"wasm": [{"path": "c.wasm"}]}`:                               `wasm[0].path: there is no file "c.wasm"`,
		`{"wasm": [{"path": "a.wasm", "data": "eA=="}]}`:               "wasm[0] has path and data, of which one is enough",
		`{"wasm": [{"path": "a.wasm", "hash": "00"}]}`:                 "wasm[0].hash: is 00, and the SHA-256 of the binary is " + hash(files["a.wasm"]),
		`{"wasm": [{"data": "?"}]}`:                                    "wasm[0].data: illegal base64 data at input byte 0",
		`{"wasm": [{"data": {"ptr": 1, "len": 2}}]}`:                   "wasm[0].data: must be the binary in base64",
		`{"wasm": [{"path": "a.wasm"}], "allowed_paths": {"/": "/"}}`:  "allowed_paths: a plugin of this host has no files",
		`{"wasm": [{"path": "a.wasm"}], "allowed_host": []}`:           "allowed_host",
		`{"wasm": [{"path": "a.wasm"}], "config": {"a": 1}}`:           "config: must be an object of strings",
		`{"wasm": [{"path": "a.wasm"}], "timeout_ms": -1}`:             "timeout_ms: must be a number from 0 to 4294967295",
		`{"wasm": [{"path": "a.wasm"}], "memory": {"max_pages": "x"}}`: "memory.max_pages: must be a number",
		`{"wasm": [{"path": "a.wasm"}], "memory": {"max_page": 1}}`:    "memory.max_page",
		`{"wasm": [{"path": "a.wasm"}], "memroy": {}}`:                 `memroy: is not a known member; did you mean "memory"?; there are wasm`,
		`{"wasm": [`: "",
	} {
		if _, _, err := extismfile.Read([]byte(doc), files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", doc, err, want)
		}
	}
}

// TestDoubt has what may have been meant to be a manifest, and what is something else.
func TestDoubt(t *testing.T) {
	const known = `, by which a manifest of Extism's is known: `
	for doc, want := range map[string]string{
		"":    "it is empty: write a manifest of Extism's, or take it away",
		" \n": "it is empty: write a manifest of Extism's, or take it away",
		"{":   "it is not valid JSON (unexpected EOF): mend it if it is a manifest of Extism's, or take it away",
		`{"a": 1,}`: "it is not valid JSON (invalid character '}' looking for beginning of object key string): " +
			"mend it if it is a manifest of Extism's, or take it away",
		`{"wasmm": []}`:                       `it has "wasmm" and no "wasm"` + known + `call the member "wasm"`,
		`{"config": {}, "Wasm": []}`:          `it has "Wasm" and no "wasm"` + known + `call the member "wasm"`,
		`{"allowed_hosts": [], "config": {}}`: `it has "allowed_hosts" and no "wasm"` + known + `name the binary in "wasm"`,
		`{"allowed_paths": {}}`:               `it has "allowed_paths" and no "wasm"` + known + `name the binary in "wasm"`,
		`{"config": {}, "timeout_ms": 1}`:     "",
		"{\"text\": 1}\n{\"text\": 2}\n":      "",
		"[1, 2":                               "",
		"hello":                               "",
		`{}`:                                  "",
	} {
		if got := extismfile.Doubt([]byte(doc)); got != want {
			t.Errorf("%s: %s, want %s", doc, got, want)
		}
	}
}

func TestFiles(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"wasm": "x"}`: true, `{"wasm": [{"path": 1}]}`: true, `{"wasm": [`: true,
		`{"scripts": {"wasm": "x"}}`: false, `["wasm"]`: false, `{}`: false, ``: false, `{"name": "x"}`: false,
	} {
		if _, ok, err := extismfile.Files([]byte(doc)); ok != want || ok && err == nil {
			t.Errorf("%s: %v", doc, ok)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"wasm": [{"path": "a.wasm"}], "config": {"a": "b"}, "timeout_ms": 1, "memory": {"max_pages": 1}}`))
	f.Add([]byte(`{"wasm": [{"data": "YWJj"}], "allowed_hosts": ["*"]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, named, wrong := extismfile.Files(doc)
		_, text, err := extismfile.Read(doc, files)
		if err != nil {
			return
		}
		if !named || wrong != nil {
			t.Errorf("%s is read, and is no manifest: %v", doc, wrong)
		}
		if _, err := companion.Parse("x", text); err != nil {
			t.Errorf("%s becomes %s: %v", doc, text, err)
		}
	})
}
