package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// until waits until something is so.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for began := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(began) > time.Minute {
			tb.Fatal("waited in vain until ", what)
		}
	}
}

// TestSwapWithoutPause swaps as fast as it goes, in every isolation, and has no task fail.
func TestSwapWithoutPause(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{
		"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared, "fresh": host.IsolationFresh,
	} {
		t.Run(name, func(t *testing.T) {
			h := swapHost(t, func(c *host.Config) { c.Defaults.Isolation, c.CacheDir = isolation, t.TempDir() })
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 32 {
				callers.Go(func() {
					for ctx.Err() == nil {
						if out, err := h.Run(t.Context(), "swap", []byte("x")); err != nil || out[0] != 'v' {
							t.Errorf("%q, %v", out, err)
							return
						}
					}
				})
			}
			for i := range 200 {
				deploy(t, h, tagged(t, []string{"v2", "v3"}[i%2]), host.DeploySwapped)
			}
			cancel()
			callers.Wait()
		})
	}
}

// TestChangesTogether has all that changes a plugin done at once.
func TestChangesTogether(t *testing.T) {
	h := swapHost(t, func(c *host.Config) { c.Defaults.Canary = 0.5 })
	var all sync.WaitGroup
	for i := range 4 {
		for _, change := range []func(){
			func() { _, _ = h.Deploy(t.Context(), tagged(t, []string{"v1", "v2", "v3", "v4"}[i])) },
			func() { _ = h.Rollback(t.Context(), "swap", 0) },
			func() { _ = h.Promote(t.Context(), "swap") },
			func() { _ = h.Unload(t.Context(), "swap") },
			func() { _ = h.Pause(t.Context(), "swap"); _ = h.Resume(t.Context(), "swap") },
			func() { h.Plugins(); h.Stats() },
			func() { _, _ = h.Run(t.Context(), "swap", []byte("x")) },
			func() { h.RunBatch(t.Context(), "swap", make([][]byte, 200)) },
		} {
			all.Go(func() {
				for range 20 {
					change()
				}
			})
		}
	}
	all.Wait()
	deploy(t, h, version(t, guesttest.Version{Tag: "last"}), map[bool]host.DeployResult{true: host.DeployLoaded, false: host.DeployCanary}[len(h.Stats().Plugins) == 0])
	_ = h.Promote(t.Context(), "swap")
	answers(t, h, "", guesttest.SwapTag("last"))
}

func TestReplacedTwice(t *testing.T) {
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{version(t, guesttest.Version{Tag: "v1", Mode: 's'})}
		c.Defaults.SwapTimeout = time.Millisecond
	})
	p := h.Submit(t.Context(), "swap", []byte("!"))
	until(t, "the task runs", func() bool { return h.Stats().Active > 0 })
	deploy(t, h, version(t, guesttest.Version{Tag: "v2", Mode: 's'}), host.DeploySwapped)
	until(t, "it runs anew", func() bool { return h.Stats().Rerun == 1 })
	deploy(t, h, tagged(t, "v3"), host.DeploySwapped)
	if out, err := p.Wait(); err != nil || string(out) != guesttest.SwapTag("v3") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestReplacedInStream has a task begin anew on a version that does not read the state.
func TestReplacedInStream(t *testing.T) {
	manifest := func(tag, format string) string {
		return `{"name": "swap", "version": "` + tag + `", "transforms": [{"name": "swap", "input": "a/b", "output": "a/b", "state_bytes": 16, "state_version": ` + format + `}]}`
	}
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{version(t, guesttest.Version{Tag: "v1", Mode: 's', Manifest: manifest("v1", "1")})}
		c.Defaults.StateRule, c.Defaults.SwapTimeout = host.StateReset, time.Millisecond
	})
	s := h.Stream("a")
	answers(t, s, "", guesttest.SwapTag("v1"))
	p := s.Submit(t.Context(), "swap", []byte("!"))
	until(t, "the task runs", func() bool { return h.Stats().Active > 0 })
	deploy(t, h, version(t, guesttest.Version{Tag: "v2", Manifest: manifest("v2", "2")}), host.DeploySwapped)
	if out, err := p.Wait(); string(out) != guesttest.SwapTag("v2") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestBatchAcrossRetirement has a batch under way when its transform becomes another.
func TestBatchAcrossRetirement(t *testing.T) {
	h := swapHost(t, func(c *host.Config) {
		c.Workers = 1
		c.Plugins = []host.Source{version(t, guesttest.Version{Tag: "v1", Mode: 'w'})}
	})
	inputs := make([][]byte, 64*20)
	for i := range inputs {
		inputs[i] = []byte("!")
	}
	done := make(chan []host.Result)
	go func() { done <- h.RunBatch(context.Background(), "swap", inputs) }()
	until(t, "the batch runs", func() bool { return h.Stats().Active > 0 })
	deploy(t, h, version(t, guesttest.Version{Tag: "v2", Manifest: `{"name": "swap", "version": "v2", "transforms": [{"name": "swap", "input": "text/markdown", "output": "text/plain", "state_bytes": 16}]}`}), host.DeploySwapped)
	for i, r := range <-done {
		if r.Err != nil {
			t.Fatalf("task %d: %v", i, r.Err)
		}
	}
}

func TestStatesOfOldStreams(t *testing.T) {
	const bytes16 = `, "state_bytes": 16`
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{stateful(t, "v1", bytes16+`, "state_version": 1`)}
	})
	answers(t, h.Stream("a"), "", guesttest.SwapTag("v1"))
	deploy(t, h, stateful(t, "v2", bytes16+`, "state_version": 2, "state_reads": [1]`), host.DeploySwapped)
	for _, c := range []struct{ state, want string }{
		{bytes16 + `, "state_version": 3, "state_reads": [2]`, "streams of transform swap have states of format 1, and version v3 reads [3 2]"},
		{"", "streams of transform swap have states, and version v3 keeps none"},
	} {
		if _, err := h.Deploy(t.Context(), stateful(t, "v3", c.state)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestCanaryInFrames has frames of a canary that does none of their tasks.
func TestCanaryInFrames(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{"frame": host.IsolationFrame, "shared": host.IsolationShared} {
		t.Run(name, func(t *testing.T) {
			h := swapHost(t, func(c *host.Config) {
				c.Defaults.Canary, c.Defaults.CanaryTime, c.Defaults.Isolation = 1, time.Hour, isolation
			})
			inputs := make([][]byte, 640)
			for i := range inputs {
				inputs[i] = []byte("!")
			}
			for range 20 {
				_, _ = h.Deploy(t.Context(), version(t, guesttest.Version{Tag: "v2", Mode: 'f'})) // which is soon rolled back
				for _, r := range h.RunBatch(t.Context(), "swap", inputs) {
					if r.Err != nil || string(r.Output) != guesttest.SwapTag("v1") {
						t.Fatalf("%q, %v", r.Output, r.Err)
					}
				}
			}
		})
	}
}

// TestCanaryThatHangs has callers give up what a canary does not end.
func TestCanaryThatHangs(t *testing.T) {
	h := swapHost(t, func(c *host.Config) { c.Defaults.Canary, c.Defaults.CanaryTime = 0.5, time.Hour })
	deploy(t, h, version(t, guesttest.Version{Tag: "v2", Mode: 's'}), host.DeployCanary)
	until(t, "the canary is rolled back", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		_, _ = h.Run(ctx, "swap", []byte("!"))
		return h.Plugins()[0].Canary == nil
	})
	if p := h.Plugins()[0]; p.Version != "v1" || !strings.Contains(p.Failure.Error(), "callers gave up") {
		t.Errorf("%+v", p)
	}
}

func TestCanaryAcrossRestart(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	canary := func(c *host.Config) { c.Defaults.Canary, c.Defaults.CanaryTime = 0.1, time.Hour }
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	w := watch(t, dir, cache, canary)
	w.await(event.PluginReady)
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w.await(event.PluginCanary)
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w = watch(t, dir, cache, canary)
	if p := w.Plugins()[0]; p.Version != "v1" || p.Canary == nil || p.Canary.Version != "v2" {
		t.Errorf("%+v", p)
	}
}

// TestWatchRenamed has a plugin go on serving while its file gets another name: that is another's
// until the old one has been gone for long enough.
func TestWatchRenamed(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "a.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	w := watch(t, dir, "", nil)
	w.await(event.PluginReady)
	over, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-over:
				return
			default:
			}
			if _, err := w.Run(context.Background(), "swap", nil); err != nil {
				failed <- err
				return
			}
			runtime.Gosched()
		}
	}()
	if err := os.Rename(filepath.Join(dir, "a.wasm"), filepath.Join(dir, "b.wasm")); err != nil {
		t.Fatal(err)
	}
	var changes []event.Change
	for e := range w.told {
		if changes = append(changes, e.Change); e.Change == event.PluginReady {
			break
		}
	}
	close(over)
	if err := <-failed; err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	if want := []event.Change{event.PluginRefused, event.PluginUnloaded, event.PluginReady}; !slices.Equal(changes, want) {
		t.Errorf("told %v, want %v", changes, want)
	}
	answers(t, w, "", guesttest.SwapTag("v1"))
	if p := w.Plugins(); len(p) != 1 || p[0].Source != "b" || p[0].Failure != nil {
		t.Errorf("%+v", p)
	}
}

// TestWatchSignedLater has a plugin refused until its signature comes.
func TestWatchSignedLater(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, dir, "", func(c *host.Config) {
		c.Accept = func(_ context.Context, s host.Source) error {
			if s.Beside["swap.wasm.minisig"] == nil {
				return errors.New("unsigned")
			}
			return nil
		}
	})
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	w.await(event.PluginRefused)
	save(t, dir, "swap.wasm.minisig", []byte("signed"))
	w.await(event.PluginReady)
	answers(t, w, "", guesttest.SwapTag("v1"))
}

// TestWatchAnothersFile removes a file whose plugin another file has by now.
func TestWatchAnothersFile(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	w := watch(t, dir, "", nil)
	w.await(event.PluginReady)
	if err := w.Unload(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	w.await(event.PluginUnloaded)
	save(t, dir, "swap2.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w.await(event.PluginReady)
	if err := os.Remove(filepath.Join(dir, "swap.wasm")); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "other.wasm", guesttest.HandWritten(t, "hostile"))
	w.await(event.PluginReady)
	answers(t, w, "", guesttest.SwapTag("v2"))
}

// TestWatchStartsBesideBroken starts with files of which only one can serve.
func TestWatchStartsBesideBroken(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	save(t, dir, "broken.wasm", []byte("broken"))
	if err := os.Mkdir(filepath.Join(dir, "dir.wasm"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := watch(t, dir, "", nil)
	answers(t, w, "", guesttest.SwapTag("v1"))
	list := w.Plugins()
	if len(list) != 3 || list[1].Source != "broken" || list[1].Failure == nil || list[2].Source != "dir" || !strings.Contains(list[2].Failure.Error(), "not a regular file") {
		t.Errorf("%+v", list)
	}
}

// TestCacheTogether has several compile one plugin into one cache.
func TestCacheTogether(t *testing.T) {
	for range 10 {
		cache := t.TempDir()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := host.Inspect(t.Context(), tagged(t, "v1"), host.Config{CacheDir: cache}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func TestSourceTwice(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	h, err := host.New(host.Config{PluginDir: dir, Plugins: []host.Source{tagged(t, "v2")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "plugin swap: it is in Plugins and in the plugin directory") {
		t.Error(err)
	}
}

// TestWatchOneNameTwice starts with two files of one plugin, of which one serves, until it
// is removed.
func TestWatchOneNameTwice(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "a.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	save(t, dir, "b.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
	w := watch(t, dir, "", nil)
	answers(t, w, "", guesttest.SwapTag("v1"))
	if list := w.Plugins(); len(list) != 2 || list[1].Source != "b" || list[1].Failure == nil || !list[1].Failure.Temporary ||
		list[1].Failure.Error() != "plugin b: its manifest's name, swap, is that of plugin a already" { // as when it is tried again, so that it is told once
		t.Errorf("%+v", list)
	}
	if err := os.Remove(filepath.Join(dir, "a.wasm")); err != nil {
		t.Fatal(err)
	}
	until(t, "the other one serves", func() bool {
		list := w.Plugins()
		return len(list) == 1 && list[0].Source == "b" && list[0].Version == "v2"
	})
	answers(t, w, "", guesttest.SwapTag("v2"))
}

// TestMendWhileAllHang replaces a version whose tasks hold all workers.
func TestMendWhileAllHang(t *testing.T) {
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{version(t, guesttest.Version{Tag: "v1", Mode: 's'})}
		c.Defaults.SwapTimeout = time.Millisecond
	})
	var hanging []*host.Pending
	for range 8 {
		hanging = append(hanging, h.Submit(t.Context(), "swap", []byte("!")))
	}
	deploy(t, h, tagged(t, "v2"), host.DeploySwapped)
	for _, p := range hanging {
		if out, err := p.Wait(); err != nil || string(out) != guesttest.SwapTag("v2") {
			t.Errorf("%q, %v", out, err)
		}
	}
}
