package module_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

const nanA, nanB = 0x7ff8000000000def, 0xfff8000000000abc

func words(w ...uint64) (b []byte) {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// TestVerify has a guest whose self-test ends otherwise in the interpreter refused, by a step of
// its own that has both values.
func TestVerify(t *testing.T) {
	opts := options()
	opts.Verify = true
	_, err := module.Load(t.Context(), read(t, "nan-state"), opts)
	at, differ := (*module.StepError)(nil), (*module.Mismatch)(nil)
	if !errors.As(err, &at) || at.Step != module.StepVerify || !errors.As(err, &differ) {
		t.Fatalf("loading gave %v", err)
	}
	for _, want := range []string{`self-test 0 "two" of nan-state: compiled code and wazero's interpreter answer differently: the state of 8 bytes is "`, "they differ in the bits of NaNs alone"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, state := range [][]byte{differ.Compiled.State, differ.Interpreted.State} {
		if len(state) != 8 || !math.IsNaN(math.Float64frombits(binary.LittleEndian.Uint64(state))) {
			t.Errorf("a state is %x", state)
		}
	}
	opts.Verify = false
	m, err := module.Load(t.Context(), read(t, "nan-state"), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestVerifyCached has what was verified in the cache for the next time, by the tests.
func TestVerifyCached(t *testing.T) {
	opts := options()
	opts.Verify, opts.Cache = true, module.OpenCache(t.TempDir(), 1<<30, opts.Log)
	for i, c := range []struct {
		tests  string
		cached bool
	}{{"", false}, {"", true}, {"other", false}, {"other", true}} {
		opts.Tests = []byte(c.tests)
		m, err := module.Load(t.Context(), read(t, "room"), opts)
		if err != nil {
			t.Fatal(err)
		}
		checker := m.TakeChecker()
		if got := m.Info().Verified; got.Cached != c.cached || got.Tests != map[bool]int{false: 1}[c.cached] || (checker != nil) != (c.tests != "" && !c.cached) {
			t.Errorf("turn %d: %+v", i, got)
		}
		if checker != nil {
			m.Remember()
		}
		if err := errors.Join(checker.Close(context.Background()), m.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}
}

// TestChecker compares calls of a module that serves. Fuel is the same in both engines.
func TestChecker(t *testing.T) {
	for _, interrupt := range []module.Interrupt{module.Metered, module.Runtime, module.Off} {
		opts := options()
		opts.Interrupt = interrupt
		m := load(t, "nan", opts)
		in := instantiate(t, m)
		c, err := m.NewChecker(t.Context(), read(t, "nan"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []struct {
			name   string
			a, b   uint64
			differ bool
		}{
			{"numbers", math.Float64bits(1.5), math.Float64bits(2.25), false},
			{"two NaNs", nanA, nanB, true},
			{"numbers again", math.Float64bits(1e300), math.Float64bits(1e300), false},
			{"a NaN", nanA, math.Float64bits(1), true},
		} {
			call := module.Call{Items: []abi.Item{{Payload: words(s.a, s.b)}}, Results: make([]abi.Result, 1)}
			fuel, err := in.Run(t.Context(), &call)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Check(t.Context(), call, call.Results, fuel)
			if differ := (*module.Mismatch)(nil); errors.As(err, &differ) != s.differ || err != nil && !s.differ {
				t.Errorf("interrupt %v, %s: %v", interrupt, s.name, err)
			}
			if err := c.Check(t.Context(), call, call.Results, fuel+1); interrupt == module.Metered && (err == nil || !s.differ && !strings.Contains(err.Error(), "took")) {
				t.Errorf("%s, with another fuel: %v", s.name, err)
			}
			if !in.Reset() {
				t.Fatal("cannot be reset")
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestCheckerLimits has calls that the interpreter cannot do: they are no mismatch.
func TestCheckerLimits(t *testing.T) {
	opts := options()
	opts.CallDepth = 10_000
	m := load(t, "deep", opts)
	in := instantiate(t, m)
	c, err := m.NewChecker(t.Context(), read(t, "deep"))
	if err != nil {
		t.Fatal(err)
	}
	for _, calls := range []uint32{100, 5000, 100} {
		call := module.Call{Items: []abi.Item{{Payload: binary.LittleEndian.AppendUint32(nil, calls)}}, Results: make([]abi.Result, 1)}
		fuel, err := in.Run(t.Context(), &call)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Check(t.Context(), call, call.Results, fuel)
		if errors.Is(err, module.ErrUnchecked) != (calls > 2000) || err != nil && calls < 2000 {
			t.Errorf("%d calls: %v", calls, err)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCheckerTime has a call for which making the instance left no time. It is not run without end.
func TestCheckerTime(t *testing.T) {
	m := load(t, "nan", options())
	c, err := m.NewChecker(t.Context(), read(t, "nan"))
	if err != nil {
		t.Fatal(err)
	}
	module.Bound(c, time.Nanosecond)
	call := module.Call{Items: []abi.Item{{Payload: words(1, 2)}}, Results: make([]abi.Result, 1)}
	if err := run(t.Context(), instantiate(t, m), 0, call.Items, call.Results); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context(), call, call.Results, 0); !errors.Is(err, module.ErrUnchecked) {
		t.Errorf("a check gave %v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestVerifyUnchecked has self-tests of which the interpreter's answer says nothing, and those
// that depend on them. None is a mismatch, and the next host tries again.
func TestVerifyUnchecked(t *testing.T) {
	for _, c := range []struct {
		guest string
		with  func(*module.Options)
		want  []string
	}{
		{"grow", func(o *module.Options) { o.Budget = module.NewBudget(1 << 20) }, []string{"denied memory that others have"}},
		{"wide", func(o *module.Options) { o.StackLimit = 64 << 10 }, []string{"take more native stack than 65536 bytes", "may depend on an earlier self-test"}},
	} {
		opts := options()
		opts.Verify, opts.Cache = true, module.OpenCache(t.TempDir(), 1<<30, opts.Log)
		c.with(&opts)
		for range 2 {
			got := load(t, c.guest, opts).Info().Verified
			if len(got.Unchecked) != len(c.want) || got.Tests != 0 || got.Cached {
				t.Fatalf("%s: %+v", c.guest, got)
			}
			for i, want := range c.want {
				if err := got.Unchecked[i]; !errors.Is(err, module.ErrUnchecked) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", c.guest, err, want)
				}
			}
		}
	}
}

// TestVerifyTime has the self-tests take all the time that an instance has. That of the
// interpreter is its own.
func TestVerifyTime(t *testing.T) {
	opts := options()
	opts.Verify, opts.InitTimeout = true, 3*time.Second
	lines := 0
	opts.Log = slog.New(&onRecord{Handler: slog.DiscardHandler, do: func() {
		if lines++; lines == 16 { // of the last turn
			<-time.After(opts.InitTimeout)
		}
	}})
	if got := load(t, "log-late", opts).Info().Verified; got.Tests != 1 || lines < 16 {
		t.Errorf("after %d lines: %+v", lines, got)
	}
}

// onRecord does something at each record.
type onRecord struct {
	slog.Handler

	do func()
}

func (h *onRecord) Enabled(context.Context, slog.Level) bool { return true }

func (h *onRecord) Handle(context.Context, slog.Record) error {
	h.do()
	return nil
}

// TestNaN has what the documentation says of NaNs: an engine gives the same bits every time, and
// two need not give the same, with one NaN or two.
func TestNaN(t *testing.T) {
	agree := map[string]bool{"amd64": false, "arm64": true} // by architecture; of others nothing is said
	for _, operands := range [][]byte{words(nanA, nanB), words(nanB, nanA), words(nanA, math.Float64bits(1))} {
		var bits [2]uint64
		for engine, interpret := range []bool{false, true} {
			for turn := range 2 {
				opts := options()
				opts.Interpret = interpret
				in := instantiate(t, load(t, "nan", opts))
				var got [1]abi.Result
				if err := run(t.Context(), in, 0, []abi.Item{{Payload: operands}}, got[:]); err != nil {
					t.Fatal(err)
				}
				b := binary.LittleEndian.Uint64(got[0].Payload)
				if !math.IsNaN(math.Float64frombits(b)) || turn > 0 && b != bits[engine] {
					t.Errorf("interpreter %v: %x is %x, and was %x", interpret, operands, b, bits[engine])
				}
				bits[engine] = b
			}
		}
		if want, known := agree[runtime.GOARCH]; known && (bits[0] == bits[1]) != want {
			t.Errorf("%x is %x by the compiler and %x by the interpreter; want the same: %v", operands, bits[0], bits[1], want)
		}
	}
}

func TestNaNNote(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b []byte
		want bool
	}{
		{"the same", words(nanA), words(nanA), false},
		{"two NaNs", words(1, nanA, 2), words(1, nanB, 2), true},
		{"a NaN and a number", words(nanA), words(math.Float64bits(1)), false},
		{"NaNs and something else", words(nanA, 1), words(nanB, 2), false},
		{"two of 4 bytes", []byte("abc\x00\x01\x00\xc0\x7f"), []byte("abc\x00\x02\x00\xc0\xff"), true},
		{"bytes behind the last number", append(words(nanA), 1), append(words(nanB), 1), true},
		{"other bytes behind the last number", append(words(nanA), 1), append(words(nanB), 2), false},
		{"other lengths", words(nanA), append(words(nanB), 1), false},
		{"nothing", nil, nil, false},
	} {
		if got := module.SameButNaNs(c.a, c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
