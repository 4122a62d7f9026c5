package host_test

import (
	"bytes"
	"fmt"
	"log/slog"
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

// TestInspectHasImportsOnce has a command that imports a function twice.
func TestInspectHasImportsOnce(t *testing.T) {
	section := func(id byte, content ...string) string {
		all := strings.Join(content, "")
		return string([]byte{id, byte(len(all))}) + all
	}
	yield := "\x16wasi_snapshot_preview1\x0bsched_yield\x00\x00"
	wasm := "\x00asm\x01\x00\x00\x00" + section(1, "\x02", "\x60\x00\x01\x7f", "\x60\x00\x00") + section(2, "\x02", yield, yield) +
		section(3, "\x01\x01") + section(5, "\x01\x00\x01") + section(7, "\x02", "\x06memory\x02\x00", "\x06_start\x00\x02") + section(10, "\x01\x02\x00\x0b")
	in, err := host.Inspect(t.Context(), host.Source{Name: "x", WASM: []byte(wasm)}, host.Config{})
	if want := []string{"wasi_snapshot_preview1.sched_yield() → i32"}; err != nil || !slices.Equal(in.Imports, want) {
		t.Errorf("%q, err %v, want %q", in.Imports, err, want)
	}
}

// TestTrialIsQuiet has what a plugin writes while it is only tried logged for debugging alone: callers
// have not called it.
func TestTrialIsQuiet(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		log := new(bytes.Buffer)
		cfg := host.Config{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))}
		s := handWritten(t, "program")
		s.Companion = []byte("arguments: [fail]") // which complains
		if _, err := host.Inspect(t.Context(), s, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "source=std") != want {
			t.Errorf("%v: %s", level, log)
		}
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

// TestInspectWarnsOfBudget has more instances than the budget has room for, and as many.
func TestInspectWarnsOfBudget(t *testing.T) {
	s := handWritten(t, "hostile")
	cfg := host.Config{Workers: 4, Defaults: host.PluginConfig{CompileTimeout: time.Hour, MaxInstances: 4}}
	in, err := host.Inspect(t.Context(), s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for budget, warned := range map[int64]bool{4 * in.Memory: false, 4*in.Memory - 1: true} {
		cfg.MemoryBudget = budget
		tight, err := host.Inspect(t.Context(), s, cfg)
		if err != nil {
			t.Fatal(err)
		}
		names := func(w string) bool { return strings.Contains(w, "--memory-budget") }
		if got := slices.ContainsFunc(tight.Warnings, names); got != warned {
			t.Errorf("budget %d of instances of %d: warnings %q", budget, in.Memory, tight.Warnings)
		}
	}
}

// TestInspectOfLitter has a guest of Go's runtime whose self-test leaves little garbage and whose tasks
// leave much: the test beside it shows what a frame of those takes, and the budget counts its instances.
func TestInspectOfLitter(t *testing.T) {
	wasm := guesttest.Build(t, "./testdata/guests/litter")
	compiled := t.TempDir() // once
	large := fmt.Appendf(nil, `{"transform": "litter", "input": %q, "output": "ok"}`, strings.Repeat("x", 64))
	for name, c := range map[string]struct {
		isolation host.Isolation
		tests     []byte
		grows     bool
	}{
		"pristine":      {host.IsolationPristine, large, false}, // no task shares a frame
		"frame":         {host.IsolationFrame, large, true},
		"frame, little": {host.IsolationFrame, []byte(`{"transform": "litter", "input": "x", "output": "ok"}`), false},
		"shared":        {host.IsolationShared, large, false}, // what has grown goes on
	} {
		t.Run(name, func(t *testing.T) {
			cfg := host.Config{Workers: 4, CacheDir: compiled, Defaults: host.PluginConfig{CompileTimeout: time.Hour, MaxInstances: 4, Isolation: c.isolation}}
			s := host.Source{Name: "litter", WASM: wasm, Tests: c.tests}
			in, err := host.Inspect(t.Context(), s, cfg)
			if err != nil {
				t.Fatal(err)
			}
			grows := func(w string) bool { return strings.HasPrefix(w, "litter: tasks grow their instance's memory") }
			if got := slices.ContainsFunc(in.Warnings, grows); got != c.grows {
				t.Errorf("told of growth %v, want %v: %q", got, c.grows, in.Warnings)
			}
			for budget, want := range map[int64]bool{4 * in.Memory: false, 4*in.Memory - 1: true} {
				cfg.MemoryBudget = budget
				tight, err := host.Inspect(t.Context(), s, cfg)
				if err != nil {
					t.Fatal(err)
				}
				names := func(w string) bool { return strings.Contains(w, "--memory-budget") }
				if got := slices.ContainsFunc(tight.Warnings, names); got != want {
					t.Errorf("budget %d of instances of %d: warnings %q", budget, in.Memory, tight.Warnings)
				}
			}
		})
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
