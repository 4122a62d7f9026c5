//go:build scaffolds

package plugins_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/vectors"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
)

var update = flag.Bool("update", false, "write the manifests of the Go plugins into plugins/rust")

// manifests are those of the Go plugins, by name.
var manifests = map[string]string{"cascade": cascade.New().Manifest(), "tick": tick.New().Manifest()}

// rustBuild returns the Rust build of a plugin.
func rustBuild(tb testing.TB, name string) []byte {
	tb.Helper()
	return guesttest.BuildRust(tb, name)
}

// TestRustManifest has a Rust build describe itself as the Go plugin does.
func TestRustManifest(t *testing.T) {
	for name, manifest := range manifests {
		golden.Check(t, "rust/"+name+"/manifest.json", []byte(manifest+"\n"), *update)
	}
}

// TestRustVectors runs the recorded calls through a host, which has the plugins pass their
// self-tests first.
func TestRustVectors(t *testing.T) {
	var sources []host.Source
	for name := range manifests {
		sources = append(sources, host.Source{Name: name, WASM: rustBuild(t, name)})
	}
	for _, isolation := range []host.Isolation{host.IsolationPristine, host.IsolationShared} {
		h := hosted.Start(t, host.Config{Plugins: sources, Defaults: host.PluginConfig{Isolation: isolation}})
		vectors.Check(t, vectors.InHost(t.Context(), h))
	}
}

// bareGuest is an instance without a host: states and frames are the test's.
type bareGuest struct {
	module     api.Module
	alloc, run api.Function
}

// newGuests returns an instance of a plugin's Go build and one of its Rust build.
func newGuests(tb testing.TB, name string) (inGo, inRust *bareGuest) {
	tb.Helper()
	return newGuest(tb, guesttest.Build(tb, "./plugins/"+name+"/wasm")), newGuest(tb, rustBuild(tb, name))
}

func newGuest(tb testing.TB, wasm []byte) *bareGuest {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { _ = r.Close(context.WithoutCancel(ctx)) })
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		tb.Fatal(err)
	}
	if _, err := r.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithFunc(func(_, _, _ uint32) {}).Export(abi.ImportLog).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	module, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions(abi.ExportInitialize))
	if err != nil {
		tb.Fatal(err)
	}
	return &bareGuest{module, module.ExportedFunction(abi.ExportAlloc), module.ExportedFunction(abi.ExportRun)}
}

// runFrame returns the output frame, valid until the next run.
func (g *bareGuest) runFrame(tb testing.TB, transform uint32, frame []byte) []byte {
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
// byte, and returns the answers, valid until the next run of inGo. Natively Go may do with one
// rounding what a guest does with two, on other processors than amd64.
func compareGuests(tb testing.TB, inGo, inRust *bareGuest, transform uint32, items ...abi.Item) []abi.Result {
	tb.Helper()
	frame := abi.AppendInput(nil, items)
	want := inGo.runFrame(tb, transform, frame)
	wants, gots := readResults(tb, want), readResults(tb, inRust.runFrame(tb, transform, frame))
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

// compareHosted runs so many random tasks of a transform in hosts with either build: metered,
// and as a host writes binaries anew. Outputs and errors are alike.
func compareHosted(t *testing.T, name, transform string, tasks int, input func() []byte) {
	t.Helper()
	started := func(wasm []byte) *host.Host {
		return hosted.Start(t, host.Config{Plugins: []host.Source{{Name: name, WASM: wasm}}, Defaults: host.PluginConfig{Isolation: host.IsolationShared}})
	}
	inGo, inRust := started(guesttest.Build(t, "./plugins/"+name+"/wasm")), started(rustBuild(t, name))
	refused := 0
	for range tasks {
		input := input()
		want, wantErr := inGo.Run(t.Context(), transform, input)
		got, err := inRust.Run(t.Context(), transform, input)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("input %x: %x, %v, want %x, %v", input, got, err, want, wantErr)
		}
		if err != nil {
			refused++
		}
	}
	if refused == 0 || refused == tasks {
		t.Errorf("%d of %d tasks were refused", refused, tasks)
	}
}
