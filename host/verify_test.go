package host_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
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

// inBase64 is Config.JSON for bytes.
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
	return start(t, cfg)
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
	if err := h.Resume("nan"); err != nil {
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
		c.Plugins[0].WASM = append(c.Plugins[0].WASM, 0, 2, 1, 'x') // a section that does nothing
	})
	deploy(t, h, handWritten(t, "nan"), host.ReloadCanary)
	if _, err := h.Run(t.Context(), "nan", apart); err != nil {
		t.Fatal(err)
	}
	until(t, "the canary is rolled back", func() bool { return h.Plugins()[0].Canary == nil })
	if _, err := h.Run(t.Context(), "nan", alike); err != nil || h.Plugins()[0].Paused {
		t.Errorf("the version beside it: %v", err)
	}
}

// TestVerifyLeavesOut has what cannot be compared left out, and counted.
func TestVerifyLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*host.Config)
		input  []byte
		want   host.VerifyStats
	}{
		"shared":      {func(c *host.Config) { c.Defaults.Isolation = host.IsolationShared }, apart, host.VerifyStats{}},
		"clock":       {func(c *host.Config) { c.Defaults.Grant = []host.Grant{host.GrantClock} }, apart, host.VerifyStats{}},
		"interpreter": {func(c *host.Config) { c.Defaults.Engine = host.EngineInterpreter }, apart, host.VerifyStats{}},
		"self-tests":  {func(c *host.Config) { c.Defaults.Verify = host.VerifySelfTests }, apart, host.VerifyStats{}},
		"every other": {func(c *host.Config) { c.Defaults.VerifyEvery = 2 }, alike, host.VerifyStats{Checks: 2}},
		"another guest": {func(c *host.Config) {
			c.Plugins = []host.Source{handWritten(t, "hostile")}
			c.Defaults.MaxInput, c.Defaults.MaxOutput = 8<<20, 8<<20
		}, nil, host.VerifyStats{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := sampling(t, c.change)
			transform := "nan"
			if c.input == nil {
				transform, c.input = "hostile.echo", make([]byte, 200<<10)
				c.want.Checks = 4
			}
			for range 4 {
				if _, err := h.Run(t.Context(), transform, c.input); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "the tasks are compared", func() bool { s := verified(h); return s.Checks+s.Skipped+s.Dropped >= c.want.Checks })
			if got := verified(h); got != c.want {
				t.Errorf("counted %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestVerifyTests has the tests that come with a version compared. One that expects what compiled
// code answers, bits of a NaN, passes there and is refused.
func TestVerifyTests(t *testing.T) {
	ctx := t.Context()
	cfg := host.Config{Plugins: []host.Source{handWritten(t, "nan")}, JSON: inBase64, CacheDir: t.TempDir(), Defaults: host.PluginConfig{Verify: host.VerifyOff}}
	h := start(t, cfg)
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
	if _, err := host.Validate(ctx, s, cfg); err != nil {
		t.Errorf("with verify off: %v", err)
	}
	for range 2 { // the cache has what was verified, and not what was refused
		cfg.Defaults.Verify = host.VerifySelfTests
		s.Tests = same
		if _, err := host.Validate(ctx, s, cfg); err != nil {
			t.Error(err)
		}
		s.Tests = slices.Concat(same, differs)
		_, err := host.Validate(ctx, s, cfg)
		at := (*host.LoadError)(nil)
		if !errors.As(err, &at) || at.Step != host.StepVerify || !strings.Contains(err.Error(), "tests: line 2 of nan: compiled code and wazero's interpreter answer differently: the output of 8 bytes") ||
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
