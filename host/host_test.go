package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// exampleDir is a directory for the examples.
var exampleDir string

func TestMain(m *testing.M) {
	if store := os.Getenv(crashStore); store != "" {
		fmt.Fprintln(os.Stderr, runCrashing(store))
		os.Exit(1)
	}
	var err error
	if exampleDir, err = os.MkdirTemp("", "examples"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(exampleDir) // what is left is the system's to clear
		os.Exit(code)
	}))
}

// handWritten is a guest of testdata/guests.
func handWritten(tb testing.TB, name string) host.Source {
	tb.Helper()
	return host.Source{Name: name, WASM: guesttest.HandWritten(tb, name)}
}

func hostile(tb testing.TB, change func(*host.Config)) *host.Host {
	tb.Helper()
	cfg := host.Config{
		Plugins:  []host.Source{handWritten(tb, "hostile")},
		Defaults: host.PluginConfig{MemoryLimit: 16 << 20},
	}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(tb, cfg)
}

func TestRunAfterEveryFailure(t *testing.T) {
	// A recursion takes a second to end on a busy machine.
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.RunTimeout = time.Minute })
	broken := uint64(0)
	for _, c := range []struct {
		transform string
		kind      host.Kind
		message   string
		is        error
	}{
		{"hostile.trap", host.KindTrap, "resonhost_run: unreachable", nil},
		{"hostile.recurse", host.KindTrap, "resonhost_run: calls nest deeper than 65536, the limit (MaxCallDepth, --max-call-depth)", nil},
		{"hostile.exit", host.KindExit, "resonhost_run ended the module with exit code 3", nil},
		{"hostile.exitzero", host.KindExit, "resonhost_run ended the module with exit code 0", nil},
		{"hostile.spin", host.KindTimeout, "ran past the caller's deadline", context.DeadlineExceeded},
		{"hostile.grow", host.KindOutOfMemory, "resonhost_run wanted memory of 17825792 bytes, the limit is 16777216 (MemoryLimit, --memory-limit)", nil},
		{"hostile.wildptr", host.KindABI, "", nil},
		{"hostile.wraplen", host.KindABI, "", nil},
		{"hostile.hugelen", host.KindABI, "", nil},
		{"hostile.fewer", host.KindABI, "", nil},
		{"hostile.log", host.KindABI, "", nil},
	} {
		t.Run(c.transform, func(t *testing.T) {
			ctx := t.Context()
			if c.kind == host.KindTimeout {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
			}
			out, err := h.Run(ctx, c.transform, []byte("!"))
			e := (*host.Error)(nil)
			if !errors.As(err, &e) {
				t.Fatalf("output %q, err %v: not an *Error", out, err)
			}
			if e.Kind != c.kind || !strings.HasPrefix(e.Message, c.message) || e.Transform != c.transform {
				t.Errorf("error %v, want %s: %s", e, c.kind, c.message)
			}
			if e.Plugin != "hostile" || e.Version == "" || len(e.Hash) != 64 {
				t.Errorf("of plugin %q, version %q, hash %q", e.Plugin, e.Version, e.Hash)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			broken++
			if got := h.Stats().Plugins[0].Broken; got != broken {
				t.Errorf("%d instances broken, want %d: one a failure", got, broken)
			}
			if out, err := h.Run(t.Context(), c.transform, []byte("fine")); err != nil || string(out) != "fine" {
				t.Errorf("the next call: %q, err %v", out, err)
			}
		})
	}
	if _, err := h.Run(t.Context(), "hostile.badutf8", []byte("!")); host.KindOf(err) != host.KindFailed {
		t.Errorf("err %v, want failed", err)
	}
	if got := h.Stats().Plugins[0].Broken; got != broken {
		t.Errorf("a task that failed by itself cost an instance")
	}
}

func TestRunTimeout(t *testing.T) {
	for name, interrupt := range map[string]host.Interrupt{"metered": host.InterruptMetered, "runtime": host.InterruptRuntime} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, func(cfg *host.Config) {
				cfg.Defaults.RunTimeout, cfg.Defaults.Interrupt = 50*time.Millisecond, interrupt
			})
			_, err := h.Run(t.Context(), "hostile.spin", []byte("!"))
			if host.KindOf(err) != host.KindTimeout || !errors.Is(err, context.DeadlineExceeded) ||
				!strings.HasSuffix(err.Error(), "ran longer than its run timeout of 50ms (RunTimeout, --run-timeout)") {
				t.Errorf("err %v, want its run timeout", err)
			}
			if got := h.Stats().Plugins[0].Broken; got != 1 {
				t.Errorf("%d instances broken, want 1", got)
			}
		})
	}
}

func TestUnknownTransform(t *testing.T) {
	h := hostile(t, nil)
	_, err := h.Run(t.Context(), "nonsense", nil)
	if want := `nonsense: unknown_transform: no plugin has a transform "nonsense"`; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	if !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("%v is not ErrUnknownTransform", err)
	}
	for _, r := range h.RunBatch(t.Context(), "nonsense", [][]byte{nil, nil}) {
		if !errors.Is(r.Err, host.ErrUnknownTransform) {
			t.Errorf("%v is not ErrUnknownTransform", r.Err)
		}
	}
}

func TestInputTooLarge(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.MaxInput = 1 << 10 })
	_, err := h.Run(t.Context(), "hostile.echo", make([]byte, 1<<10))
	if host.KindOf(err) != host.KindInvalidArgument || !strings.Contains(err.Error(), "the limit is 1024") {
		t.Errorf("err %v", err)
	}
	if got := h.Stats().Plugins[0].Broken; got != 0 {
		t.Error("it cost an instance")
	}
}

func TestCallerCancels(t *testing.T) {
	h := hostile(t, nil)
	cause := errors.New("no more interest")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := h.Submit(ctx, "hostile.spin", []byte("!"))
	for h.Stats().Active == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the task never ran")
		}
	}
	cancel(cause)
	_, err := p.Wait()
	if host.KindOf(err) != host.KindCancelled || !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("err %v, want cancelled with its cause", err)
	}
	if _, err := h.Run(ctx, "hostile.echo", nil); host.KindOf(err) != host.KindCancelled {
		t.Errorf("err %v with a context that has ended", err)
	}
}

// TestConcurrentRuns is 10,000 callers at once, a hundredth of whom have a task
// that traps, fails, exits or breaks the contract.
func TestConcurrentRuns(t *testing.T) {
	// Each transform gets its share of the time, so that the hundredth may all run one
	// after the other: what the breaker is for, and not looked at here.
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.BreakAfter = -1 })
	bad := []string{"hostile.trap", "hostile.exit", "hostile.wildptr", "hostile.badutf8"}
	kinds := []host.Kind{host.KindTrap, host.KindExit, host.KindABI, host.KindFailed}
	const callers = 10_000
	var wg sync.WaitGroup
	release := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-release
			if i%100 == 7 {
				k := i / 100 % len(bad)
				if out, err := h.Run(t.Context(), bad[k], []byte("!")); host.KindOf(err) != kinds[k] {
					t.Errorf("call %d of %s: %q, err %v", i, bad[k], out, err)
				}
				return
			}
			want := "call " + strconv.Itoa(i)
			if out, err := h.Run(t.Context(), "hostile.echo", []byte(want)); err != nil || string(out) != want {
				t.Errorf("call %d: %q, err %v", i, out, err)
			}
		})
	}
	close(release)
	wg.Wait()
	s := h.Stats()
	var ok, failed uint64
	for _, tr := range s.Plugins[0].Transforms {
		ok += tr.OK
		for _, n := range tr.Errors {
			failed += n
		}
	}
	if ok != callers*99/100 || failed != callers/100 || s.Plugins[0].Broken != callers/100*3/4 {
		t.Errorf("%d ok, %d failed, %d instances broken", ok, failed, s.Plugins[0].Broken)
	}
}

func TestRecycling(t *testing.T) {
	t.Run("calls", func(t *testing.T) {
		h := hostile(t, func(cfg *host.Config) { cfg.Defaults.MaxCalls = 10 })
		for range 100 {
			if _, err := h.Run(t.Context(), "hostile.echo", []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.Stats().Plugins[0].Retired; got != 10 {
			t.Errorf("%d instances retired, want 10", got)
		}
	})
	t.Run("memory", func(t *testing.T) {
		h := hostile(t, func(cfg *host.Config) { cfg.Defaults.MaxMemory, cfg.Defaults.Isolation = 6<<20, host.IsolationShared })
		for range 9 { // each grows 4 MiB by 1 MiB
			if _, err := h.Run(t.Context(), "hostile.growok", []byte("!")); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.Stats().Plugins[0].Retired; got != 3 {
			t.Errorf("%d instances retired, want 3", got)
		}
	})
}
