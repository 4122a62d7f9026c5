package host_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestInspect(t *testing.T) {
	wasm := guesttest.Build(t, "./testdata/guests/echo")
	in, err := host.Inspect(t.Context(), host.Source{Name: "echo", WASM: wasm}, host.Config{Defaults: host.PluginConfig{CompileTimeout: time.Hour}}) // a machine with other work takes long
	if err != nil {
		t.Fatal(err)
	}
	if in.Manifest.Name != "echo" || len(in.Manifest.Transforms) != 1 || in.SelfTests != 1 {
		t.Errorf("manifest %+v, %d self-tests", in.Manifest, in.SelfTests)
	}
	if len(in.Hash) != 64 || in.Size != len(wasm) || in.Memory < 1<<16 {
		t.Errorf("hash %q, size %d, memory %d", in.Hash, in.Size, in.Memory)
	}
	if want := "resonhost_run(i32, i32, i32) → i64"; !slices.Contains(in.Exports, want) {
		t.Errorf("exports %q lack %s", in.Exports, want)
	}
	if !slices.ContainsFunc(in.Imports, func(s string) bool { return strings.HasPrefix(s, "wasi_snapshot_preview1.") }) {
		t.Errorf("imports %q", in.Imports)
	}
}

// TestInspectWarnsOfGrowth has a plugin be warned of whose frames grow their instance, where that
// costs one, before it serves.
func TestInspectWarnsOfGrowth(t *testing.T) {
	wasm := guesttest.HandWritten(t, "hoard")
	for isolation, want := range map[host.Isolation]bool{
		host.IsolationPristine: false, // no task shares a frame
		host.IsolationFrame:    true,
		host.IsolationShared:   false, // what has grown goes on
	} {
		in, err := host.Inspect(t.Context(), host.Source{Name: "hoard", WASM: wasm}, host.Config{Defaults: host.PluginConfig{Isolation: isolation}})
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(in.Warnings, func(w string) bool {
			return strings.HasPrefix(w, "hoard: tasks grow their instance's memory, so that each costs a new instance: give the plugin a self-test")
		})
		if told != want {
			t.Errorf("isolation %v: told %v, want %v: %q", isolation, told, want, in.Warnings)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	for _, c := range []struct {
		name, guest string
		cfg         host.PluginConfig
		want        string
	}{
		{"not a plugin", "text", host.PluginConfig{}, "plugin p: not a WebAssembly module of version 1"},
		{"too large", "hostile", host.PluginConfig{MaxModule: 100}, "plugin p: larger than 100 bytes, the limit"},
		{"self-test", "selftest-fails", host.PluginConfig{}, "plugin p: self-test 0"},
		{"configuration", "hostile", host.PluginConfig{MemoryLimit: 1}, "host configuration: Defaults.MemoryLimit: must be between 64 KiB and 2 GiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := host.Inspect(t.Context(), host.Source{Name: "p", WASM: guesttest.HandWritten(t, c.guest)}, host.Config{Defaults: c.cfg})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("err %v, want %s…", err, c.want)
			}
		})
	}
}
