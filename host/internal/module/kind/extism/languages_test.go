package extism_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/extism"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guestbuild"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// goGuest is the plugin made with Extism's kit for Go.
func goGuest(t *testing.T) []byte {
	t.Helper()
	wasm, err := guestbuild.Go(t.Context(), filepath.Join(guesttest.Root(), "testdata/guests/extism-go"), ".")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// TestGo has a guest of Go's compiler and Extism's kit for it. The suite of all kinds has smaller ones,
// which take less time to compile.
func TestGo(t *testing.T) {
	wasm := goGuest(t)
	m := load(t, wasm, func(o *module.Options) {
		o.MemoryLimit = 64 << 20
		o.Companion = []byte("name: x\nconfig: {lang: en}\nself_tests:\n" +
			"- {name: vowels, transform: x.count_vowels, input: Hello World, output: '{\"count\":3}'}")
		o.Embedder.Fetch = func(_ context.Context, r contract.FetchRequest) (contract.FetchResponse, error) {
			return contract.FetchResponse{Status: 201, Header: map[string]string{"x-two": "a,b"}, Body: []byte(r.Method + " " + r.Header["X-Mine"] + " " + string(r.Body))}, nil
		}
	})
	for _, c := range []struct {
		transform, input string
		status           abi.Status
		output           string
	}{
		{"count_vowels", "Hello World, and others", abi.StatusOK, `{"count":6}`},
		{"config", "lang", abi.StatusOK, "en"},
		{"config", "none", abi.StatusFailed, "there is no such key"},
		{"log", "words", abi.StatusOK, ""},
		{"http", "http://example.com", abi.StatusOK, `{"body":"POST mine body","status":201,"two":"a,b"}`},
	} {
		if got, err := m.run(t, "x."+c.transform, item(c.input)); err != nil || got[0].Status != c.status || string(got[0].Payload) != c.output {
			t.Errorf("%s(%s) is %v %q, err %v", c.transform, c.input, got[0].Status, got[0].Payload, err)
		}
	}
	in := m.Instance()
	for range 2 {
		if got, err := m.runIn(t, in, "x.leave", item("")); err != nil || len(got[0].Payload) > 0 || !in.Reset() {
			t.Errorf("finds %v, err %v", got, err)
		}
	}
	for transform, kind := range map[string]module.FaultKind{"trap": module.Trap, "exit": module.Exit} {
		_, err := m.run(t, "x."+transform, item(""))
		if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != kind {
			t.Errorf("%s: %v", transform, err)
		}
	}
	var state []byte
	for _, want := range []string{"3", "6", "9"} {
		got, err := m.run(t, "x.count", abi.Item{Payload: []byte("abc"), State: state})
		if err != nil || string(got[0].Payload) != want {
			t.Errorf("%v, err %v, want %s", got, err, want)
		}
		state = got[0].State
	}
	if _, err := m.run(t, "x.grow", item("")); err == nil || !strings.Contains(err.Error(), "out of memory: grow wanted memory of ") {
		t.Errorf("memory without end: %v", err)
	}
}

// TestCompiled has guests of the compilers of Rust and C.
func TestCompiled(t *testing.T) {
	for language, guest := range map[string]struct {
		wasm  []byte
		count string // of vowels, as the guest writes it
	}{
		"Rust": {guesttest.BuildRustGuest(t, "testdata/guests/extism-rust/lib.rs"), `{"count":3}`},
		"C":    {guesttest.BuildCGuest(t, "testdata/guests/extism-c/guest.c"), "3"},
	} {
		t.Run(language, func(t *testing.T) {
			file := "name: x\nself_tests:\n- {name: vowels, transform: x.count_vowels, input: Hello World, output: '" + guest.count + "'}\n" +
				"- {name: reason, transform: x.fail, input: out of luck, error: failed}"
			kindtest.Run(t, kindtest.Subject{
				Kind: extism.Kind{}, WASM: guest.wasm, Companion: []byte(file),
				Echo: "x.echo", Leave: "x.leave", Trap: "x.trap", Spin: "x.spin", Grow: []string{"x.grow"},
			})
			m := load(t, guest.wasm, func(o *module.Options) { o.Companion = []byte(file) })
			if got, err := m.run(t, "x.fail", item("out of luck")); err != nil || got[0].Status != abi.StatusFailed || string(got[0].Payload) != "out of luck" {
				t.Errorf("it fails with %v, err %v", got, err)
			}
		})
	}
}
