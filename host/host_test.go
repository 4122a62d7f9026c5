package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
)

// exampleDir is a directory for the examples.
var exampleDir string

func TestMain(m *testing.M) {
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

func TestBatchHarmsNoNeighbour(t *testing.T) {
	for _, c := range []struct {
		name      string
		isolation host.Isolation
		retried   uint64
	}{{"pristine", host.IsolationPristine, 0}, {"frame", host.IsolationFrame, 3}, {"shared", host.IsolationShared, 3}} {
		t.Run(c.name, func(t *testing.T) {
			h := hostile(t, func(cfg *host.Config) {
				cfg.Defaults.RunTimeout, cfg.Defaults.Isolation = time.Second, c.isolation
			})
			batchHarmsNoNeighbour(t, h)
			if got := h.Stats().FramesRetried; got != c.retried {
				t.Errorf("%d frames retried, want %d", got, c.retried)
			}
			if got := h.RunBatch(t.Context(), "hostile.echo", nil); got == nil || len(got) != 0 {
				t.Errorf("%v for nothing", got)
			}
		})
	}
}

func batchHarmsNoNeighbour(t *testing.T, h *host.Host) {
	for transform, kind := range map[string]host.Kind{
		"hostile.trap": host.KindTrap, "hostile.spin": host.KindTimeout, "hostile.badutf8": host.KindFailed, "hostile.fewer": host.KindABI,
	} {
		inputs := make([][]byte, 200)
		for i := range inputs {
			inputs[i] = []byte(strconv.Itoa(i))
		}
		inputs[70] = []byte("!")
		for i, r := range h.RunBatch(t.Context(), transform, inputs) {
			if i == 70 {
				if host.KindOf(r.Err) != kind {
					t.Errorf("%s: the bad item: %q, err %v", transform, r.Output, r.Err)
				}
			} else if r.Err != nil || !bytes.Equal(r.Output, inputs[i]) {
				t.Errorf("%s: item %d: %q, err %v", transform, i, r.Output, r.Err)
			}
		}
	}
}

func TestBatchSplitsByBytes(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) { cfg.Defaults.MaxInput, cfg.Defaults.Isolation = 4<<10, host.IsolationFrame })
	inputs := [][]byte{make([]byte, 3000), make([]byte, 3000), make([]byte, 5000), make([]byte, 10)}
	for i, r := range h.RunBatch(t.Context(), "hostile.echo", inputs) {
		if i == 2 {
			if host.KindOf(r.Err) != host.KindInvalidArgument {
				t.Errorf("the item that is too large: err %v", r.Err)
			}
		} else if r.Err != nil || len(r.Output) != len(inputs[i]) {
			t.Errorf("item %d: %d bytes, err %v", i, len(r.Output), r.Err)
		}
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

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	good := handWritten(t, "hostile")
	for name, c := range map[string]struct {
		cfg  host.Config
		want []string
	}{
		"no directory":     {host.Config{PluginDir: filepath.Join(dir, "none")}, []string{"plugin directory: open ", "no such file or directory"}},
		"nothing there":    {host.Config{PluginDir: dir}, []string{"no plugin: " + dir + " has no *.wasm file"}},
		"broken ones":      {host.Config{Plugins: []host.Source{good, handWritten(t, "no-run"), handWritten(t, "empty")}}, []string{"plugin no-run: does not export the function", "plugin empty: the file is empty"}},
		"the same twice":   {host.Config{Plugins: []host.Source{good, {Name: "again", WASM: good.WASM}}}, []string{"plugin again: its manifest's name, hostile, is that of plugin hostile already"}},
		"unknown override": {host.Config{Plugins: []host.Source{good}, Overrides: map[string]host.PluginConfig{"hostle": {}}}, []string{`Overrides["hostle"]: there is no such plugin`}},
		"too large":        {host.Config{Plugins: []host.Source{good}, Defaults: host.PluginConfig{MaxModule: 100}}, []string{"plugin hostile: larger than 100 bytes, the limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := host.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = h.Start(t.Context())
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("err %v, want %q", err, want)
				}
			}
			if err := h.Start(t.Context()); !errors.Is(err, host.ErrClosed) {
				t.Errorf("started again: err %v, want ErrClosed", err)
			}
			if _, err := h.Run(t.Context(), "hostile.echo", nil); !errors.Is(err, host.ErrClosed) {
				t.Errorf("run: err %v, want ErrClosed", err)
			}
		})
	}
}

// TestOneName has two plugins of one name, which share no transform.
func TestOneName(t *testing.T) {
	named := func(transform string) host.Native {
		return guest.New(`{"name": "x", "version": "1", "transforms": [{"name": "x.`+transform+`", "input": "text/plain", "output": "text/plain"}]}`, nil)
	}
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{named("a"), named("b")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || err.Error() != "plugin x: its manifest's name, x, is that of plugin x already" {
		t.Errorf("err %v", err)
	}
}

func TestPluginDir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"leak", "hostile"} {
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), handWritten(t, name).WASM, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".leak.wasm", "notes.txt", ".wasm"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not a plugin"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := hosted.Start(t, host.Config{PluginDir: dir, Overrides: map[string]host.PluginConfig{"leak": {RunTimeout: 7 * time.Second}}})
	plugins := h.Plugins()
	if len(plugins) != 2 || plugins[0].Name != "hostile" || plugins[1].Name != "leak" {
		t.Fatalf("plugins %+v", plugins)
	}
	if got := plugins[1].Transforms[0].Timeout; got != 7*time.Second {
		t.Errorf("leak's timeout is %v, want that of the override", got)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := host.New(host.Config{
		Workers: -1, QueueCapacity: -1, QueuePolicy: 9, MaxStreams: -3,
		Defaults:  host.PluginConfig{MemoryLimit: 1},
		Overrides: map[string]host.PluginConfig{"x": {RunTimeout: -time.Second, MinInstances: 2, MaxInstances: 2}},
	})
	for _, want := range []string{
		"PluginDir: must be set", "Workers: must be between 1 and", "QueueCapacity: must be at least 1",
		"QueuePolicy: must be QueueBlock, QueueReject or QueueDropOldest", "MaxStreams: must be at least 1",
		"Defaults.MemoryLimit: must be between 64 KiB and 2 GiB", `Overrides["x"].RunTimeout: must not be negative`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "Instances") {
		t.Errorf("error tells what comes of another:\n%v", err)
	}
}

func TestBeforeStart(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "hostile.echo", nil); !errors.Is(err, host.ErrNotStarted) {
		t.Errorf("err %v, want ErrNotStarted", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// gate is a native plugin whose tasks wait until they are let through.
type gate struct {
	*guest.Plugin
	entered chan string
	let     chan struct{}
}

const gateManifest = `{"name": "gate", "version": "1", "transforms": [
	{"name": "gate", "input": "text/plain", "output": "text/plain", "state_bytes": 1000}]}`

func newGate() *gate {
	g := &gate{entered: make(chan string), let: make(chan struct{})}
	g.Plugin = guest.New(gateManifest, func(t *guest.Task) error {
		g.entered <- string(t.Input)
		<-g.let
		if string(t.Input) == "bad" {
			return &abi.FieldError{Field: "input", Rule: "must not be bad"}
		}
		// Answers with all earlier inputs of its stream.
		t.NextState = append(append([]byte(nil), t.State...), t.Input...)
		t.Output = append(t.Output, t.NextState...)
		return nil
	})
	return g
}

// pass lets one task through and returns its input.
func (g *gate) pass() string {
	in := <-g.entered
	g.let <- struct{}{}
	return in
}

func inline(t *testing.T, change func(*host.Config)) (*host.Host, *gate) {
	t.Helper()
	g := newGate()
	cfg := host.Config{Mode: host.ModeInline, Native: []host.Native{g}}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(t, cfg), g
}

func TestInlineIsSingleThreaded(t *testing.T) {
	h, g := inline(t, nil)
	a := h.Submit(t.Context(), "gate", []byte("a"))
	b := h.Submit(t.Context(), "gate", []byte("b"))
	<-g.entered
	if s := h.Stats(); s.Workers != 1 || s.Active != 1 || s.QueueDepth != 1 {
		t.Errorf("stats %+v, want one of one worker active and a task queued", s)
	}
	g.let <- struct{}{}
	g.pass()
	for want, p := range map[string]*host.Pending{"a": a, "b": b} {
		if out, err := p.Wait(); err != nil || string(out) != want {
			t.Errorf("%q, err %v, want %s", out, err, want)
		}
	}
}

func TestStreamOrderAndState(t *testing.T) {
	h, g := inline(t, nil)
	s := h.Stream("s")
	var pending []*host.Pending
	for _, in := range []string{"a", "b", "bad", "c"} {
		pending = append(pending, s.Submit(t.Context(), "gate", []byte(in)))
	}
	other := h.Stream("other").Submit(t.Context(), "gate", []byte("x"))
	for range 5 {
		g.pass()
	}
	for i, want := range []string{"a", "ab", "", "abc"} {
		out, err := pending[i].Wait()
		if string(out) != want || (err != nil) != (want == "") {
			t.Errorf("task %d: %q, err %v, want %q", i, out, err, want)
		}
	}
	_, err := pending[2].Wait()
	if want := "gate: invalid_argument: input: must not be bad"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	if out, err := other.Wait(); err != nil || string(out) != "x" {
		t.Errorf("the other stream: %q, err %v", out, err)
	}
	if got := h.Stats().Streams; got != 2 {
		t.Errorf("%d streams, want 2", got)
	}
}

func TestStreamKey(t *testing.T) {
	h, _ := inline(t, nil)
	for _, key := range []string{"", strings.Repeat("k", host.MaxStreamKey+1)} {
		_, err := h.Stream(key).Run(t.Context(), "gate", nil)
		if want := fmt.Sprintf("stream key: must have 1 to 256 bytes, has %d", len(key)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

func TestQueuePolicies(t *testing.T) {
	t.Run("reject", func(t *testing.T) {
		h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueReject })
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		_, err := h.Run(t.Context(), "gate", []byte("c"))
		if host.KindOf(err) != host.KindQueueFull || !errors.Is(err, host.ErrQueueFull) || !strings.HasSuffix(err.Error(), "queue is full (QueueCapacity, --queue-capacity)") {
			t.Errorf("err %v, want queue full", err)
		}
		g.pass()
		g.pass()
		for _, p := range []*host.Pending{a, b} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("drop oldest", func(t *testing.T) {
		h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueDropOldest })
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		c := h.Submit(t.Context(), "gate", []byte("c"))
		if _, err := b.Wait(); !errors.Is(err, host.ErrQueueFull) || !strings.HasSuffix(err.Error(), "dropped from a full queue (QueueCapacity, --queue-capacity; QueuePolicy, --queue-policy)") {
			t.Errorf("err %v, want queue full", err)
		}
		g.pass()
		g.pass()
		for _, p := range []*host.Pending{a, c} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
		if got := h.Stats().Dropped; got != 1 {
			t.Errorf("%d dropped, want 1", got)
		}
	})
	t.Run("block", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity = 1 })
			h.Submit(t.Context(), "gate", []byte("a"))
			h.Submit(t.Context(), "gate", []byte("b"))
			submitted := make(chan *host.Pending)
			go func() { submitted <- h.Submit(t.Context(), "gate", []byte("c")) }()
			synctest.Wait()
			if s := h.Stats(); s.Blocked != 1 || s.QueueDepth != 1 {
				t.Errorf("stats %+v, want one blocked", s)
			}
			g.pass()
			p := <-submitted
			g.pass()
			g.pass()
			if out, err := p.Wait(); err != nil || string(out) != "c" {
				t.Errorf("%q, err %v", out, err)
			}
		})
	})
	t.Run("timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, g := inline(t, func(cfg *host.Config) { cfg.QueueTimeout = time.Second })
			a := h.Submit(t.Context(), "gate", []byte("a"))
			began := time.Now()
			_, err := h.Run(t.Context(), "gate", []byte("b"))
			if host.KindOf(err) != host.KindTimeout || !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "waited longer than the queue timeout (QueueTimeout, --queue-timeout)") {
				t.Errorf("err %v, want a queue timeout", err)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("after %v, want 1s", took)
			}
			g.pass()
			if _, err := a.Wait(); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := inline(t, nil)
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		closed := make(chan error)
		go func() { closed <- h.Close(t.Context()) }()
		synctest.Wait()
		if _, err := h.Run(t.Context(), "gate", nil); !errors.Is(err, host.ErrClosed) || host.KindOf(err) != host.KindUnavailable {
			t.Errorf("err %v, want ErrClosed", err)
		}
		g.pass()
		g.pass()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for _, p := range []*host.Pending{a, b} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
		if err := h.Close(t.Context()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

func TestCloseInterrupts(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := h.Submit(t.Context(), "hostile.spin", []byte("!"))
	queued := h.Submit(t.Context(), "hostile.spin", []byte("!"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "tasks were interrupted: ") {
		t.Errorf("err %v, want that tasks were interrupted", err)
	}
	for _, p := range []*host.Pending{running, queued} {
		if _, err := p.Wait(); !errors.Is(err, host.ErrClosed) {
			t.Errorf("err %v, want ErrClosed", err)
		}
	}
}

// TestCloseDropsTheQueue has tasks that would succeed, were they begun.
func TestCloseDropsTheQueue(t *testing.T) {
	h, g := inline(t, nil)
	running := h.Submit(t.Context(), "gate", []byte("a"))
	<-g.entered
	var queued []*host.Pending
	for range 10 {
		queued = append(queued, h.Submit(t.Context(), "gate", []byte("b")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error)
	go func() { closed <- h.Close(ctx) }()
	// The one that runs cannot be interrupted; it ends once Close has lost its
	// patience.
	for !h.Interrupted() {
		if t.Context().Err() != nil {
			t.Fatal("Close did not interrupt")
		}
	}
	g.let <- struct{}{}
	if err := <-closed; !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want that tasks were interrupted", err)
	}
	if out, err := running.Wait(); err != nil || string(out) != "a" {
		t.Errorf("the task that ran: %q, err %v", out, err)
	}
	for _, p := range queued {
		if _, err := p.Wait(); !errors.Is(err, host.ErrClosed) || host.KindOf(err) != host.KindUnavailable {
			t.Errorf("a queued task: err %v, want ErrClosed", err)
		}
	}
}

// TestFailedTaskKeepsState has a native transform that fails and states a state.
func TestFailedTaskKeepsState(t *testing.T) {
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{failing{guest.New(gateManifest)}}})
	s := h.Stream("s")
	for _, c := range [][2]string{{"one", ""}, {"fail", ""}, {"two", "one"}} {
		out, err := s.Run(t.Context(), "gate", []byte(c[0]))
		if (err != nil) != (c[0] == "fail") || err == nil && string(out) != c[1] {
			t.Errorf("%s: %q, err %v; want %q", c[0], out, err, c[1])
		}
	}
}

// failing answers with the state it finds and leaves its input, also if it fails.
type failing struct{ *guest.Plugin }

func (failing) Run(_ uint32, frame []byte) ([]byte, error) {
	r, err := abi.ReadInput(frame)
	if err != nil {
		return nil, err
	}
	it, err := r.Next()
	if err != nil {
		return nil, err
	}
	res := abi.Result{Payload: it.State, State: it.Payload}
	if string(it.Payload) == "fail" {
		res.Status = abi.StatusFailed
	}
	return abi.AppendOutput(nil, []abi.Result{res}), nil
}

// TestStartStop closes hosts while callers come.
func TestStartStop(t *testing.T) {
	for range 20 {
		h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					out, err := h.Run(t.Context(), "hostile.echo", []byte("x"))
					if errors.Is(err, host.ErrNotStarted) {
						continue
					}
					if errors.Is(err, host.ErrClosed) {
						return
					}
					if err != nil || string(out) != "x" {
						t.Errorf("%q, err %v", out, err)
						return
					}
				}
			})
		}
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Run(t.Context(), "hostile.echo", nil); err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}

type text string

func (t text) AppendBinary(b []byte) ([]byte, error) { return append(b, t...), nil }

func (t *text) UnmarshalBinary(b []byte) error {
	if string(b) == "?" {
		return errors.New("a question")
	}
	*t = text(b)
	return nil
}

func (t text) Validate() error {
	if t == "" {
		return &abi.FieldError{Field: "text", Rule: "must not be empty"}
	}
	return nil
}

func TestCall(t *testing.T) {
	h := hostile(t, nil)
	out, err := host.Call[text](t.Context(), h, "hostile.echo", text("hello"))
	if err != nil || out != "hello" {
		t.Errorf("%q, err %v", out, err)
	}
	_, err = host.Call[text](t.Context(), h, "hostile.echo", text(""))
	if want := "hostile.echo: invalid_argument: text: must not be empty"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	if f := (*abi.FieldError)(nil); !errors.As(err, &f) {
		t.Errorf("%v has no field", err)
	}
	_, err = host.Call[text](t.Context(), h, "hostile.echo", text("?"))
	if host.KindOf(err) != host.KindABI {
		t.Errorf("err %v, want abi", err)
	}
}
