//go:build scaffolds

package plugins_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/vectors"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
)

var update = flag.Bool("update", false, "write the manifests of the Go plugins into plugins/rust")

// rustPlugins are the plugins that have a Rust build as well, by name.
var rustPlugins = map[string]func() *guest.Plugin{"cascade": cascade.New, "tick": tick.New}

// rustBuild returns the Rust build of a plugin, nil if it has none.
func rustBuild(tb testing.TB, name string) []byte {
	tb.Helper()
	if rustPlugins[name] == nil {
		return nil
	}
	return guesttest.BuildRust(tb, name)
}

// TestRustManifest has a Rust build describe itself as the Go plugin does.
func TestRustManifest(t *testing.T) {
	for name, plugin := range rustPlugins {
		file, want := "rust/"+name+"/manifest.json", plugin().Manifest()+"\n"
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("plugins/%s differs from the Go plugin's: go test -tags scaffolds -run TestRustManifest ./plugins -update", file)
		}
	}
}

// TestRustVectors runs the recorded calls through a host, which has the plugins pass their
// self-tests first.
func TestRustVectors(t *testing.T) {
	var sources []host.Source
	for _, name := range []string{"cascade", "tick"} {
		wasm := rustBuild(t, name)
		if wasm == nil {
			wasm = guesttest.Build(t, "./plugins/"+name+"/wasm")
		}
		sources = append(sources, host.Source{Name: name, WASM: wasm})
	}
	for _, isolation := range []host.Isolation{host.IsolationPristine, host.IsolationShared} {
		h, codecs := startHost(t, host.Config{Plugins: sources, Defaults: host.PluginConfig{Isolation: isolation}}), codec.Builtin()
		vectors.Check(t, func(name, stream string, input []byte) ([]byte, error) {
			transform, err := h.Lookup(name)
			if err != nil {
				return nil, err
			}
			c, err := codecs.For(transform)
			if err != nil {
				return nil, err
			}
			call, err := c.Decode(input)
			if err != nil {
				return nil, err
			}
			run := h.Run
			if stream != "" {
				run = h.Stream(stream).Run
			}
			out, err := run(t.Context(), name, call.Payload)
			if err != nil {
				return nil, err
			}
			return call.Encode(out)
		})
	}
}

// rustGuest is an instance of a Rust build, without a host: states and frames are the
// test's.
type rustGuest struct {
	module     api.Module
	alloc, run api.Function
}

func newRustGuest(tb testing.TB, name string) *rustGuest {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { _ = r.Close(ctx) })
	if _, err := r.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithFunc(func(_, _, _ uint32) {}).Export(abi.ImportLog).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	module, err := r.InstantiateWithConfig(ctx, rustBuild(tb, name), wazero.NewModuleConfig().WithStartFunctions(abi.ExportInitialize))
	if err != nil {
		tb.Fatal(err)
	}
	return &rustGuest{module, module.ExportedFunction(abi.ExportAlloc), module.ExportedFunction(abi.ExportRun)}
}

// runFrame returns the output frame, valid until the next run.
func (g *rustGuest) runFrame(tb testing.TB, transform uint32, frame []byte) []byte {
	tb.Helper()
	at, err := g.alloc.Call(tb.Context(), uint64(len(frame)))
	if err != nil {
		tb.Fatal(err)
	}
	if !g.module.Memory().Write(uint32(at[0]), frame) {
		tb.Fatal("the frame has no room")
	}
	packed, err := g.run.Call(tb.Context(), uint64(transform), at[0], uint64(len(frame)))
	if err != nil {
		tb.Fatal(err)
	}
	out, ok := g.module.Memory().Read(abi.Unpack(packed[0]))
	if !ok {
		tb.Fatal("the answer is not in memory")
	}
	return out
}

// compareGuests has both builds of a plugin answer a frame of items, alike to the last
// byte, and returns the answers, valid until the next run of p.
func compareGuests(tb testing.TB, p *guest.Plugin, g *rustGuest, transform uint32, items ...abi.Item) []abi.Result {
	tb.Helper()
	frame := abi.AppendInput(nil, items)
	want, err := p.Run(transform, frame)
	if err != nil {
		tb.Fatal(err)
	}
	wants, gots := readResults(tb, want), readResults(tb, g.runFrame(tb, transform, frame))
	if len(gots) != len(wants) {
		tb.Fatalf("%d answers, want %d", len(gots), len(wants))
	}
	for i, got := range gots {
		want := wants[i]
		if got.Status != want.Status || !bytes.Equal(got.Payload, want.Payload) || !bytes.Equal(got.State, want.State) {
			tb.Fatalf("item %d of %d, input %x, state %x:\n%v %s\nstate %x, want\n%v %s\nstate %x", i, len(items), items[i].Payload, items[i].State,
				got.Status, shown(got), got.State, want.Status, shown(want), want.State)
		}
	}
	return wants
}

// shown is an answer as a message shows it.
func shown(r abi.Result) []byte {
	if r.Status != abi.StatusOK {
		return r.Payload
	}
	return fmt.Appendf(nil, "%x", r.Payload)
}

func readResults(tb testing.TB, frame []byte) (all []abi.Result) {
	tb.Helper()
	r, err := abi.ReadOutput(frame)
	for err == nil && r.Len() > 0 {
		var one abi.Result
		if one, err = r.Next(); err == nil {
			all = append(all, one)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
