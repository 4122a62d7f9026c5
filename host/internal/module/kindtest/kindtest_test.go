package kindtest_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/native"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNative(t *testing.T) {
	kindtest.Run(t, kindtest.Subject{
		Kind: native.Kind{}, WASM: guesttest.HandWritten(t, "hostile"),
		Echo: "hostile.echo", Trap: "hostile.trap", Exit: "hostile.exit", Spin: "hostile.spin", Grow: []string{"hostile.grow"},
	})
}

func subject(tb testing.TB) kindtest.Subject {
	return kindtest.Subject{
		Kind: parcel{kernel: guesttest.HandWritten(tb, "parcel-kernel"), warmUp: contract.WarmUp{Turns: 2, Frames: true}}, WASM: guesttest.HandWritten(tb, "parcel"),
		Companion: []byte(`{"name": "parcel", "self_tests": [
			{"name": "echo", "transform": "parcel.echo", "input": "abc", "output": "abc"},
			{"name": "item", "transform": "parcel.item", "input": "", "output": "0"}]}`),
		Echo: "parcel.echo", Leave: "parcel.leave", Trap: "parcel.trap", Exit: "parcel.exit", Spin: "parcel.spin",
		Grow: []string{"parcel.grow", "parcel.growkernel", "parcel.growboth"},
	}
}

// TestParcel has a kind pass that has a memory and globals beside its guest's, and state beside both.
func TestParcel(t *testing.T) { kindtest.Run(t, subject(t)) }

// TestParcelCold has the snapshot taken of an instance that has run nothing, so that no self-test
// finds what one before it left.
func TestParcelCold(t *testing.T) {
	s := subject(t)
	s.Companion = []byte(`{"name": "parcel", "self_tests": [
		{"name": "first", "transform": "parcel.leave", "input": "", "output": ""},
		{"name": "second", "transform": "parcel.leave", "input": "", "output": ""}]}`)
	if _, err := module.Load(t.Context(), s.WASM, s.Options()); err == nil || !strings.Contains(err.Error(), `self-test 1 "second" of parcel.leave: output of 5 bytes is "mgkvh"`) {
		t.Errorf("with a warm-up: %v", err)
	}
	s.Kind = parcel{kernel: guesttest.HandWritten(t, "parcel-kernel")}
	kindtest.Run(t, s)
}

// TestParcelSingle has instances that do one item each shared by nobody, whatever the isolation says.
func TestParcelSingle(t *testing.T) {
	s := subject(t)
	kernel := s.Kind.(parcel)
	kernel.single = true
	s.Kind, s.Companion = kernel, []byte(`{"name": "parcel"}`)
	p, err := registry.Open(t.Context(), s.WASM, registry.Options{
		Module: s.Options(), Isolation: registry.Shared, Min: 1, Max: 1, IdleTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if !p.Info().Single || p.Isolation() != registry.Reset {
		t.Errorf("single %v, isolation %v", p.Info().Single, p.Isolation())
	}
	for range 2 {
		in, err := p.Borrow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results := make([]abi.Result, 1)
		if _, err := in.Run(t.Context(), &module.Call{Transform: index(p.Module(), "parcel.leave"), Items: make([]abi.Item, 1), Results: results}); err != nil || len(results[0].Payload) > 0 {
			t.Errorf("a task finds %q, err %v", results[0].Payload, err)
		}
		in.Return()
	}
}

// TestParcelItems has a kind without frames run the items of one, each by itself.
func TestParcelItems(t *testing.T) {
	m := load(t, subject(t))
	for transform, want := range map[string][]abi.Result{
		"parcel.item": {{Payload: []byte("0")}, {Payload: []byte("1")}, {Payload: []byte("2")}},
		"parcel.fail": {{Status: abi.StatusFailed, Payload: []byte("a")}, {Status: abi.StatusFailed, Payload: []byte("")}, {Status: abi.StatusFailed, Payload: []byte("\uFFFD")}},
	} {
		in, err := m.Instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results := make([]abi.Result, 3)
		_, err = in.Run(t.Context(), &module.Call{
			Transform: index(m, transform), Items: []abi.Item{{Payload: []byte("a")}, {}, {Payload: []byte("\xff")}}, Results: results,
		})
		for i := range results {
			if results[i].Status != want[i].Status || !bytes.Equal(results[i].Payload, want[i].Payload) {
				t.Errorf("%s, item %d: %v %q, err %v", transform, i, results[i].Status, results[i].Payload, err)
			}
		}
	}
}

// TestParcelBilled has what a library does for a guest billed by the host.
func TestParcelBilled(t *testing.T) {
	m := load(t, subject(t))
	fuel := func(size int) uint64 {
		in, err := m.Instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		items, results := []abi.Item{{Payload: make([]byte, size)}}, make([]abi.Result, 1)
		fuel, err := in.Run(t.Context(), &module.Call{Transform: index(m, "parcel.echo"), Items: items, Results: results})
		if err != nil {
			t.Fatal(err)
		}
		return fuel
	}
	if a, b := fuel(1), fuel(2); b <= a {
		t.Errorf("an item of a byte takes %d of fuel, of two %d", a, b)
	}
}

// calling is parcel with a host function that calls its instance.
type calling struct {
	parcel

	do func(err error)
}

func (c calling) Imports(b contract.Binary) contract.Imports {
	imports := c.parcel.Imports(b)
	for i := range imports.Functions {
		if f := &imports.Functions[i]; f.Name == "item" {
			f.Do = func(ctx context.Context, in contract.Instance, _ api.Module, stack []uint64) {
				c.do(in.Guest().(*parcelGuest).begin.Call(ctx, []uint64{0}))
				stack[0] = 7
			}
		}
	}
	return imports
}

// TestNestedCall has a host function call its instance, which is refused.
func TestNestedCall(t *testing.T) {
	s := subject(t)
	s.Companion = []byte(`{"name": "parcel"}`)
	var refused error
	raise := false
	defect := func() {}
	s.Kind = calling{s.Kind.(parcel), func(err error) {
		defect()
		if refused = err; raise {
			panic(err)
		}
	}}
	m := load(t, s)
	in, err := m.Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	call := module.Call{Transform: index(m, "parcel.item"), Items: make([]abi.Item, 1), Results: make([]abi.Result, 1)}
	_, err = in.Run(t.Context(), &call)
	if f := (*module.Fault)(nil); !errors.As(refused, &f) || f.Kind != module.ABI || f.Message != "begin is called while item runs: a host function must not call its instance" {
		t.Errorf("refused by %v", refused)
	}
	if err != nil || string(call.Results[0].Payload) != "7" {
		t.Errorf("the task answers %q, err %v", call.Results[0].Payload, err)
	}
	raise = true
	if _, err = in.Run(t.Context(), &call); !errors.Is(err, refused) || in.Usable() {
		t.Errorf("err %v, want %v", err, refused)
	}
	for want, panics := range map[string]func(){ // which is the host's fault, and not the guest's
		"panic: a text\n":                 func() { panic("a text") },
		"panic: an error\non two lines\n": func() { panic(errors.New("an error\non two lines")) },
		"panic: runtime error: ":          func() { _ = make([]byte, len(s.WASM))[len(s.WASM)+1:] },
	} {
		defect = panics
		in, err := m.Instantiate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = in.Run(t.Context(), &call)
		f := (*module.Fault)(nil)
		if !errors.As(err, &f) || f.Kind != module.HostPanic || f.Message != "item: a function of the host panicked" || !strings.HasPrefix(f.Stack, want) || in.Usable() {
			t.Errorf("%q: err %#v", want, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestParcelRefused has what a kind checks told beside what is common.
func TestParcelRefused(t *testing.T) {
	s := subject(t)
	s.Companion = nil
	// It imports what is not there, and exports a function of another type.
	s.WASM = []byte("\x00asm\x01\x00\x00\x00" + "\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" +
		"\x02\x2f\x03\x06parcel\x03put\x00\x00" + "\x06parcel\x04open\x00\x00" + "\x0bparcel:host\x04item\x00\x01" +
		"\x03\x02\x01\x00" + "\x07\x07\x01\x03run\x00\x03" + "\x0a\x04\x01\x02\x00\x0b")
	_, err := module.Load(t.Context(), s.WASM, s.Options())
	const want = "imports parcel.open, which the host does not grant\n" +
		"imports parcel.put() → (), the host has put(i32) → ()\n" +
		"imports parcel:host.item(i32) → i32, the host has item() → i32\n" +
		"has no companion file\n" +
		"exports run() → (), want run() → i32"
	if at := (*module.StepError)(nil); !errors.As(err, &at) || at.Step != module.StepLink || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}

// TestKinds has the kind of a binary chosen among several.
func TestKinds(t *testing.T) {
	s := subject(t)
	for _, c := range []struct {
		guest       string
		kinds       []contract.Kind
		kind, claim string
		refused     string
	}{
		{"hostile", []contract.Kind{native.Kind{}, s.Kind}, "native", "exports resonhost_abi", ""},
		{"hostile", []contract.Kind{s.Kind, native.Kind{}}, "native", "exports resonhost_abi", ""},
		{"parcel", []contract.Kind{native.Kind{}, s.Kind}, "parcel", "imports parcel.length", ""},
		{"parcel", []contract.Kind{native.Kind{}}, "", "", "imports 5 functions of parcel, which the host does not grant: length, get, put and 2 more"},
	} {
		s.WASM, s.Companion = guesttest.HandWritten(t, c.guest), nil
		opts := s.Options()
		opts.Kinds = c.kinds
		if c.kind == "parcel" {
			opts.Companion = subject(t).Companion
		}
		m, err := module.Load(t.Context(), s.WASM, opts)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: err %v, want %q", c.guest, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Info(); got.Kind != c.kind || got.Claim != c.claim {
			t.Errorf("%s is of kind %q, as it %s", c.guest, got.Kind, got.Claim)
		}
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func load(t *testing.T, s kindtest.Subject) *module.Module {
	t.Helper()
	m, err := module.Load(t.Context(), s.WASM, s.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func index(m *module.Module, transform string) int {
	return slices.IndexFunc(m.Info().Manifest.Transforms, func(t manifest.Transform) bool { return t.Name == transform })
}
