package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

// TestFaults has each fault that a guest can cause have one kind, and each limit named with
// the field and the flag that set it. What a Go program says as it ends is TestGoGuest's.
func TestFaults(t *testing.T) {
	const grown = "resonhost_run wanted memory of "
	for name, c := range map[string]struct {
		guest, transform string
		config           func(*host.Config)
		kind             host.Kind
		message          string // its beginning
		limit            string // its end
		is               error
	}{
		"trap":            {"hostile", "trap", nil, host.KindTrap, "resonhost_run: unreachable", "", nil},
		"wild load":       {"hostile", "oob", nil, host.KindTrap, "resonhost_run: out of bounds memory access", "", nil},
		"division":        {"hostile", "divide", nil, host.KindTrap, "resonhost_run: integer divide by zero", "", nil},
		"call of nothing": {"hostile", "indirect", nil, host.KindTrap, "resonhost_run: invalid table access", "", nil},
		"nested calls":    {"hostile", "recurse", nil, host.KindTrap, "resonhost_run: calls nest deeper than 65536, the limit", " (MaxCallDepth, --max-call-depth)", nil},
		"native stack": {"hostile", "recurse", func(c *host.Config) { c.Defaults.MaxCallDepth, c.Defaults.MaxStack = 1_000_000, 1<<20 }, host.KindTrap,
			"resonhost_run: calls nest ", " (MaxStack, --max-stack)", nil},
		"exit": {"hostile", "exit", nil, host.KindExit, "resonhost_run ended the module with exit code 3", "", nil},
		"run timeout": {"hostile", "spin", func(c *host.Config) { c.Defaults.RunTimeout = 20 * time.Millisecond }, host.KindTimeout,
			"ran longer than its run timeout of 20ms", " (RunTimeout, --run-timeout)", context.DeadlineExceeded},
		"fuel": {"hostile", "spin", func(c *host.Config) { c.Defaults.MaxFuel = 10_000 }, host.KindOutOfFuel,
			"resonhost_run burnt more than its fuel of 10000", " (MaxFuel, --max-fuel)", nil},
		"memory limit": {"hostile", "grow", nil, host.KindOutOfMemory, grown + "17825792 bytes, the limit is 16777216", " (MemoryLimit, --memory-limit)", nil},
		// An instance has 4 MiB, and grows to more than the budget, which is below its limit.
		"memory budget": {"hostile", "grow", func(c *host.Config) { c.MemoryBudget = 10 << 20 }, host.KindMemoryFull,
			grown, " bytes are taken (MemoryBudget, --memory-budget)", host.ErrMemoryBudget},
		"output":        {"hostile", "longmessage", func(c *host.Config) { c.Defaults.MaxOutput = 64 << 10 }, host.KindABI, "resonhost_run returned a frame of ", " the limit is 65536 (MaxOutput, --max-output)", nil},
		"contract":      {"hostile", "wildptr", nil, host.KindABI, "resonhost_run returned bytes ", "", nil},
		"state":         {"hostile", "hugestate", nil, host.KindABI, "resonhost_run: item 0 has a state of 1024 bytes, the manifest states 8", "", nil},
		"own failure":   {"hostile", "badutf8", nil, host.KindFailed, "", "", nil},
		"wild log":      {"hostile", "log", nil, host.KindABI, "resonhost.log was given bytes ", "", nil},
		"refused frame": {"refuse-alloc", "", nil, host.KindABI, "resonhost_alloc refuses a frame of ", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := host.Config{Plugins: []host.Source{handWritten(t, c.guest)}, Workers: 1}
			cfg.Defaults.MemoryLimit, cfg.Defaults.RunTimeout = 16<<20, time.Minute
			if c.config != nil {
				c.config(&cfg)
			}
			h := hosted.Start(t, cfg)
			transform, input := c.guest, []byte("!23456789")
			if c.transform != "" {
				transform += "." + c.transform
			}
			_, err := h.Run(t.Context(), transform, input)
			e := (*host.Error)(nil)
			if !errors.As(err, &e) {
				t.Fatalf("err %v: not an *Error", err)
			}
			if e.Kind != c.kind || !strings.HasPrefix(e.Message, c.message) || !strings.HasSuffix(e.Message, c.limit) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v, want %s: %s…%s", e, c.kind, c.message, c.limit)
			}
		})
	}
}

// TestBudgetIsOneKind has a budget that is exhausted be of one kind, whether it is an instance
// that grows for which there is no room, or one that is made; and suspend no plugin.
func TestBudgetIsOneKind(t *testing.T) {
	h := hosted.Start(t, host.Config{
		Plugins:      []host.Source{handWritten(t, "hostile"), handWritten(t, "leak")},
		Workers:      2,
		MemoryBudget: 6 << 20, // an instance of hostile has 4 MiB
		Defaults:     host.PluginConfig{MinInstances: -1, BreakAfter: 2, MemoryLimit: 64 << 20, RunTimeout: time.Minute},
	})
	check := func(err error, message string) {
		t.Helper()
		if host.KindOf(err) != host.KindMemoryFull || !errors.Is(err, host.ErrMemoryBudget) ||
			!strings.Contains(err.Error(), message) || !strings.HasSuffix(err.Error(), "(MemoryBudget, --memory-budget)") {
			t.Errorf("err %v, want that it says %q", err, message)
		}
	}
	for range 4 {
		_, err := h.Run(t.Context(), "hostile.grow", []byte("!"))
		check(err, "resonhost_run wanted memory of ")
	}
	ctx, cancel := context.WithCancel(t.Context())
	spinning := h.Submit(ctx, "hostile.spin", []byte("!"))
	until(t, "a task holds its instance", func() bool { return h.Stats().Memory >= 4<<20 })
	for range 4 {
		_, err := h.Run(t.Context(), "hostile.echo", []byte("a"))
		check(err, "no instance could be made: no room in the memory budget: an instance has 4194304 bytes")
	}
	cancel()
	_, _ = spinning.Wait()
	until(t, "the instance has gone, and there is room", func() bool {
		out, err := h.Run(t.Context(), "hostile.echo", []byte("a"))
		return err == nil && string(out) == "a"
	})
}

// TestBudgetSparesCanary has a canary whose instances the budget has no room for, or no room to
// grow. The version beside it does its tasks, and nobody is to blame.
func TestBudgetSparesCanary(t *testing.T) {
	larger := handWritten(t, "leak")
	memory := []byte{5, 3, 1, 0, 1} // the section: one memory, of a page or more
	if bytes.Count(larger.WASM, memory) != 1 {
		t.Fatal("the guest's memory is another than was thought")
	}
	larger.WASM = bytes.Replace(larger.WASM, memory, []byte{5, 3, 1, 0, 64}, 1)
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "fresh": host.IsolationFresh, "frame": host.IsolationFrame, "shared": host.IsolationShared} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", batch ", batch), func(t *testing.T) {
				h := hosted.Start(t, host.Config{
					Plugins: []host.Source{handWritten(t, "leak")}, Workers: 1,
					MemoryBudget: 65 << 16, // pages, of which an instance has one, and the canary's 64
					Defaults:     host.PluginConfig{Isolation: isolation, Canary: 1, CanaryTime: time.Hour},
				})
				run := func(input string) error {
					if batch {
						return h.RunBatch(t.Context(), "leak", [][]byte{[]byte(input)})[0].Err
					}
					_, err := h.Run(t.Context(), "leak", []byte(input))
					return err
				}
				deploy(t, h, larger, host.DeployCanary)
				// The pool may have made the canary another instance before the other version grows.
				until(t, "the version beside it has room to grow", func() bool {
					err := run("p")
					if err != nil && !errors.Is(err, host.ErrMemoryBudget) {
						t.Fatal(err)
					}
					return err == nil
				})
				if why := h.CanaryFault("leak"); why != "" {
					t.Errorf("the canary is to be rolled back %s", why)
				}
				if isolation == host.IsolationShared { // so that the canary has no room for an instance
					if err := run("x"); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestBudgetOfTests has a version refused for now whose test the memory budget has no room for. That is no fault of the
// version's, also if it is the error that the test wants of a plugin's own limit.
func TestBudgetOfTests(t *testing.T) {
	for _, want := range []string{`"output": ""`, `"error": "out_of_memory"`} {
		s := handWritten(t, "hostile")
		s.Tests = []byte(`{"transform": "hostile.grow", "input": "!", ` + want + "}\n")
		h, err := host.New(host.Config{Plugins: []host.Source{s}, MemoryBudget: 6 << 20, Defaults: host.PluginConfig{MemoryLimit: 64 << 20, CompileTimeout: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		if e := (*host.LoadError)(nil); !errors.As(err, &e) || e.Step != host.StepSelfTest || !e.Temporary || !errors.Is(err, host.ErrMemoryBudget) {
			t.Errorf("a test with %s: err %v", want, err)
		}
	}
}

// TestGrowthIsTold has a plugin be warned of whose tasks each cost an instance, once.
func TestGrowthIsTold(t *testing.T) {
	var log strings.Builder
	for _, isolation := range []host.Isolation{host.IsolationShared, host.IsolationFrame} {
		log.Reset()
		h := hosted.Start(t, host.Config{
			Plugins: []host.Source{handWritten(t, "hostile")}, Workers: 1,
			Defaults: host.PluginConfig{Isolation: isolation, MemoryLimit: 1 << 30, RunTimeout: time.Minute},
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		})
		for range 200 {
			if _, err := h.Run(t.Context(), "hostile.growok", []byte("!")); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[host.Isolation]int{host.IsolationFrame: 1}[isolation]
		if n := strings.Count(log.String(), "tasks grow their instance's memory"); n != want {
			t.Errorf("isolation %v: told %d times, want %d:\n%s", isolation, n, want, log.String())
		}
	}
}

// TestField has the fields that plugins name be those of their errors.
func TestField(t *testing.T) {
	refuse := ""
	plugin := guest.New(`{"name": "p", "version": "1", "transforms": [{"name": "p", "input": "text/plain", "output": "text/plain"}]}`, func(*guest.Task) error {
		return &abi.FieldError{Field: refuse, Rule: "must be finite: NaN is not"}
	})
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{plugin}})
	for field, want := range map[string]string{
		"a": "a", "nodes[3].a-b.ü": "nodes[3].a-b.ü", "": "", "a b": "", "a:b": "", "a\u00a0b": "", strings.Repeat("x", 257): "",
	} {
		refuse = field
		_, err := h.Run(t.Context(), "p", nil)
		if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindInvalidArgument || e.Message != field+": must be finite: NaN is not" {
			t.Fatalf("%q: err %v", field, err)
		}
		got := (*abi.FieldError)(nil)
		if errors.As(err, &got); got == nil && want != "" || got != nil && (got.Field != want || got.Rule != "must be finite: NaN is not") {
			t.Errorf("%q: field %+v, want %q", field, got, want)
		}
	}
}

// TestTranslatorPanics has a translator with a defect: it refuses a version, not more.
func TestTranslatorPanics(t *testing.T) {
	for name, translate := range map[string]host.Translator{
		"input": func(host.Transform, []byte) ([]byte, func([]byte) ([]byte, error), error) { panic("a defect") },
		"output": func(host.Transform, []byte) ([]byte, func([]byte) ([]byte, error), error) {
			return nil, func([]byte) ([]byte, error) { panic(errors.New("a defect")) }, nil
		},
	} {
		s := handWritten(t, "hostile")
		s.Tests = []byte(`{"transform": "hostile.echo", "input": "", "output": ""}` + "\n")
		h, err := host.New(host.Config{Plugins: []host.Source{s}, Translate: translate})
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		if e := (*host.LoadError)(nil); !errors.As(err, &e) || e.Step != host.StepSelfTest || !strings.Contains(err.Error(), "line 1 of hostile.echo: ") || !strings.HasSuffix(err.Error(), "(Config.Translate) panicked: a defect") {
			t.Errorf("%s: err %v", name, err)
		}
	}
}
