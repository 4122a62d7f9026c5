package module

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/native"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// linkedKind is the native kind with a library.
type linkedKind struct {
	native.Kind

	library []byte
}

func (k linkedKind) Imports(b contract.Binary) contract.Imports {
	g := k.Kind.Imports(b)
	g.Libraries = []contract.Library{{Name: "library", WASM: k.library}}
	return g
}

// TestCompile has what is compiled, and where the cache keeps it, depend on bytes and options
// alone: another process can do it, with what it has of the options as JSON, and a module finds it.
func TestCompile(t *testing.T) {
	wasm := guesttest.HandWritten(t, "room")
	kind := linkedKind{library: guesttest.HandWritten(t, "leak")}
	kind.Kind = native.Kind{}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	opts := Options{
		Kinds: []contract.Kind{kind}, Interrupt: Metered, CallDepth: 1000, StackLimit: 16 << 20, MemoryLimit: 16 << 20,
		Budget: NewBudget(1 << 30), Frames: FrameLimits{MaxInput: 1 << 20, MaxOutput: 1 << 20}, InitTimeout: time.Minute, CompileTimeout: time.Minute,
		LogBytesPerSecond: 1 << 10, Log: log, Cache: OpenCache(dir, 1<<30, log),
	}
	doc, err := json.Marshal(opts.compiling())
	if err != nil {
		t.Fatal(err)
	}
	var copied CompileOptions
	if err := json.Unmarshal(doc, &copied); err != nil || copied != opts.compiling() {
		t.Fatalf("%s, err %v", doc, err)
	}
	libraries := kind.Imports(contract.Binary{}).Libraries

	// Without a cache, with an empty one, and with what that has kept then.
	elsewhere := OpenCache(dir, 1<<30, log)
	var first []*rewritten
	for _, c := range []*Cache{nil, elsewhere, elsewhere} {
		got, err := rewriteAll(bytes.Clone(wasm), libraries, copied, c)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !slices.EqualFunc(got, first, func(a, b *rewritten) bool {
			return a.Hash == b.Hash && bytes.Equal(a.WASM, b.WASM) && slices.Equal(a.Globals, b.Globals) && slices.Equal(a.Opaque, b.Opaque)
		}) {
			t.Error("it is rewritten to something else")
		}
	}
	p, err := compile(t.Context(), first, copied, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(t.Context()); err != nil {
		t.Error(err)
	}
	if p.took == 0 || !elsewhere.has(elsewhere.entry(first, copied.Interrupt)) {
		t.Fatal("what was compiled does not lie in the cache")
	}
	entries := func() (names []string) {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			names = append(names, e.Name())
		}
		return names
	}
	before := entries()

	// A module finds all of it, whatever its other options are.
	for turn := range 2 {
		if turn == 1 {
			opts.MemoryLimit, opts.Batch, opts.RealClock, opts.Budget = 32<<20, 8, true, NewBudget(1<<20)
		}
		m, err := Load(t.Context(), wasm, opts)
		if err != nil {
			t.Fatal(err)
		}
		if m.Info().Compiling != 0 {
			t.Errorf("turn %d: it was compiled once more", turn)
		}
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if after := entries(); !slices.Equal(before, after) {
		t.Errorf("entries %q, and %q then", before, after)
	}

	// Each option that matters makes another of it.
	for name, with := range map[string]func(*CompileOptions){
		"interrupt": func(o *CompileOptions) { o.Interrupt = Runtime },
		"depth":     func(o *CompileOptions) { o.CallDepth = 10 },
	} {
		o := copied
		with(&o)
		got, err := rewriteAll(wasm, libraries, o, elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere.has(elsewhere.entry(got, o.Interrupt)) {
			t.Errorf("%s: it is taken for the same", name)
		}
	}
}
