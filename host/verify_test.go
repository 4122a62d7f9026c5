package host_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

// numbers are two f64s, of which the guest nan answers with the lesser.
func numbers(a, b uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a), b)
}

// Answers to these are the same in compiled code and in the interpreter, and differ.
var (
	alike = numbers(math.Float64bits(1.5), math.Float64bits(2))
	apart = numbers(0x7ff8000000000def, 0xfff8000000000abc)
)

// inBase64 is Config.Translate for bytes.
func inBase64(_ host.Transform, input []byte) (payload []byte, encode func([]byte) ([]byte, error), err error) {
	err = json.Unmarshal(input, &payload)
	return payload, func(output []byte) ([]byte, error) { return json.Marshal(output) }, err
}

// sampling starts a host that compares each task of the guest nan.
func sampling(t *testing.T, change func(*host.Config)) *host.Host {
	t.Helper()
	cfg := host.Config{
		Plugins: []host.Source{handWritten(t, "nan")}, Workers: 1,
		Defaults: host.PluginConfig{Verify: host.VerifySample, VerifyEvery: 1},
	}
	change(&cfg)
	return hosted.Start(t, cfg)
}

func verified(h *host.Host) host.VerifyStats { return h.Stats().Plugins[0].Verify }

// TestVerifySample has tasks compared beside their callers, and what differs kept.
func TestVerifySample(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			dir := t.TempDir()
			h := sampling(t, func(c *host.Config) { c.CacheDir = dir })
			r := host.Runner(h)
			if stream {
				r = h.Stream("s")
			}
			for i, input := range [][]byte{alike, apart, alike} {
				if _, err := r.Run(t.Context(), "nan", input); err != nil {
					t.Fatal(err)
				}
				until(t, "the task is compared", func() bool { return verified(h).Checks == uint64(i+1) })
			}
			until(t, "the mismatch is told", func() bool { return h.Plugins()[0].Mismatch != "" })
			if got := verified(h); got != (host.VerifyStats{Checks: 3, Mismatches: 1}) {
				t.Errorf("counted %+v", got)
			}
			p := h.Plugins()[0]
			file := filepath.Join(dir, "mismatches", p.Hash[:12]+"-1.json")
			if !strings.HasPrefix(p.Mismatch, "nan: compiled code and wazero's interpreter answer differently: the output of 8 bytes") || !strings.HasSuffix(p.Mismatch, "kept as "+file) || p.Paused {
				t.Errorf("the plugin says %q", p.Mismatch)
			}
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var kept struct {
				Input                 []byte
				Compiled, Interpreted struct{ Output []byte }
			}
			if err := json.Unmarshal(doc, &kept); err != nil || !bytes.Equal(kept.Input, apart) || bytes.Equal(kept.Compiled.Output, kept.Interpreted.Output) || len(kept.Interpreted.Output) != 8 {
				t.Errorf("kept %s, %v", doc, err)
			}
		})
	}
}

// TestFinishVerifying has all that was taken be compared by then, and waits no longer than it may.
func TestFinishVerifying(t *testing.T) {
	h := sampling(t, func(*host.Config) {})
	const tasks = 10 // which the queue has room for
	for range tasks {
		if _, err := h.Run(t.Context(), "nan", apart); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := h.FinishVerifying(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := h.FinishVerifying(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := verified(h); got != (host.VerifyStats{Checks: tasks, Mismatches: tasks}) {
		t.Errorf("counted %+v", got)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.FinishVerifying(t.Context()); err != nil {
		t.Errorf("of a host that is closed: %v", err)
	}
}

// TestVerifySuspend has the plugin paused at the first mismatch.
func TestVerifySuspend(t *testing.T) {
	h := sampling(t, func(c *host.Config) { c.Defaults.VerifySuspend = true })
	if _, err := h.Run(t.Context(), "nan", apart); err != nil {
		t.Fatal(err)
	}
	until(t, "the plugin is paused", func() bool { return h.Plugins()[0].Paused })
	if _, err := h.Run(t.Context(), "nan", alike); !errors.Is(err, host.ErrPaused) {
		t.Errorf("a task: %v", err)
	}
	if err := h.Resume(t.Context(), "nan"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run(t.Context(), "nan", alike); err != nil {
		t.Error(err)
	}
}

// TestVerifyCanary has a canary rolled back at the first mismatch, and the version beside it serve.
func TestVerifyCanary(t *testing.T) {
	h := sampling(t, func(c *host.Config) {
		c.Defaults.Canary, c.Defaults.VerifySuspend = 1, true
		c.Plugins[0] = other(t)
	})
	deploy(t, h, handWritten(t, "nan"), host.DeployCanary)
	if _, err := h.Run(t.Context(), "nan", apart); err != nil {
		t.Fatal(err)
	}
	until(t, "the canary is rolled back", func() bool { return h.Plugins()[0].Canary == nil })
	if _, err := h.Run(t.Context(), "nan", alike); err != nil || h.Plugins()[0].Paused {
		t.Errorf("the version beside it: %v", err)
	}
}

// heldLog is a log that waits at a mismatch until it is let go on.
type heldLog struct {
	slog.Handler
	reached, release, closed chan struct{}
}

func newHeldLog() heldLog {
	return heldLog{slog.DiscardHandler, make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (l heldLog) Enabled(context.Context, slog.Level) bool { return true }

func (l heldLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l heldLog) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "a task was answered differently by compiled code and the interpreter":
		close(l.reached)
		<-l.release
	case "an earlier version is closed":
		close(l.closed)
	}
	return nil
}

// other is the guest nan with a section that does nothing.
func other(t *testing.T) host.Source {
	t.Helper()
	s := handWritten(t, "nan")
	s.WASM = append(s.WASM, 0, 2, 1, 'x')
	return s
}

// TestVerifyIsLate has a mismatch found of a version that meanwhile serves no more: the one that
// does takes tasks. A canary that was promoted is paused as any version that serves.
func TestVerifyIsLate(t *testing.T) {
	for name, c := range map[string]struct {
		canary    bool
		meanwhile func(t *testing.T, h *host.Host)
		paused    bool
	}{
		"replaced":    {false, func(t *testing.T, h *host.Host) { deploy(t, h, other(t), host.DeploySwapped) }, false},
		"rolled back": {true, func(t *testing.T, h *host.Host) { mustDo(t, h.Rollback(t.Context(), "nan", 0)) }, false},
		"promoted":    {true, func(t *testing.T, h *host.Host) { mustDo(t, h.Promote(t.Context(), "nan")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			log := newHeldLog()
			h := sampling(t, func(c2 *host.Config) {
				c2.Logger, c2.Defaults.VerifySuspend = slog.New(log), true
				if c.canary {
					c2.Defaults.Canary, c2.Defaults.CanaryTime = 1, time.Hour
				}
			})
			if c.canary {
				deploy(t, h, other(t), host.DeployCanary)
			}
			if _, err := h.Run(t.Context(), "nan", apart); err != nil {
				t.Fatal(err)
			}
			<-log.reached
			c.meanwhile(t, h)
			close(log.release)
			if c.paused {
				until(t, "the plugin is paused", func() bool { return h.Plugins()[0].Paused })
				return
			}
			<-log.closed // which waits for what compares its tasks
			if _, err := h.Run(t.Context(), "nan", alike); err != nil {
				t.Errorf("the version that serves: %v", err)
			}
		})
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestVerifyClosing has a canary's mismatch found while the host closes, which changes nothing.
func TestVerifyClosing(t *testing.T) {
	log := newHeldLog()
	h := sampling(t, func(c *host.Config) {
		c.Logger, c.Defaults.VerifySuspend = slog.New(log), true
		c.Defaults.Canary, c.Defaults.CanaryTime = 1, time.Hour
	})
	deploy(t, h, other(t), host.DeployCanary)
	if _, err := h.Run(t.Context(), "nan", apart); err != nil {
		t.Fatal(err)
	}
	<-log.reached
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	until(t, "the host closes", h.Closing)
	close(log.release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n := h.Stats().Deploys["nan"][host.DeployRolledBack]; n != 0 {
		t.Errorf("rolled back %d times", n)
	}
}

// TestVerifyLeavesOut has what cannot be compared left out.
func TestVerifyLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*host.Config)
		input  []byte
		want   host.VerifyStats
	}{
		"shared":      {func(c *host.Config) { c.Defaults.Isolation = host.IsolationShared }, apart, host.VerifyStats{}},
		"clock":       {func(c *host.Config) { c.Defaults.Grants = []host.Grant{host.GrantClock} }, apart, host.VerifyStats{}},
		"interpreter": {func(c *host.Config) { c.Defaults.Engine = host.EngineInterpreter }, apart, host.VerifyStats{}},
		"self-tests":  {func(c *host.Config) { c.Defaults.Verify = host.VerifySelfTests }, apart, host.VerifyStats{}},
		"every other": {func(c *host.Config) { c.Defaults.VerifyEvery = 2 }, alike, host.VerifyStats{Checks: 2}},
		"network": {func(c *host.Config) {
			c.Defaults.VerifyEvery, c.Defaults.Grants, c.Fetch = 2, []host.Grant{host.GrantNetwork}, fetchNothing
		}, alike, host.VerifyStats{Checks: 2}},
		"another guest": {func(c *host.Config) {
			c.Plugins = []host.Source{handWritten(t, "hostile")}
			c.Defaults.MaxInput, c.Defaults.MaxOutput = 8<<20, 8<<20
		}, make([]byte, 200<<10), host.VerifyStats{Checks: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			h := sampling(t, c.change)
			plugin, transform := "nan", "nan"
			if len(c.input) > len(apart) {
				plugin, transform = "hostile", "hostile.echo"
			}
			if got, want := h.Samples(plugin), c.want != (host.VerifyStats{}); got != want {
				t.Errorf("tasks are compared: %v, want %v", got, want)
			}
			for range 4 {
				if _, err := h.Run(t.Context(), transform, c.input); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "the tasks are compared", func() bool { s := verified(h); return s.Checks+s.Skipped+s.Dropped >= c.want.Checks+c.want.Skipped })
			if got := verified(h); got != c.want {
				t.Errorf("counted %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestVerifyCannot has tasks skipped, and not queued, once the interpreter cannot load the plugin.
func TestVerifyCannot(t *testing.T) {
	h := sampling(t, func(*host.Config) {})
	h.SpoilSamples("nan")
	for i := range 50 {
		if _, err := h.Run(t.Context(), "nan", alike); err != nil {
			t.Fatal(err)
		}
		until(t, "the task is skipped", func() bool { return verified(h).Skipped == uint64(i+1) })
	}
	if got := verified(h); got != (host.VerifyStats{Skipped: 50}) {
		t.Errorf("counted %+v", got)
	}
}

// TestVerifyTests has the tests that come with a version compared. One that expects what compiled
// code answers, bits of a NaN, passes there and is refused.
func TestVerifyTests(t *testing.T) {
	ctx := t.Context()
	cfg := host.Config{Plugins: []host.Source{handWritten(t, "nan")}, Translate: inBase64, CacheDir: t.TempDir(), Defaults: host.PluginConfig{Verify: host.VerifyOff}}
	h := hosted.Start(t, cfg)
	test := func(input []byte) []byte {
		out, err := h.Run(ctx, "nan", input)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, "{\"transform\":\"nan\",\"input\":%q,\"output\":%q}\n", base64.StdEncoding.EncodeToString(input), base64.StdEncoding.EncodeToString(out))
	}
	same, differs := test(alike), test(apart)
	s := handWritten(t, "nan")
	s.Tests = differs
	if _, err := host.Inspect(ctx, s, cfg); err != nil {
		t.Errorf("with verify off: %v", err)
	}
	for range 2 { // the cache has what was verified, and not what was refused
		cfg.Defaults.Verify = host.VerifySelfTests
		s.Tests = same
		if _, err := host.Inspect(ctx, s, cfg); err != nil {
			t.Error(err)
		}
		s.Tests = slices.Concat(same, differs)
		_, err := host.Inspect(ctx, s, cfg)
		at := (*host.LoadError)(nil)
		if !errors.As(err, &at) || at.Step != host.StepVerify || !strings.Contains(err.Error(), ".test.ndjson: line 2 of nan: compiled code and wazero's interpreter answer differently: the output of 8 bytes") ||
			!strings.Contains(err.Error(), "they differ in the bits of NaNs alone") {
			t.Errorf("validating gave %v", err)
		}
	}
}

// TestVerifyEnds has a host closed while tasks are being compared.
func TestVerifyEnds(t *testing.T) {
	h := sampling(t, func(*host.Config) {})
	for range 100 {
		if _, err := h.Run(t.Context(), "nan", apart); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestVerifyStarved has a guest that lives on when it is denied memory that others have. What it
// answers says nothing of compiled code.
func TestVerifyStarved(t *testing.T) {
	h := sampling(t, func(c *host.Config) {
		c.Plugins = []host.Source{handWritten(t, "grow")}
		c.Plugins[0].Tests = []byte(`{"transform": "grow", "input": "", "output": "AQAAAA=="}`)
		c.Translate = inBase64
		c.MemoryBudget = 1 << 20
	})
	got, err := h.Run(t.Context(), "grow", nil)
	if want := []byte{1, 0, 0, 0}; err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the guest answered %x, %v", got, err)
	}
	until(t, "the task is skipped", func() bool { return verified(h) == host.VerifyStats{Skipped: 1} })
}

// TestVerifyShared has tests whose state depends on those before them, in an instance for all.
func TestVerifyShared(t *testing.T) {
	line := `{"transform": "wide", "input": "AQAAAA==", "output": ""}` + "\n"
	hosted.Start(t, host.Config{
		Plugins:   []host.Source{{Name: "wide", WASM: handWritten(t, "wide").WASM, Tests: []byte(line + line)}},
		Translate: inBase64, Defaults: host.PluginConfig{Isolation: host.IsolationShared},
	})
}

// TestVerifyBlank has tests of a blank line alone. All that there is was compared.
func TestVerifyBlank(t *testing.T) {
	dir := t.TempDir()
	s := handWritten(t, "room")
	s.Tests = []byte("\n")
	hosted.Start(t, host.Config{Plugins: []host.Source{s}, CacheDir: dir})
	var kept bool
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		kept = kept || filepath.Base(name) == "verified"
		return err
	})
	if err != nil || !kept {
		t.Errorf("that it was verified is kept: %v, %v", kept, err)
	}
}

// TestVerifyTestsTime has tests take all the time that they have. That of the interpreter is its
// own.
func TestVerifyTestsTime(t *testing.T) {
	s := handWritten(t, "log-late")
	s.Tests = []byte(`{"transform": "log-late", "input": "", "output": ""}`)
	last := -1 // the line of the test is that of the guest's last run
	for range 2 {
		lines := 0
		cfg := host.Config{Plugins: []host.Source{s}, Translate: inBase64, Defaults: host.PluginConfig{InitTimeout: 2 * time.Second}}
		cfg.Logger = slog.New(&onRecord{Handler: slog.DiscardHandler, do: func(r slog.Record) {
			if r.Message != "done" {
				return
			}
			if lines++; lines == last {
				<-time.After(cfg.Defaults.InitTimeout)
			}
		}})
		hosted.Start(t, cfg)
		if last > 0 && lines != last || lines == 0 {
			t.Errorf("%d lines, then %d", last, lines)
		}
		last = lines
	}
}

// onRecord does something with each record.
type onRecord struct {
	slog.Handler

	do func(slog.Record)
}

func (h *onRecord) Enabled(context.Context, slog.Level) bool { return true }

func (h *onRecord) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *onRecord) Handle(_ context.Context, r slog.Record) error {
	h.do(r)
	return nil
}
