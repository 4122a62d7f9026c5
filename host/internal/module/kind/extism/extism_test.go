package extism_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/kind/extism"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func subject(tb testing.TB) kindtest.Subject {
	return kindtest.Subject{
		Kind: extism.Kind{}, WASM: guesttest.HandWritten(tb, "extism"), Companion: []byte("name: x"),
		Echo: "x.echo", Leave: "x.leave", Trap: "x.trap", Exit: "x.exit", Spin: "x.spin",
		Grow: []string{"x.grow", "x.growkernel", "x.growboth"},
	}
}

// TestKind has the kind pass what every kind must.
func TestKind(t *testing.T) { kindtest.Run(t, subject(t)) }

// loaded is a guest under test.
type loaded struct{ kindtest.Loaded }

// load loads a binary with options that are those of kindtest, but for what edit changes.
func load(t *testing.T, wasm []byte, edit func(*module.Options)) loaded {
	t.Helper()
	s := subject(t)
	opts := s.Options()
	if edit != nil {
		edit(&opts)
	}
	return loaded{kindtest.Load(t, wasm, opts)}
}

// run runs a transform on items, in an instance of their own.
func (m loaded) run(t *testing.T, transform string, items ...abi.Item) ([]abi.Result, error) {
	t.Helper()
	return m.runIn(t, m.Instance(), transform, items...)
}

func (m loaded) runIn(t *testing.T, in *module.Instance, transform string, items ...abi.Item) ([]abi.Result, error) {
	t.Helper()
	results := make([]abi.Result, len(items))
	_, err := in.Run(t.Context(), &module.Call{Transform: m.Index(transform), Items: items, Results: results})
	return results, err
}

func item(payload string) abi.Item { return abi.Item{Payload: []byte(payload)} }

// TestFrameIsBounded has the outputs of a frame's items bounded together.
func TestFrameIsBounded(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) { o.Frames.MaxOutput = 1000 })
	long := item(strings.Repeat("x", 400))
	if _, err := m.run(t, "x.echo", long, long); err != nil {
		t.Error(err)
	}
	if _, err := m.run(t, "x.echo", long, long, long); !errors.Is(err, module.ErrOutputSum) {
		t.Errorf("three items: %v", err)
	}
}

// TestCompanion has keys without a use refused, and transforms named after exports without more.
func TestCompanion(t *testing.T) {
	s := subject(t)
	opts := s.Options()
	opts.Name = "x"
	opts.Companion = []byte("name: x\nenvironment: {A: b}\ntransforms:\n  - {name: x.echo, operation: echo}\n  - {name: x.trap, arguments: [a]}")
	_, err := module.Load(t.Context(), s.WASM, opts)
	const want = "x.plugin.yaml:2: environment: a plugin of Extism's reads none; config is what it gets\n" +
		"x.plugin.yaml:4: transforms[0].operation: is for guests of waPC: write export\n" +
		"x.plugin.yaml:5: transforms[1].arguments: a plugin of Extism's takes none"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
	opts.Companion = []byte("name: x\ntransforms:\n  - {name: x.echo, export: ecko}\n  - {name: x.nothing}")
	_, err = module.Load(t.Context(), s.WASM, opts)
	const missing = "x.plugin.yaml:3: the transform x.echo is to call the function \"ecko\", which the binary does not export; did you mean \"echo\"?\n" +
		"x.plugin.yaml:4: the transform x.nothing is to call the function \"nothing\", which the binary does not export"
	if err == nil || err.Error() != missing {
		t.Errorf("%v, want\n%s", err, missing)
	}
	opts.Companion = []byte("kind: extism\ntransforms:\n  - {name: x.take}")
	const take = "\x00asm\x01\x00\x00\x00" + "\x01\x05\x01\x60\x01\x7f\x00" + "\x03\x02\x01\x00" + "\x07\x08\x01\x04take\x00\x00" + "\x0a\x04\x01\x02\x00\x0b"
	_, err = module.Load(t.Context(), []byte(take), opts)
	const mistyped = "x.plugin.yaml:3: the transform x.take is to call the function take(i32) → (), which is not of the type () → i32 or () → ()"
	if err == nil || err.Error() != mistyped {
		t.Errorf("%v, want\n%s", err, mistyped)
	}
	m := load(t, s.WASM, func(o *module.Options) { o.Companion = []byte("name: x\ntransforms: [{name: x.echo}]") })
	if got, err := m.run(t, "x.echo", item("a")); err != nil || string(got[0].Payload) != "a" {
		t.Errorf("%q, %v", got, err)
	}
}
