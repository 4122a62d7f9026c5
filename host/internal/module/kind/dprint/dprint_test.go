package dprint_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/dprint"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// words are what the guest "upper" can do, each a transform.
var words = []string{"upper", "echo", "leave", "trap", "spin", "grow", "host", "broken", "wild", "much", "narrow"}

func formatters() *companion.File {
	f := &companion.File{Name: "upper"}
	for _, word := range words {
		t := companion.Transform{Name: "upper." + word}
		if word != "upper" {
			t.Arguments = []string{word}
		}
		f.Transforms = append(f.Transforms, t)
	}
	f.SelfTests = []manifest.SelfTest{{Name: "a word", Transform: "upper.upper", Input: []byte("abc"), Output: []byte("ABC")}}
	return f
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Subject{
		Kind: kindtest.With(dprint.Kind{}, formatters()), WASM: guesttest.HandWritten(t, "upper"),
		Echo: "upper.echo", Leave: "upper.leave", Trap: "upper.trap", Spin: "upper.spin", Grow: []string{"upper.grow"},
	})
}

// TestCompiled has guests of the compilers of Rust, with schema 4, and of C, with schema 3.
func TestCompiled(t *testing.T) {
	for language, wasm := range map[string][]byte{
		"Rust": guesttest.BuildRustGuest(t, "testdata/guests/dprint-rust/lib.rs"), "C": schema3(t),
	} {
		t.Run(language, func(t *testing.T) {
			kindtest.Run(t, kindtest.Subject{
				Kind: kindtest.With(dprint.Kind{}, formatters()), WASM: wasm,
				Echo: "upper.echo", Leave: "upper.leave", Trap: "upper.trap", Spin: "upper.spin", Grow: []string{"upper.grow"},
			})
		})
	}
}

func schema3(t *testing.T) []byte {
	return guesttest.BuildCGuest(t, "testdata/guests/dprint-c/guest.c")
}
func schema4(t *testing.T) []byte { return guesttest.HandWritten(t, "upper") }

func load(t *testing.T, wasm []byte, kind contract.Kind) (*module.Module, error) {
	t.Helper()
	s := kindtest.Subject{Kind: kind}
	opts := s.Options()
	opts.Name = "upper"
	m, err := module.Load(t.Context(), wasm, opts)
	if err == nil {
		t.Cleanup(func() {
			if err := m.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	return m, err
}

func TestFormats(t *testing.T) {
	formats(t, schema4(t), map[string]string{
		"broken": "format returned 7, and must return 0, 1 or 2",
		"wild":   "get_formatted_text shared bytes 4294967280 to 4294967312 of a memory of 262144",
		"much":   "format returned a frame of 2147483647 bytes, the limit is 4194304 (MaxOutput, --max-output)",
	})
}

func TestFormatsBySchema3(t *testing.T) {
	formats(t, schema3(t), map[string]string{
		"broken": "format returned 7, and must return 0, 1 or 2",
		"wild":   "get_wasm_memory_buffer returned 4294967280 for 1024 bytes, of a memory of 1179648",
		"much":   "format returned a frame of 2147483647 bytes, the limit is 4194304 (MaxOutput, --max-output)",
		"narrow": "get_wasm_memory_buffer_size returned 1, and must return 512 or more",
	})
}

// formats has a guest do what it does well, and what it does wrong.
func formats(t *testing.T, wasm []byte, wrong map[string]string) {
	t.Helper()
	m, err := load(t, wasm, kindtest.With(dprint.Kind{}, formatters()))
	if err != nil {
		t.Fatal(err)
	}
	run := func(word string, texts ...string) ([]abi.Result, error) {
		in, err := m.Instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		c := module.Call{Results: make([]abi.Result, len(texts)), Limits: module.Limits{Timeout: time.Minute}}
		for _, text := range texts {
			c.Items = append(c.Items, abi.Item{Payload: []byte(text)})
		}
		for i, w := range words {
			if w == word {
				c.Transform = i
			}
		}
		_, err = in.Run(t.Context(), &c)
		return c.Results, err
	}
	got, err := run("upper", "shout it", "ALOUD", "", "last")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []abi.Result{
		{Payload: []byte("SHOUT IT")}, {Payload: []byte("ALOUD")}, {Status: abi.StatusFailed, Payload: []byte("no text to shout")}, {Payload: []byte("LAST")},
	} {
		if got[i].Status != want.Status || !bytes.Equal(got[i].Payload, want.Payload) {
			t.Errorf("text %d: %v %q, want %v %q", i, got[i].Status, got[i].Payload, want.Status, want.Payload)
		}
	}
	if got, err := run("host", "as it is"); err != nil || string(got[0].Payload) != "as it is" {
		t.Errorf("text within: %q, %v", got[0].Payload, err)
	}
	long, loud := strings.Repeat("words and ", 10_000), strings.Repeat("WORDS AND ", 10_000)
	if got, err := run("upper", long); err != nil || string(got[0].Payload) != loud {
		t.Errorf("a long text: %d bytes, %v", len(got[0].Payload), err)
	}
	for word, want := range wrong {
		_, err := run(word, strings.Repeat("x", 2000))
		if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.ABI || f.Message != want {
			t.Errorf("%s: err %v, want %s", word, err, want)
		}
	}
	if _, err := run("much", "x", "y"); !errors.Is(err, module.ErrOutputSum) {
		t.Errorf("much, twice: err %v", err)
	}
}

// TestWithoutCompanion has the plugin say its version, and for which files it is.
func TestWithoutCompanion(t *testing.T) {
	for _, wasm := range [][]byte{schema3(t), schema4(t)} {
		withoutCompanion(t, wasm)
	}
}

func withoutCompanion(t *testing.T, wasm []byte) {
	t.Helper()
	m, err := load(t, wasm, dprint.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	got := m.Info().Manifest
	if len(got.Transforms) != 1 || got.Version != "1.2.3" || got.Transforms[0].Name != "upper" || got.Transforms[0].Input != manifest.MediaTypeText {
		t.Errorf("%+v", got)
	}
	f := formatters()
	f.Version = "7"
	if m, err = load(t, wasm, kindtest.With(dprint.Kind{}, f)); err != nil || m.Info().Manifest.Version != "7" {
		t.Errorf("with a version of its own: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*companion.File)
		want   string
	}{
		{"a wrong setting", func(f *companion.File) { f.Config = map[string]string{"loud": "!"} }, "config.loud: the plugin says \"must not be that\""},
		{"an export", func(f *companion.File) { f.Transforms[0].Export = "main" }, "export: is of no use to a plugin of dprint"},
		{"an operation", func(f *companion.File) { f.Transforms[0].Operation = "op" }, "operation: is for guests of waPC"},
		{"two paths", func(f *companion.File) { f.Transforms[0].Arguments = []string{"a", "b"} }, "arguments: a transform of a plugin of dprint has one"},
		{"a state", func(f *companion.File) { f.Transforms[0].StateBytes = 8 }, "transforms[0].state: a plugin of dprint keeps no state"},
	} {
		f := formatters()
		c.change(f)
		for _, wasm := range [][]byte{schema3(t), schema4(t)} {
			if _, err := load(t, wasm, kindtest.With(dprint.Kind{}, f)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: err %v, want %s", c.name, err, c.want)
			}
		}
	}
	older := guesttest.BuildCGuest(t, "testdata/guests/dprint-c/guest.c", "-DSCHEMA=2")
	if _, err := load(t, older, dprint.Kind{}); err == nil || !strings.Contains(err.Error(), "has schema 2 of dprint's plugins, the host knows 3 and 4: get a newer release of the plugin") {
		t.Errorf("schema 2: err %v", err)
	}
	s := kindtest.Subject{Kind: dprint.Kind{}}
	opts := s.Options()
	opts.Companion = []byte("environment: {A: b}\narguments: [a]\nallowed_hosts: [x]\nmax_response_bytes: 1\nmax_variable_bytes: 1\ntransforms: [{name: p, state: 1}]\n")
	_, err := module.Load(t.Context(), guesttest.HandWritten(t, "upper"), opts)
	for _, want := range []string{
		".plugin.yaml:1: environment: a plugin of dprint reads none", ".plugin.yaml:2: arguments: a plugin of dprint has those of a transform alone",
		".plugin.yaml:3: allowed_hosts: a plugin of dprint sends no requests", ".plugin.yaml:4: max_response_bytes: ", ".plugin.yaml:5: max_variable_bytes: ",
		".plugin.yaml:6: transforms[0].state: a plugin of dprint keeps no state",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v, want %s", err, want)
		}
	}
	s = kindtest.Subject{Kind: kindtest.With(dprint.Kind{}, formatters())}
	_, err = module.Load(t.Context(), guesttest.HandWritten(t, "program"), s.Options())
	for _, want := range []string{
		"lacks exports of a plugin of dprint with schema 4: dprint_plugin_version_4() → i32, clear_shared_bytes(i32) → i32, get_shared_bytes_ptr() → i32 and 8 more",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}
