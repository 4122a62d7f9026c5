package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/resonance/cascade"
)

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
	h := hosted.Start(t, host.Config{PluginDir: dir})
	if out, err := h.Run(t.Context(), "swap", []byte("any")); err != nil || string(out) != "v1.............." {
		t.Errorf("%q, err %v", out, err)
	}
}

// TestJSONForRecord has a caller who gives JSON where a record is wanted be told so.
func TestJSONForRecord(t *testing.T) {
	h := hosted.Start(t, host.Config{PluginDir: guesttest.Dir(t, guesttest.Cascade)})
	run := map[string]func(input []byte) error{
		"Run":      func(input []byte) error { _, err := h.Run(t.Context(), "cascade", input); return err },
		"Submit":   func(input []byte) error { _, err := h.Submit(t.Context(), "cascade", input).Wait(); return err },
		"RunBatch": func(input []byte) error { return h.RunBatch(t.Context(), "cascade", [][]byte{input})[0].Err },
	}
	for name, run := range run {
		const record = "cascade: invalid_argument: state: must be a record of 56 bytes, has "
		if err, want := run([]byte(`{"awarenessLevel":0.5}`)), record+"22; the input is JSON, and cascade takes "+cascade.MediaTypeState+
			": host.Call makes that of a Go value, and package invoke of JSON, with a codec for that media type, which the plugin's author may have"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
		if err, want := run([]byte("short")), record+"5"; err == nil || err.Error() != want {
			t.Errorf("%s: err %v, want %s", name, err, want)
		}
	}
}
