package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/state"
)

// version is a source of the guest "swap".
func version(tb testing.TB, v guesttest.Version) host.Source {
	tb.Helper()
	return host.Source{Name: "swap", WASM: guesttest.Swap(tb, v)}
}

// tagged is a version that answers with a tag and does nothing else.
func tagged(tb testing.TB, tag string) host.Source {
	tb.Helper()
	return version(tb, guesttest.Version{Tag: tag})
}

func swapHost(tb testing.TB, change func(*host.Config)) *host.Host {
	tb.Helper()
	cfg := host.Config{Plugins: []host.Source{tagged(tb, "v1")}, Workers: 2, Defaults: host.PluginConfig{RunTimeout: time.Minute}}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(tb, cfg)
}

func deploy(tb testing.TB, h *host.Host, s host.Source, want host.DeployResult) {
	tb.Helper()
	if got, err := h.Deploy(context.Background(), s); err != nil || got != want {
		tb.Fatalf("deploy: %v, %v, want %v", got, err, want)
	}
}

// answers checks what a task of "swap" answers: a tag, and behind it the state it had.
func answers(tb testing.TB, r host.Runner, input, want string) {
	tb.Helper()
	got, err := r.Run(context.Background(), "swap", []byte(input))
	if err != nil || string(got) != want {
		tb.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestDeploy(t *testing.T) {
	bus := event.New(100)
	h := swapHost(t, func(c *host.Config) { c.Events = bus })
	v1, v2 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2")
	answers(t, h, "", v1)
	deploy(t, h, tagged(t, "v1"), host.DeployUnchanged)
	deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
	answers(t, h, "", v2)
	if err := h.Rollback(t.Context(), "swap", 99); err == nil || err.Error() != "rule: must be StateDefault, StateRefuse or StateReset, is StateRule(99)" {
		t.Errorf("rolled back by a rule that there is not: %v", err)
	}
	if p := h.Plugins()[0]; p.Version != "v2" || p.Previous == "" || p.Failure != nil || p.Hash == p.Previous {
		t.Errorf("%+v", p)
	}
	if err := h.Rollback(t.Context(), "swap", 0); err != nil {
		t.Fatal(err)
	}
	answers(t, h, "", v1)
	if p := h.Plugins()[0]; p.Version != "v1" || p.Previous != "" || p.Failure == nil || p.Failure.Step != host.StepRollback || p.By != host.DeployRolledBack || p.Since.IsZero() {
		t.Errorf("%+v", p)
	}
	if err := h.Rollback(t.Context(), "swap", 0); !errors.Is(err, host.ErrNoPrevious) {
		t.Errorf("rolled back twice: %v", err)
	}
	deploy(t, h, tagged(t, "v2"), host.DeploySwapped) // by request it may come again
	deploy(t, h, host.Source{Name: "other", WASM: guesttest.HandWritten(t, "hostile")}, host.DeployLoaded)
	if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name string
		do   func(context.Context, string) error
	}{
		{"Rollback", func(ctx context.Context, p string) error { return h.Rollback(ctx, p, 0) }}, {"Promote", h.Promote}, {"Pause", h.Pause},
		{"Unload", h.Unload},
	} {
		if err := c.do(t.Context(), "none"); !errors.Is(err, host.ErrUnknownPlugin) {
			t.Errorf("%s of a plugin that there is not: %v", c.name, err)
		}
	}
	if err := h.Promote(t.Context(), "swap"); !errors.Is(err, host.ErrNoCanary) {
		t.Errorf("promoted what is no canary: %v", err)
	}
	var told []string
	for _, e := range bus.History() {
		c := e.Body.(event.PluginChanged)
		told = append(told, c.Plugin+" "+c.Version+" "+string(c.Change))
	}
	want := "swap v1 ready, swap v2 swapped, swap v1 rolled back, swap v2 swapped, hostile 1.0.0 ready"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	results := h.Stats().Deploys["swap"]
	if results[host.DeployLoaded] != 1 || results[host.DeploySwapped] != 2 || results[host.DeployUnchanged] != 1 || results[host.DeployRolledBack] != 1 {
		t.Errorf("counted %v", results)
	}
}

// TestDeployRefuses has broken sources refused while a good one serves.
func TestDeployRefuses(t *testing.T) {
	h := swapHost(t, func(c *host.Config) {
		c.Accept = func(_ context.Context, s host.Source) error {
			if s.Beside["swap.wasm.minisig"] != nil {
				return errors.New("not of a trusted key")
			}
			return nil
		}
		c.Defaults.InitTimeout = time.Second // of those that spin
	})
	guest := func(name string) host.Source {
		return host.Source{Name: "swap", WASM: guesttest.HandWritten(t, name)}
	}
	tests := func(lines string) host.Source {
		s := version(t, guesttest.Version{Tag: "tests", Mode: 'f', Manifest: `{"name": "swap", "version": "1", "transforms": [{"name": "swap", "input": "application/json", "output": "application/json", "state_bytes": 16}]}`})
		s.Tests = []byte(lines)
		return s
	}
	for _, c := range []struct {
		name   string
		source host.Source
		step   host.Step
		want   string
	}{
		{"empty", guest("empty"), host.StepInspect, "the file is empty"},
		{"text", guest("text"), host.StepInspect, "not a WebAssembly module of version 1"},
		{"cut short", guest("truncated"), host.StepInspect, ""},
		{"component", guest("component"), host.StepInspect, "a WebAssembly component, where a core module is wanted"},
		{"no run", guest("no-run"), host.StepLink, "does not export the function resonhost_run(i32, i32, i32) → i64"},
		{"signature", guest("bad-signature"), host.StepLink, "exports resonhost_"},
		{"import", guest("unknown-import"), host.StepLink, "which the host does not grant"},
		{"memory import", guest("import-memory"), host.StepLink, "imports the memory"},
		{"no memory", guest("no-memory"), host.StepLink, `does not export a memory called "memory"`},
		{"command", guest("command"), host.StepLink, "it was built as a command"},
		{"contract", guest("abi-2"), host.StepDescribe, "speaks version 2 of the plugin contract, the host speaks 1"},
		{"manifest", guest("describe-notjson"), host.StepDescribe, "manifest: "},
		{"trap", guest("init-trap"), host.StepInstantiate, "unreachable"},
		{"spin", guest("init-spin"), host.StepInstantiate, "_initialize ran past its deadline"},
		{"self-test", version(t, guesttest.Version{Tag: "v2", SelfTest: "no"}), host.StepSelfTest, `self-test 0 "tag" of swap: output of 16 bytes is "v2.............." from byte 0 on, want "no" of 2 bytes`},
		{"another's name", version(t, guesttest.Version{Manifest: `{"name": "hostile", "version": "1", "transforms": [{"name": "hostile", "input": "a/b", "output": "a/b"}]}`}), host.StepPublish, "its manifest's name, hostile, is that of plugin other already"},
		{"unsigned", host.Source{Name: "swap", WASM: []byte("x"), Beside: map[string][]byte{"swap.wasm.minisig": {}}}, host.StepAccept, "not of a trusted key"},
		{"tests: no JSON", tests("\n{"), host.StepSelfTest, "swap.test.ndjson: line 2: document: is cut off, behind byte 1"},
		{"tests: unknown member", tests(`{"transform": "swap", "input": 1, "outputs": 2}`), host.StepSelfTest, `swap.test.ndjson: line 1: outputs: is not a known member; did you mean "output"?; there are name, transform, input, output, error, stream`},
		{"tests: two values", tests(`{"transform": "swap", "input": 1, "output": 2} 3`), host.StepSelfTest, "swap.test.ndjson: line 1: something follows the JSON value"},
		{"tests: no input", tests(`{"transform": "swap", "output": 2}`), host.StepSelfTest, `swap.test.ndjson: line 1: must have "transform" and "input"`},
		{"tests: two outcomes", tests(`{"transform": "swap", "input": 1, "output": 2, "error": "failed"}`), host.StepSelfTest, `swap.test.ndjson: line 1: must have either "output" or "error"`},
		{"tests: no such error", tests(`{"transform": "swap", "input": 1, "error": "fail"}`), host.StepSelfTest, `swap.test.ndjson: line 1: error: there is no kind of error "fail"`},
		{"tests: no such transform", tests(`{"transform": "swop", "input": 1, "output": 2}`), host.StepSelfTest, "swap.test.ndjson: line 1 of swop: the plugin has no such transform"},
		{"tests: no JSON comes out", tests(`{"name": "x", "transform": "swap", "input": 1, "output": 2}`), host.StepSelfTest, `swap.test.ndjson: line 1 "x" of swap: the output is no JSON: `},
		{"tests: another error", tests(`{"transform": "swap", "input": 1, "error": "failed"}`), host.StepSelfTest, "swap.test.ndjson: line 1 of swap: got an output, want the error failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := h.Deploy(t.Context(), host.Source{Name: "other", WASM: guesttest.HandWritten(t, "hostile")}); err != nil {
				t.Fatal(err)
			}
			result, err := h.Deploy(t.Context(), c.source)
			var load *host.LoadError
			if result != host.DeployFailed || !errors.As(err, &load) {
				t.Fatalf("%v, %v", result, err)
			}
			if load.Step != c.step || load.Source != "swap" || !strings.HasPrefix(err.Error(), "plugin swap: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("at step %s: %v, want at %s: %s", load.Step, err, c.step, c.want)
			}
			answers(t, h, "", guesttest.SwapTag("v1"))
			if p := h.Plugins()[1]; p.Version != "v1" || p.Failure != load {
				t.Errorf("%+v", p)
			}
		})
	}
	if s := h.Stats(); s.Deploys["swap"][host.DeployFailed] < 20 || s.Plugins[1].Instances > 2 {
		t.Errorf("%+v", s.Deploys)
	}
	deploy(t, h, tagged(t, "v1"), host.DeployUnchanged) // which is the end of the failure
	if p := h.Plugins()[1]; p.Failure != nil {
		t.Errorf("%+v", p)
	}
}

// TestDeployWhileServing swaps while tasks of every kind are under way: each has the
// answer of one version, and none fails.
func TestDeployWhileServing(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared} {
		t.Run(name, func(t *testing.T) {
			h := swapHost(t, func(c *host.Config) { c.Defaults.Isolation = isolation })
			sources := []host.Source{tagged(t, "v1"), tagged(t, "v2"), tagged(t, "v3")}
			right := make(map[string]bool)
			for i := range sources {
				right[guesttest.SwapTag(fmt.Sprint("v", i+1))] = true
			}
			var stop atomic.Bool
			var done atomic.Int64
			check := func(out []byte, err error) {
				done.Add(1)
				if err != nil || !right[string(out[:min(16, len(out))])] {
					t.Errorf("%q, %v", out, err)
					stop.Store(true)
				}
			}
			var callers sync.WaitGroup
			for i := range 4 {
				callers.Go(func() {
					stream := h.Stream(fmt.Sprint(i))
					for !stop.Load() {
						check(h.Run(t.Context(), "swap", []byte("x")))
						var pending []*host.Pending
						for range 20 {
							pending = append(pending, h.Submit(t.Context(), "swap", nil), stream.Submit(t.Context(), "swap", nil))
						}
						for _, r := range h.RunBatch(t.Context(), "swap", make([][]byte, 100)) {
							check(r.Output, r.Err)
						}
						for _, p := range pending {
							check(p.Wait())
						}
					}
				})
			}
			for i := range 50 {
				deploy(t, h, sources[(i+1)%len(sources)], host.DeploySwapped)
			}
			stop.Store(true)
			callers.Wait()
			s := h.Stats()
			if s.Plugins[0].Transforms[0].OK != uint64(done.Load()) || len(s.Plugins[0].Transforms[0].Errors) > 0 {
				t.Errorf("%d tasks: %+v", done.Load(), s.Plugins[0].Transforms[0])
			}
			if s.Plugins[0].Created < 51 {
				t.Errorf("counted %d instances over all versions", s.Plugins[0].Created)
			}
		})
	}
}

// TestDeployDrains looks at tasks under way and waiting when a version is replaced.
func TestDeployDrains(t *testing.T) {
	spinning := version(t, guesttest.Version{Tag: "v1", Mode: 's'})
	v1, v2 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2")
	setup := func(t *testing.T, change func(*host.Config)) (h *host.Host, running *host.Pending, end func()) {
		t.Helper()
		h = swapHost(t, func(c *host.Config) {
			c.Plugins, c.Workers = []host.Source{spinning}, 1
			if change != nil {
				change(c)
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		running = h.Submit(ctx, "swap", []byte("!"))
		return h, running, cancel
	}
	t.Run("those that wait run on the new one", func(t *testing.T) {
		h, running, end := setup(t, nil)
		waiting := h.Submit(t.Context(), "swap", []byte("x"))
		deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
		select {
		case <-running.Done():
			t.Error("the task that runs has ended")
		default:
		}
		end()
		if _, err := running.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("the task that ran: %v", err)
		}
		if out, err := waiting.Wait(); err != nil || string(out) != v2 {
			t.Errorf("the task that waited: %q, %v", out, err)
		}
	})
	t.Run("those that run too long begin anew", func(t *testing.T) {
		h, running, _ := setup(t, func(c *host.Config) { c.Defaults.SwapTimeout = time.Millisecond })
		deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
		if out, err := running.Wait(); err != nil || string(out) != v2 {
			t.Errorf("%q, %v", out, err)
		}
		if n := h.Stats().Rerun; n != 1 {
			t.Errorf("%d tasks were run again", n)
		}
	})
	t.Run("a transform that is gone does what it had", func(t *testing.T) {
		h, _, end := setup(t, nil)
		waiting := h.Submit(t.Context(), "swap", []byte("x"))
		deploy(t, h, version(t, guesttest.Version{Tag: "v2", Stateless: true, Manifest: `{"name": "swap", "version": "2", "transforms": [{"name": "swap.new", "input": "a/b", "output": "a/b"}]}`}), host.DeploySwapped)
		if _, err := h.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrUnknownTransform) {
			t.Errorf("a task of the transform that is gone: %v", err)
		}
		end()
		if out, err := waiting.Wait(); err != nil || string(out) != v1 {
			t.Errorf("the task that waited: %q, %v", out, err)
		}
		if out, err := h.Run(t.Context(), "swap.new", nil); err != nil || string(out) != v2 {
			t.Errorf("a task of the new one: %q, %v", out, err)
		}
	})
	t.Run("unloading does what waits", func(t *testing.T) {
		h, _, end := setup(t, nil)
		waiting := h.Submit(t.Context(), "swap", []byte("x"))
		if err := h.Unload(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
		if len(h.Plugins()) != 0 {
			t.Errorf("%+v", h.Plugins())
		}
		end()
		if out, err := waiting.Wait(); err != nil || string(out) != v1 {
			t.Errorf("the task that waited: %q, %v", out, err)
		}
		deploy(t, h, tagged(t, "v2"), host.DeployLoaded)
		answers(t, h, "", v2)
	})
	t.Run("unloading ends what takes too long", func(t *testing.T) {
		h, running, _ := setup(t, func(c *host.Config) { c.Defaults.SwapTimeout = time.Millisecond })
		waiting := h.Submit(t.Context(), "swap", []byte("x"))
		if err := h.Unload(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*host.Pending{running, waiting} {
			if _, err := p.Wait(); host.KindOf(err) != host.KindUnavailable {
				t.Errorf("%v", err)
			}
		}
	})
	t.Run("a host that closes", func(t *testing.T) {
		h, _, _ := setup(t, nil)
		deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Close(ctx); err == nil {
			t.Error("nothing was interrupted")
		}
		if _, err := h.Deploy(t.Context(), tagged(t, "v3")); !errors.Is(err, host.ErrClosed) {
			t.Errorf("deployed on a closed host: %v", err)
		}
	})
}

func TestPause(t *testing.T) {
	h := swapHost(t, nil)
	for range 2 {
		if err := h.Pause(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Run(t.Context(), "swap", nil); !errors.Is(err, host.ErrPaused) || host.KindOf(err) != host.KindUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := h.Stream("a").Submit(t.Context(), "swap", nil).Wait(); !errors.Is(err, host.ErrPaused) {
		t.Errorf("%v", err)
	}
	deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
	if p := h.Plugins()[0]; !p.Paused || p.Version != "v2" {
		t.Errorf("%+v", p)
	}
	for range 2 {
		if err := h.Resume(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
	}
	answers(t, h, "", guesttest.SwapTag("v2"))
}

// stateful is a version whose transform has states of a format, and reads others.
func stateful(tb testing.TB, tag, declared string) host.Source {
	tb.Helper()
	return version(tb, guesttest.Version{Tag: tag, Manifest: `{"name": "swap", "version": "` + tag + `", "transforms": [{"name": "swap", "input": "a/b", "output": "a/b"` + declared + `}]}`})
}

func TestStates(t *testing.T) {
	const bytes16 = `, "state_bytes": 16`
	v1, v2, v3 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2"), guesttest.SwapTag("v3")
	for _, c := range []struct {
		name  string
		state string // of v2; v1 has format 1
		want  string // of the refusal
	}{
		{"another format", bytes16 + `, "state_version": 2`, "streams of transform swap have states of format 1, and version v2 reads [2]"},
		{"a smaller state", `, "state_bytes": 8, "state_version": 1`, "streams of transform swap have states of up to 16 bytes, and version v2 takes 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := swapHost(t, func(cfg *host.Config) {
				cfg.Plugins = []host.Source{stateful(t, "v1", bytes16+`, "state_version": 1`)}
			})
			s := h.Stream("a")
			answers(t, s, "", v1)
			_, err := h.Deploy(t.Context(), stateful(t, "v2", c.state))
			var load *host.LoadError
			if !errors.As(err, &load) || load.Step != host.StepState || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			answers(t, s, "", v1+v1)
		})
	}
	t.Run("a format that it reads", func(t *testing.T) {
		h := swapHost(t, func(cfg *host.Config) { cfg.Plugins = []host.Source{stateful(t, "v1", bytes16)} })
		s := h.Stream("a")
		answers(t, s, "", v1)
		deploy(t, h, stateful(t, "v2", bytes16+`, "state_version": 2, "state_reads": [0]`), host.DeploySwapped)
		answers(t, s, "", v2+v1)
		answers(t, s, "", v2+v2)
		// Its predecessor does not read what it has left.
		if err := h.Rollback(t.Context(), "swap", 0); err == nil || !strings.Contains(err.Error(), "states of format 2") {
			t.Errorf("%v", err)
		}
		answers(t, s, "", v2+v2)
		// Unless it is told to: streams begin anew.
		if err := h.Rollback(t.Context(), "swap", host.StateReset); err != nil {
			t.Fatal(err)
		}
		answers(t, s, "", v1)
		if n := h.Stats().StreamsReset; n != 1 {
			t.Errorf("%d streams reset, want 1", n)
		}
	})
	t.Run("a rollback refuses what the plugin would reset", func(t *testing.T) {
		h := swapHost(t, func(cfg *host.Config) {
			cfg.Plugins = []host.Source{stateful(t, "v1", bytes16)}
			cfg.Defaults.StateRule = host.StateReset
		})
		answers(t, h.Stream("a"), "", v1)
		deploy(t, h, stateful(t, "v2", bytes16+`, "state_version": 2`), host.DeploySwapped)
		answers(t, h.Stream("a"), "", v2)
		if err := h.Rollback(t.Context(), "swap", host.StateRefuse); err == nil || !strings.Contains(err.Error(), "states of format 2") {
			t.Errorf("%v", err)
		}
		if err := h.Rollback(t.Context(), "swap", 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		h := swapHost(t, func(cfg *host.Config) {
			cfg.Plugins = []host.Source{stateful(t, "v1", bytes16)}
			cfg.Defaults.StateRule = host.StateReset
		})
		s := h.Stream("a")
		answers(t, s, "", v1)
		deploy(t, h, stateful(t, "v2", bytes16+`, "state_version": 2`), host.DeploySwapped)
		deploy(t, h, stateful(t, "v3", bytes16+`, "state_version": 2`), host.DeploySwapped)
		answers(t, s, "", v3)
		answers(t, s, "", v3+v3)
		if n := h.Stats().StreamsReset; n != 1 {
			t.Errorf("%d streams were reset", n)
		}
	})
}

// TestNoStates has versions that do not read each other's states. They are refused for states that there are, and for those that
// somebody else may have.
func TestNoStates(t *testing.T) {
	const bytes16 = `, "state_bytes": 16`
	first := stateful(t, "v1", bytes16+`, "state_version": 1`)
	newer := stateful(t, "v2", bytes16+`, "state_version": 2`)
	begin := func(t *testing.T, change func(*host.Config)) *host.Host {
		return swapHost(t, func(c *host.Config) {
			c.Plugins = []host.Source{first}
			if change != nil {
				change(c)
			}
		})
	}
	refused := func(t *testing.T, h *host.Host, want string) {
		t.Helper()
		_, err := h.Deploy(t.Context(), newer)
		if load := (*host.LoadError)(nil); !errors.As(err, &load) || load.Step != host.StepState || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	for name, change := range map[string]func(*host.Config){
		"without a store":     nil,
		"with an empty store": func(c *host.Config) { c.State = state.NewMemory() },
	} {
		t.Run(name, func(t *testing.T) {
			h := begin(t, change)
			answers(t, h, "", guesttest.SwapTag("v1"))
			deploy(t, h, newer, host.DeploySwapped)
			if err := h.Rollback(t.Context(), "swap", host.StateDefault); err != nil {
				t.Error(err)
			}
			answers(t, h.Stream("a"), "", guesttest.SwapTag("v1"))
			refused(t, h, "streams of transform swap have states of format 1, and version v2 reads [2]; the state rule is to refuse such a version: ")
		})
	}
	t.Run("of streams that have ended", func(t *testing.T) {
		h := begin(t, func(c *host.Config) { c.StreamAge = time.Nanosecond })
		answers(t, h.Stream("a"), "", guesttest.SwapTag("v1"))
		deploy(t, h, newer, host.DeploySwapped)
	})
	t.Run("that somebody else may have", func(t *testing.T) {
		h := begin(t, nil)
		answers(t, h.Client("", host.PriorityNormal).WithStates(host.NewStates()).Stream("a"), "", guesttest.SwapTag("v1"))
		refused(t, h, "in a fleet, streams of transform swap may have states of format 1, and version v2 reads [2]")
	})
	t.Run("that streams get while a canary is tried", func(t *testing.T) {
		h := begin(t, func(c *host.Config) { c.Defaults.Canary = 0.5 })
		refused(t, h, "beside the canary, streams of transform swap go on with states of format 1, and version v2 reads [2]")
	})
}

func TestCanary(t *testing.T) {
	v1, v2 := guesttest.SwapTag("v1"), guesttest.SwapTag("v2")
	canaryHost := func(t *testing.T, change func(*host.PluginConfig)) (*host.Host, <-chan event.PluginChanged) {
		t.Helper()
		bus, told := event.New(0), make(chan event.PluginChanged, 100)
		t.Cleanup(func() { _ = bus.Close(context.Background()) })
		bus.Handle(100, func(_ context.Context, e event.Event) { told <- e.Body.(event.PluginChanged) }, event.KindPluginChanged)
		return swapHost(t, func(c *host.Config) {
			c.Events = bus
			c.Defaults.Canary, c.Defaults.CanaryTime = 0.5, time.Hour
			change(&c.Defaults)
		}), told
	}
	await := func(t *testing.T, told <-chan event.PluginChanged, change event.Change) event.PluginChanged {
		t.Helper()
		for {
			select {
			case e := <-told:
				if e.Change == change {
					return e
				}
			case <-time.After(time.Minute):
				t.Fatalf("not told that the plugin is %s", change)
			}
		}
	}
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared} {
		for what, mode := range map[string]byte{"traps": 't', "fails": 'f'} {
			t.Run("one that "+what+", "+name, func(t *testing.T) {
				h, told := canaryHost(t, func(c *host.PluginConfig) { c.Isolation = isolation })
				deploy(t, h, version(t, guesttest.Version{Tag: "v2", Mode: mode}), host.DeployCanary)
				for range 100 { // nobody notices
					answers(t, h, "!", v1)
				}
				for _, r := range h.RunBatch(t.Context(), "swap", [][]byte{[]byte("!"), []byte("!"), []byte("!"), []byte("!")}) {
					if r.Err != nil || string(r.Output) != v1 {
						t.Errorf("in a batch: %q, %v", r.Output, r.Err)
					}
				}
				e := await(t, told, event.PluginRolledBack)
				if e.Version != "v2" || !strings.Contains(e.Detail, "that the version beside it did, and callers gave up 0") {
					t.Errorf("%+v", e)
				}
				p := h.Plugins()[0]
				if p.Canary != nil || p.Version != "v1" || p.Failure == nil || p.Failure.Step != host.StepRollback {
					t.Errorf("%+v", p)
				}
				if h.Stats().Rerun == 0 {
					t.Error("no task was run again")
				}
			})
		}
	}
	t.Run("one that is slow", func(t *testing.T) {
		h, told := canaryHost(t, func(c *host.PluginConfig) { c.CanarySlowdown = 10 })
		deploy(t, h, version(t, guesttest.Version{Tag: "v2", Mode: 'w'}), host.DeployCanary)
		for h.Plugins()[0].Canary.Slowdown == 0 {
			if _, err := h.Run(t.Context(), "swap", []byte("!")); err != nil {
				t.Fatal(err)
			}
		}
		h.JudgeCanary("swap")
		if e := await(t, told, event.PluginRolledBack); !strings.Contains(e.Detail, "times as long, more than 10 times") {
			t.Errorf("%+v", e)
		}
		answers(t, h, "", v1)
	})
	t.Run("one that is good", func(t *testing.T) {
		h, told := canaryHost(t, func(c *host.PluginConfig) { c.CanaryTime = 20 * time.Millisecond })
		deploy(t, h, tagged(t, "v2"), host.DeployCanary)
		await(t, told, event.PluginPromoted)
		answers(t, h, "", v2)
		if p := h.Plugins()[0]; p.Version != "v2" || p.Previous == "" || p.Canary != nil {
			t.Errorf("%+v", p)
		}
	})
	t.Run("by request", func(t *testing.T) {
		h, _ := canaryHost(t, func(*host.PluginConfig) {})
		deploy(t, h, tagged(t, "v2"), host.DeployCanary)
		deploy(t, h, tagged(t, "v2"), host.DeployUnchanged)
		deploy(t, h, tagged(t, "v3"), host.DeployCanary) // in its stead
		if err := h.Rollback(t.Context(), "swap", 0); err != nil {
			t.Fatal(err)
		}
		answers(t, h, "", v1)
		deploy(t, h, tagged(t, "v2"), host.DeployCanary)
		if err := h.Promote(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
		answers(t, h, "", v2)
		deploy(t, h, tagged(t, "v3"), host.DeployCanary)
		deploy(t, h, tagged(t, "v2"), host.DeployUnchanged) // which ends it
		if p := h.Plugins()[0]; p.Canary != nil {
			t.Errorf("%+v", p.Canary)
		}
	})
	t.Run("a stream stays with one", func(t *testing.T) {
		h, _ := canaryHost(t, func(*host.PluginConfig) {})
		deploy(t, h, tagged(t, "v2"), host.DeployCanary)
		seen := make(map[string]int)
		for i := range 64 {
			s := h.Stream(fmt.Sprint(i))
			out, err := s.Run(t.Context(), "swap", nil)
			if err != nil {
				t.Fatal(err)
			}
			seen[string(out)]++
			for range 3 {
				answers(t, s, "", string(out)+string(out))
			}
		}
		if len(seen) != 2 || seen[v1] == 0 || seen[v2] == 0 {
			t.Errorf("%v", seen)
		}
	})
	t.Run("a format there is no way back from", func(t *testing.T) {
		h := swapHost(t, func(c *host.Config) {
			c.Plugins, c.Defaults.Canary = []host.Source{stateful(t, "v1", `, "state_bytes": 16`)}, 0.5
		})
		_, err := h.Deploy(t.Context(), stateful(t, "v2", `, "state_bytes": 16, "state_version": 2, "state_reads": [0]`))
		if err == nil || !strings.Contains(err.Error(), "a canary of transform swap would leave states of format 2") {
			t.Error(err)
		}
	})
}
