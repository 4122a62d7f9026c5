package extism_test

import (
	"context"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
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
type loaded struct {
	*module.Module

	t *testing.T
}

// load loads a binary with options that are those of kindtest, but for what edit changes.
func load(t *testing.T, wasm []byte, edit func(*module.Options)) loaded {
	t.Helper()
	s := subject(t)
	opts := s.Options()
	if edit != nil {
		edit(&opts)
	}
	m, err := module.Load(t.Context(), wasm, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return loaded{m, t}
}

func (m loaded) instance() *module.Instance {
	m.t.Helper()
	in, err := m.Instantiate(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := in.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return in
}

// run runs a transform on items, in an instance of their own.
// index returns the index of a transform.
func (m loaded) index(transform string) int {
	m.t.Helper()
	i := slices.IndexFunc(m.Info().Manifest.Transforms, func(t manifest.Transform) bool { return t.Name == transform })
	if i < 0 {
		m.t.Fatalf("no transform %s", transform)
	}
	return i
}

func (m loaded) run(transform string, items ...abi.Item) ([]abi.Result, error) {
	m.t.Helper()
	return m.runIn(m.instance(), transform, items...)
}

func (m loaded) runIn(in *module.Instance, transform string, items ...abi.Item) ([]abi.Result, error) {
	m.t.Helper()
	results := make([]abi.Result, len(items))
	_, err := in.Run(m.t.Context(), module.Call{Transform: m.index(transform), Items: items, Results: results})
	return results, err
}

func item(payload string) abi.Item { return abi.Item{Payload: []byte(payload)} }
