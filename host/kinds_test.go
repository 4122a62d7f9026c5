package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// kindGuest is a guest of a foreign kind that does what a host must bear. To have a kind go through the
// tests of this file, add a row to kindGuests. A transform of "" is not tested.
type kindGuest struct {
	kind string // as Plugin.Kind has it
	// source is a version of the guest. Versions differ in what their manifests call them.
	source func(tb testing.TB, version string) host.Source
	// echo answers with its input. leave answers with a text for what it finds of an earlier task, and
	// leaves something wherever it can.
	echo, leave string
	// fail ends with KindFailed, trap traps, exit ends the guest, spin never ends, and grow takes memory
	// until there is none. They do so at the input "!".
	fail, trap, exit, spin, grow string
	// single is whether each task has an instance to itself, whatever the isolation.
	single bool
}

var kindGuests = []kindGuest{
	{
		kind: "wapc", source: wapcGuest, echo: "guest.echo", leave: "guest.keep",
		fail: "guest.fail", trap: "guest.trap", exit: "guest.xexit", spin: "guest.spin", grow: "guest.grow",
	},
	{
		kind: "extism", source: tag, echo: "x.echo", leave: "x.leave",
		fail: "x.fail", trap: "x.trap", exit: "x.exit", spin: "x.spin", grow: "x.growboth",
	},
	{
		kind: "command", source: argued("program", "echo", "leave", "fail", "trap", "spin", "grow"), echo: "program.echo", leave: "program.leave",
		fail: "program.fail", trap: "program.trap", spin: "program.spin", grow: "program.grow", single: true,
	},
	{
		kind: "dprint", source: argued("upper", "echo", "leave", "trap", "spin", "grow"), echo: "upper.echo", leave: "upper.leave",
		trap: "upper.trap", spin: "upper.spin", grow: "upper.grow",
	},
}

// argued is a hand-written guest that is told by an argument what to do, each a transform.
func argued(name string, words ...string) func(tb testing.TB, version string) host.Source {
	return func(tb testing.TB, version string) host.Source {
		tb.Helper()
		var file strings.Builder
		file.WriteString("version: " + version + "\ntransforms:\n")
		for _, word := range words {
			file.WriteString("  - {name: " + name + "." + word + ", arguments: [" + word + "]}\n")
		}
		return host.Source{Name: name, WASM: guesttest.HandWritten(tb, name), Companion: []byte(file.String())}
	}
}

// wapcGuest is the hand-written guest of waPC.
func wapcGuest(tb testing.TB, version string) host.Source {
	tb.Helper()
	var file strings.Builder
	file.WriteString("name: guest\nversion: " + version + "\ntransforms:\n")
	for _, op := range []string{"echo", "keep", "fail", "trap", "xexit", "spin", "grow", "host"} {
		file.WriteString("  - {name: guest." + op + ", operation: " + op + "}\n")
	}
	file.WriteString("self_tests: [{name: echo, transform: guest.echo, input: abc, output: abc}]\n")
	return host.Source{Name: "guest", WASM: guesttest.HandWritten(tb, "wapc"), Companion: []byte(file.String())}
}

// eachKind runs a test for each kind of guests.
func eachKind(t *testing.T, f func(t *testing.T, g *kindGuest)) {
	for i := range kindGuests {
		t.Run(kindGuests[i].kind, func(t *testing.T) { f(t, &kindGuests[i]) })
	}
}

// TestKindIsolation has tasks of each isolation look for what those before them left.
func TestKindIsolation(t *testing.T) {
	eachKind(t, func(t *testing.T, g *kindGuest) {
		for name, isolation := range map[string]host.Isolation{
			"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "fresh": host.IsolationFresh, "shared": host.IsolationShared,
		} {
			h := hosted.Start(t, host.Config{
				Plugins: []host.Source{g.source(t, "v1")}, Workers: 1, Defaults: host.PluginConfig{Isolation: isolation, RunTimeout: time.Minute},
			})
			if got := h.Plugins()[0]; got.Kind != g.kind {
				t.Fatalf("it is of kind %q", got.Kind)
			}
			for i := range 4 {
				out, err := h.Run(t.Context(), g.leave, []byte("!"))
				if left := isolation == host.IsolationShared && !g.single && i > 0; err != nil || (len(out) > 0) != left {
					t.Errorf("%s: task %d finds %q, err %v", name, i, out, err)
				}
			}
			for i, r := range h.RunBatch(t.Context(), g.echo, [][]byte{[]byte("a"), nil, []byte("bc")}) {
				if want := []string{"a", "", "bc"}[i]; r.Err != nil || string(r.Output) != want {
					t.Errorf("%s: item %d is %q, err %v, want %q", name, i, r.Output, r.Err, want)
				}
			}
		}
	})
}

// TestKindDenial has guests take all they can get, beside a neighbour's tasks.
func TestKindDenial(t *testing.T) {
	eachKind(t, func(t *testing.T, g *kindGuest) {
		h := hosted.Start(t, host.Config{
			Plugins: []host.Source{g.source(t, "v1"), handWritten(t, "leak")}, Workers: 3, MemoryBudget: 256 << 20,
			Defaults: host.PluginConfig{RunTimeout: time.Minute, BreakAfter: -1, MaxInstances: 2},
		})
		var attackers []attacker
		for transform, want := range map[string]host.Kind{
			g.fail: host.KindFailed, g.trap: host.KindTrap, g.exit: host.KindExit, g.spin: host.KindTimeout, g.grow: host.KindOutOfMemory,
		} {
			if transform != "" {
				attackers = append(attackers, attacker{transform, []byte("!"), want})
			}
		}
		attack(t, h, attackers)
		if out, err := h.Run(t.Context(), g.echo, []byte("well")); err != nil || string(out) != "well" {
			t.Errorf("afterwards: %q, err %v", out, err)
		}
	})
}

// TestKindSwaps swaps under load, and has no task fail; then a canary is promoted, one is given up, and a
// version rolled back.
func TestKindSwaps(t *testing.T) {
	eachKind(t, func(t *testing.T, g *kindGuest) {
		cfg := host.Config{Plugins: []host.Source{g.source(t, "v1")}, Workers: 2, CacheDir: t.TempDir(), Defaults: host.PluginConfig{RunTimeout: time.Minute}}
		h := hosted.Start(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if out, err := h.Run(t.Context(), g.echo, []byte("x")); err != nil || string(out) != "x" {
						t.Errorf("%q, err %v", out, err)
						return
					}
				}
			})
		}
		for i := range 10 {
			deploy(t, h, g.source(t, []string{"v2", "v1"}[i%2]), host.DeploySwapped)
		}
		cancel()
		callers.Wait()
		if err := h.Rollback(t.Context(), h.Plugins()[0].Name, 0); err != nil || h.Plugins()[0].Version != "v2" {
			t.Errorf("after a rollback %s serves, err %v", h.Plugins()[0].Version, err)
		}

		cfg.Defaults.Canary, cfg.Defaults.CanaryTime = 0.5, time.Hour
		h = hosted.Start(t, cfg)
		name := h.Plugins()[0].Name
		for _, end := range []struct {
			do   func() error
			want string
		}{
			{func() error { return h.Rollback(t.Context(), name, 0) }, "v1"},
			{func() error { return h.Promote(t.Context(), name) }, "v3"},
		} {
			deploy(t, h, g.source(t, map[string]string{"v1": "v2", "v3": "v3"}[end.want]), host.DeployCanary)
			for range 20 {
				if out, err := h.Run(t.Context(), g.echo, []byte("x")); err != nil || string(out) != "x" {
					t.Errorf("beside a canary: %q, err %v", out, err)
				}
			}
			if c := h.Plugins()[0].Canary; c == nil || c.Tasks == 0 {
				t.Errorf("the canary is %+v", c)
			}
			if err := end.do(); err != nil || h.Plugins()[0].Version != end.want {
				t.Errorf("%s serves, want %s, err %v", h.Plugins()[0].Version, end.want, err)
			}
		}
	})
}

// TestWapcHostCall has a guest of waPC call functions of this program.
func TestWapcHostCall(t *testing.T) {
	join := func(_ context.Context, c *host.FunctionCall) ([]byte, error) {
		var all []string
		for _, arg := range c.Args {
			all = append(all, string(arg))
		}
		if all[len(all)-1] == "" {
			return nil, errors.New("no key")
		}
		return []byte(strings.Join(all, "|")), nil
	}
	for name, want := range map[string]string{"kv/store/get": "x", "__host_call": "kv|store|get|x"} {
		h := hosted.Start(t, host.Config{
			Plugins: []host.Source{wapcGuest(t, "v1")}, Defaults: host.PluginConfig{Functions: []host.Function{{Name: name, Call: join}}},
		})
		if out, err := h.Run(t.Context(), "guest.host", []byte("x")); err != nil || string(out) != want {
			t.Errorf("%s: %q, err %v, want %q", name, out, err, want)
		}
		if _, err := h.Run(t.Context(), "guest.host", nil); host.KindOf(err) != host.KindFailed || !strings.Contains(err.Error(), "no key") {
			t.Errorf("%s: err %v", name, err)
		}
	}
	h := hosted.Start(t, host.Config{Plugins: []host.Source{wapcGuest(t, "v1")}})
	if _, err := h.Run(t.Context(), "guest.host", []byte("x")); host.KindOf(err) != host.KindFailed || !strings.Contains(err.Error(), `the host has no function "kv/store/get"`) {
		t.Errorf("without a function: err %v", err)
	}
}
