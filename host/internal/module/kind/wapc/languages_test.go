package wapc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/kind/wapc"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestGo has a guest of Go's compiler.
func TestGo(t *testing.T) {
	m, log := loadCompiled(t, guesttest.Build(t, "./testdata/guests/wapc-go"))
	calls(t, m, log, "there is no operation none")
	for operation, kind := range map[string]module.FaultKind{"trap": module.Trap, "exit": module.Exit, "grow": module.OutOfMemory} {
		_, err := run(t, m, operation, "x")
		if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != kind {
			t.Errorf("%s: %v", operation, err)
		}
	}
}

// TestC has a guest of clang's.
func TestC(t *testing.T) {
	m, log := loadCompiled(t, guesttest.BuildCGuest(t, "testdata/guests/wapc-c/guest.c"))
	calls(t, m, log, "there is no such operation")
}

// loadCompiled loads a guest that a compiler has made, beside a host that has one function.
func loadCompiled(t *testing.T, wasm []byte) (kindtest.Loaded, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	opts := options(t)
	opts.Kinds[0] = kindtest.With(wapc.Kind{}, naming([]string{"echo", "keep", "log", "host", "trap", "exit", "grow", "none"}))
	opts.MemoryLimit = 64 << 20
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	opts.Embedder.Functions = map[string]func(context.Context, [][]byte) ([]byte, error){
		"kv/store/get": func(_ context.Context, args [][]byte) ([]byte, error) {
			if len(args[0]) == 0 {
				return nil, errors.New("no key")
			}
			return []byte("value of " + string(args[0])), nil
		},
	}
	return kindtest.Load(t, wasm, opts), &log
}

// calls has a guest do its operations. Unknown is what it says of one that there is not.
func calls(t *testing.T, m kindtest.Loaded, log *bytes.Buffer, unknown string) {
	t.Helper()
	long := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		operation, payload string
		status             abi.Status
		want               string
	}{
		{"echo", "abc", abi.StatusOK, "> abc"},
		{"echo", "", abi.StatusOK, "> "},
		{"echo", long, abi.StatusOK, "> " + long},
		{"keep", "abc", abi.StatusOK, "> "},
		{"log", "words", abi.StatusOK, "> "},
		{"host", "abc", abi.StatusOK, "> value of abc"},
		{"host", "", abi.StatusFailed, "no key"},
		{"none", "", abi.StatusFailed, unknown},
	} {
		got, err := run(t, m, c.operation, c.payload)
		if err != nil || got[0].Status != c.status || string(got[0].Payload) != c.want {
			t.Errorf("%s %.10q: %v %.100q, err %v", c.operation, c.payload, got[0].Status, got[0].Payload, err)
		}
	}
	if !strings.Contains(log.String(), "msg=words") {
		t.Errorf("the guest's words are not logged:\n%s", log)
	}
}

// TestCompiled has guests of the compilers of Rust and C.
func TestCompiled(t *testing.T) {
	echo := manifest.SelfTest{Name: "echo", Transform: "guest.echo", Input: manifest.Content("abc"), Output: manifest.Content("abc")}
	for language, wasm := range map[string][]byte{
		"Rust": guesttest.BuildRustGuest(t, "testdata/guests/wapc-rust/lib.rs"),
		"C":    guesttest.BuildCGuest(t, "testdata/guests/wapc-c/guest.c"),
	} {
		t.Run(language, func(t *testing.T) {
			kindtest.Run(t, kindtest.Subject{
				Kind: kindtest.With(wapc.Kind{}, naming([]string{"echo", "keep", "trap", "spin", "grow"}, echo)), WASM: wasm,
				Echo: "guest.echo", Leave: "guest.keep", Trap: "guest.trap", Spin: "guest.spin", Grow: []string{"guest.grow"},
			})
		})
	}
}
