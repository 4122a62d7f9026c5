package module_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/kind"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const guests = "../../../testdata/guests"

func read(tb testing.TB, guest string) []byte {
	tb.Helper()
	wasm, err := os.ReadFile(filepath.Join(guests, guest+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// options have limits of time that a machine meets that is ten times slower, under the race
// detector. Whoever tests such a limit sets it.
func options() module.Options {
	return module.Options{
		Kinds: kind.All(), MemoryLimit: 16 << 20, Frames: module.FrameLimits{MaxInput: 1 << 20, MaxOutput: 4 << 20},
		LogBytesPerSecond: 4 << 10, InitTimeout: time.Hour,
		Interrupt: module.Metered, CallDepth: 1000, StackLimit: 16 << 20, Log: slog.New(slog.DiscardHandler),
		Budget: module.NewBudget(1 << 30), CompileTimeout: time.Hour,
	}
}

func load(t *testing.T, guest string, opts module.Options) *module.Module {
	t.Helper()
	m, err := module.Load(t.Context(), read(t, guest), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func instantiate(t *testing.T, m *module.Module) *module.Instance {
	t.Helper()
	in, err := m.Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func run(ctx context.Context, in *module.Instance, transform int, items []abi.Item, results []abi.Result) error {
	_, err := in.Run(ctx, &module.Call{Transform: transform, Items: items, Results: results})
	return err
}

func index(t *testing.T, m *module.Module, transform string) int {
	t.Helper()
	for i, spec := range m.Info().Manifest.Transforms {
		if spec.Name == transform {
			return i
		}
	}
	t.Fatalf("no transform %s", transform)
	return 0
}

// TestLoadRefuses has every guest that must not become a plugin, with a part of
// what is said of it, on both engines.
func TestLoadRefuses(t *testing.T) {
	for guest, want := range map[string]string{
		"empty":            "the file is empty",
		"text":             "not a WebAssembly module of version 1",
		"component":        "a WebAssembly component, where a core module is wanted",
		"component-draft":  "a WebAssembly component, where a core module is wanted",
		"truncated":        "binary, byte 387: ends too early",
		"no-memory":        `does not export a memory called "memory"`,
		"command":          "exports _start and no _initialize",
		"no-run":           "does not export the function resonhost_run(i32, i32, i32) → i64",
		"bad-signature":    "exports resonhost_run(i32, i32) → i64, want resonhost_run(i32, i32, i32) → i64",
		"abi-2":            "speaks version 2 of the plugin contract, the host speaks 1",
		"unknown-import":   "imports env.foo, which the host does not grant",
		"import-memory":    "imports the memory env.memory, which the host does not grant",
		"import-wild-wasi": "imports wasi_snapshot_preview1.fd_write(i64) → i64, the host has fd_write(",
		"big-memory":       "needs 4294967296 bytes of memory, the limit is 16777216",
		"start-trap":       "instantiate: trap: the module's start: start function[5] failed: wasm error: unreachable",
		"start-spin":       "instantiate: timeout: the module's start ran past its deadline",
		"init-trap":        "instantiate: trap: _initialize: unreachable",
		"init-spin":        "instantiate: timeout: _initialize ran past its deadline",
		"init-exit":        "instantiate: exit: _initialize ended the module with exit code 0",
		"describe-trap":    "trap: resonhost_describe: unreachable",
		"describe-spin":    "timeout: resonhost_describe ran past its deadline",
		"describe-wild":    "abi: resonhost_describe returned bytes",
		"describe-huge":    "its manifest has 4294967280 bytes, the limit is 262144",
		"describe-long":    "its manifest has 300000 bytes, the limit is 262144",
		"describe-notjson": "manifest: document: is not valid JSON, near byte 2: invalid character",
		"describe-bomb":    "manifest: ",
		"no-startup": "no-startup fails at an empty input (trap: resonhost_run: unreachable): its constructors run at each call, since it was linked " +
			"without a start-up object (-Wl,--no-entry or -nostartfiles): link it with clang -mexec-model=reactor, which exports _initialize",
		"elem-outside":   "element section, byte 176: segment 0 ends at entry 4, and its table at 3",
		"selftest-fails": "self-test 0",
	} {
		t.Run(guest, func(t *testing.T) {
			wasm := read(t, guest)
			for _, interpret := range []bool{false, true} {
				opts := options()
				opts.Interpret = interpret
				if strings.HasSuffix(guest, "-spin") {
					opts.InitTimeout = time.Second
				}
				m, err := module.Load(t.Context(), wasm, opts)
				if err == nil {
					_ = m.Close(t.Context())
					t.Fatalf("interpret %v: it was loaded", interpret)
				}
				if !strings.HasPrefix(err.Error(), want) {
					t.Errorf("interpret %v: error %q, want it to begin with %q", interpret, err, want)
				}
			}
		})
	}
}

// TestEmptyInput has plugins without self-tests that fail at an empty input: they load, with a warning.
func TestEmptyInput(t *testing.T) {
	warnings := func(guest string, opts module.Options) []string {
		m, err := module.Load(t.Context(), read(t, guest), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.Close(t.Context()) }()
		return m.Info().Warnings
	}
	off := options()
	off.Interrupt = module.Off
	for _, c := range []struct {
		guest string
		opts  module.Options
		want  string
	}{
		{"traps", options(), "[traps fails at an empty input (trap: resonhost_run: unreachable), and has no self-test that shows at which it does not]"},
		{"traps", off, "[]"}, // an endless loop would never end
		{"no-startup", off, "[its constructors run at each call, since it was linked without a start-up object (-Wl,--no-entry or -nostartfiles): " +
			"link it with clang -mexec-model=reactor, which exports _initialize]"},
		{"hostile", options(), "[]"}, // it takes an empty input
		{"room", options(), "[]"},    // it has a self-test
	} {
		if got := fmt.Sprint(warnings(c.guest, c.opts)); got != c.want {
			t.Errorf("%s: %s, want\n%s", c.guest, got, c.want)
		}
	}
}

func TestLoadJoinsAllFaults(t *testing.T) {
	opts := options()
	opts.MemoryLimit = 1
	_, err := module.Load(t.Context(), read(t, "no-run"), opts)
	if err == nil || !strings.Contains(err.Error(), "does not export") || !strings.Contains(err.Error(), "bytes of memory") {
		t.Errorf("error %v, want both faults", err)
	}
}

// TestRun has every misbehaviour at a call, on both engines.
func TestRun(t *testing.T) {
	type want struct {
		kind    module.FaultKind
		message string // its beginning
		status  abi.Status
		ok      bool // no fault
	}
	fault := func(k module.FaultKind, message string) want { return want{kind: k, message: message} }
	for transform, want := range map[string]want{
		"echo":        {ok: true},
		"trap":        fault(module.Trap, "resonhost_run: unreachable"),
		"oob":         fault(module.Trap, "resonhost_run: out of bounds memory access"),
		"divide":      fault(module.Trap, "resonhost_run: integer divide by zero"),
		"indirect":    fault(module.Trap, "resonhost_run: invalid table access"),
		"wrongtype":   fault(module.Trap, "resonhost_run: indirect call type mismatch"),
		"exit":        fault(module.Exit, "resonhost_run ended the module with exit code 3"),
		"exitzero":    fault(module.Exit, "resonhost_run ended the module with exit code 0"),
		"spin":        fault(module.Timeout, "resonhost_run ran past its deadline"),
		"fill":        fault(module.Timeout, "resonhost_run ran past its deadline"),
		"recurse":     fault(module.Trap, "resonhost_run: calls nest deeper than 1000, the limit (MaxCallDepth, --max-call-depth)"),
		"grow":        fault(module.OutOfMemory, "resonhost_run wanted memory of 17825792 bytes, the limit is 16777216 (MemoryLimit, --memory-limit)"),
		"growok":      {ok: true},
		"wildptr":     fault(module.ABI, "resonhost_run returned bytes"),
		"wraplen":     fault(module.ABI, "resonhost_run returned"),
		"nothing":     fault(module.ABI, "resonhost_run: malformed frame: it has 0 bytes, its header alone has 8"),
		"shortframe":  fault(module.ABI, "resonhost_run: malformed frame: it has 4 bytes, its header alone has 8"),
		"badmagic":    fault(module.ABI, "resonhost_run: malformed frame: magic number"),
		"hugecount":   fault(module.ABI, "resonhost_run: malformed frame: count at byte 4: 4294967295 items have headers of"),
		"fewer":       fault(module.ABI, "resonhost_run returned 0 results for 1 items"),
		"more":        fault(module.ABI, "resonhost_run returned 2 results for 1 items"),
		"trailing":    fault(module.ABI, "resonhost_run: malformed frame: it must end at byte "),
		"badstatus":   fault(module.ABI, "resonhost_run: malformed frame: item 0: status at byte 8: must be 0 to 2, is 7"),
		"reserved":    fault(module.ABI, "resonhost_run: malformed frame: item 0: reserved field at byte 20: must be 0, is "),
		"hugelen":     fault(module.ABI, "resonhost_run: malformed frame: item 0: length of the payload at byte 12: 4294967295 bytes from byte 24 on, of which "),
		"badutf8":     {ok: true, status: abi.StatusFailed},
		"escapes":     {ok: true, status: abi.StatusFailed},
		"longmessage": {ok: true, status: abi.StatusFailed},
		"hugestate":   fault(module.ABI, "resonhost_run: item 0 has a state of 1024 bytes, the manifest states 8"),
		"log":         fault(module.ABI, "resonhost.log was given bytes"),
		"loglevel":    {ok: true},
		"logflood":    {ok: true},
		"write":       {ok: true},
		"writewild":   {ok: true},
	} {
		t.Run(transform, func(t *testing.T) {
			for _, interpret := range []bool{false, true} {
				opts := options()
				opts.Interpret = interpret
				m := load(t, "hostile", opts)
				in := instantiate(t, m)
				timeout := time.Minute
				if want.kind == module.Timeout {
					timeout = 20 * time.Millisecond
				}
				var results [1]abi.Result
				i := index(t, m, "hostile."+transform)
				_, err := in.Run(t.Context(), &module.Call{
					Transform: i, Items: []abi.Item{{Payload: []byte("!")}}, Results: results[:],
					Limits: module.Limits{Timeout: timeout},
				})
				if want.ok {
					if err != nil || results[0].Status != want.status {
						t.Errorf("interpret %v: status %v, err %v", interpret, results[0].Status, err)
					}
				} else {
					f := (*module.Fault)(nil)
					if !errors.As(err, &f) || f.Kind != want.kind || !strings.HasPrefix(f.Message, want.message) {
						t.Errorf("interpret %v: err %v, want %v: %s", interpret, err, want.kind, want.message)
					}
					if want.kind == module.Trap && !strings.Contains(f.Stack, "(i32,i32) i32") {
						t.Errorf("interpret %v: a trap without a stack: %q", interpret, f.Stack)
					}
					if strings.Contains(f.Stack, meter.ImportModule) { // nothing that an author knows
						t.Errorf("interpret %v: a stack with the host's own frames: %q", interpret, f.Stack)
					}
					in = instantiate(t, m)
				}
				err = run(t.Context(), in, i, []abi.Item{{Payload: []byte("fine")}}, results[:])
				if err != nil || string(results[0].Payload) != "fine" {
					t.Errorf("interpret %v: the next call: %q, err %v", interpret, results[0].Payload, err)
				}
			}
		})
	}
}

func TestRunAlloc(t *testing.T) {
	for guest, want := range map[string]string{
		"refuse-alloc":    "abi: resonhost_alloc refuses a frame of 32 bytes",
		"wild-alloc":      "abi: resonhost_alloc returned bytes 4294967288 to 4294967320 for a frame, of a memory of ",
		"edge-alloc":      "abi: resonhost_alloc returned bytes ",
		"unaligned-alloc": "abi: resonhost_alloc returned 32772, and must return a multiple of 8",
	} {
		t.Run(guest, func(t *testing.T) {
			in := instantiate(t, load(t, guest, options()))
			var results [1]abi.Result
			err := run(t.Context(), in, 0, []abi.Item{{Payload: []byte("123456789")}}, results[:])
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("err %v, want %q", err, want)
			}
		})
	}
}

func TestRunBounds(t *testing.T) {
	opts := options()
	opts.Frames = module.FrameLimits{MaxInput: 64, MaxOutput: 64}
	m := load(t, "hostile", opts)
	in := instantiate(t, m)
	echo := index(t, m, "hostile.echo")
	var results [1]abi.Result
	err := run(t.Context(), in, echo, []abi.Item{{Payload: make([]byte, 64)}}, results[:])
	if !errors.Is(err, module.ErrInputSize) {
		t.Errorf("err %v, want ErrInputSize", err)
	}
	// An output frame has 8 bytes more for each item than its input.
	err = run(t.Context(), in, echo, []abi.Item{{Payload: make([]byte, 48)}}, results[:])
	if want := "abi: resonhost_run returned a frame of 72 bytes, the limit is 64 (MaxOutput, --max-output)"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %q", err, want)
	}
}

func TestMessagesAreBoundedText(t *testing.T) {
	m := load(t, "hostile", options())
	in := instantiate(t, m)
	var results [1]abi.Result
	for _, transform := range []string{"hostile.badutf8", "hostile.longmessage"} {
		if err := run(t.Context(), in, index(t, m, transform), []abi.Item{{Payload: []byte("!")}}, results[:]); err != nil {
			t.Fatal(err)
		}
		if got := results[0].Payload; len(got) > 4<<10 || !bytes.Equal(got, bytes.ToValidUTF8(got, nil)) {
			t.Errorf("%s: a message of %d bytes: %.40q", transform, len(got), got)
		}
	}
}

func TestLogIsLimited(t *testing.T) {
	for _, transform := range []string{"hostile.logflood", "hostile.write"} {
		t.Run(transform, func(t *testing.T) {
			var out logtest.Log
			opts := options()
			opts.Log = slog.New(slog.NewTextHandler(&out, nil))
			m := load(t, "hostile", opts)
			in := instantiate(t, m)
			var results [1]abi.Result
			if err := run(t.Context(), in, index(t, m, transform), []abi.Item{{Payload: []byte("!")}}, results[:]); err != nil {
				t.Fatal(err)
			}
			// What passes is the burst and a second's allowance or two, each
			// line with its time and level; what was asked for is 10 MB.
			if n := len(out.String()); n == 0 || n > 1<<20 {
				t.Errorf("%d bytes of log", n)
			}
			if m.LogDropped() < 5<<20 {
				t.Errorf("%d bytes dropped, want most of 10 MB", m.LogDropped())
			}
			if n := strings.Count(out.String(), "the plugin logs more than it may"); n < 1 {
				t.Errorf("the drop was logged %d times", n)
			}
		})
	}
}

func TestLogEscapesWhatGuestsWrite(t *testing.T) {
	var out logtest.Log
	opts := options()
	opts.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.Level(-100)}))
	m := load(t, "hostile", opts)
	in := instantiate(t, m)
	var results [1]abi.Result
	if err := run(t.Context(), in, index(t, m, "hostile.loglevel"), []abi.Item{{Payload: []byte("!")}}, results[:]); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\x00\x1b") {
		t.Errorf("log %q, want one line without control characters", got)
	}
}

func TestInfo(t *testing.T) {
	wasm := read(t, "hostile")
	info := load(t, "hostile", options()).Info()
	if info.Size != len(wasm) || len(info.Hash) != 64 || info.Memory != 4<<20 {
		t.Errorf("size %d, hash %s, memory %d", info.Size, info.Hash, info.Memory)
	}
	if want := "resonhost_run(i32, i32, i32) → i64"; info.Exports[len(info.Exports)-1] != want {
		t.Errorf("exports %q, want %q last", info.Exports, want)
	}
	if want := "resonhost.log(i32, i32, i32) → ()"; info.Imports[0] != want {
		t.Errorf("imports %q, want %q first", info.Imports, want)
	}
}

// FuzzLoad changes bytes of good plugins: whatever comes out must load or be
// refused within the limits, and never end the process.
func FuzzLoad(f *testing.F) {
	for _, guest := range []string{"hostile", "leak", "init-trap", "describe-wild", "no-run"} {
		f.Add(read(f, guest), true)
		f.Add(read(f, guest), false)
	}
	f.Fuzz(func(t *testing.T, wasm []byte, interpret bool) {
		opts := options()
		opts.Interpret = interpret
		if len(wasm) > 64<<10 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		m, err := module.Load(ctx, wasm, opts)
		if err != nil {
			return
		}
		defer m.Close(context.Background())
		in, err := m.Instantiate(ctx)
		if err != nil {
			return
		}
		var results [1]abi.Result
		_ = run(ctx, in, 0, []abi.Item{{Payload: []byte("abc")}}, results[:])
	})
}

func BenchmarkRunEcho(b *testing.B) {
	for _, c := range []struct {
		name      string
		interrupt module.Interrupt
		reset     bool
	}{
		{"metered,pristine", module.Metered, true},
		{"metered,shared", module.Metered, false},
		{"runtime,shared", module.Runtime, false},
		{"off,shared", module.Off, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			opts := options()
			opts.Interrupt = c.interrupt
			m, err := module.Load(b.Context(), read(b, "hostile"), opts)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close(context.Background())
			in, err := m.Instantiate(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			items, results := []abi.Item{{Payload: make([]byte, 64)}}, make([]abi.Result, 1)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if err := run(ctx, in, 0, items, results); err != nil {
					b.Fatal(err)
				}
				if c.reset && !in.Reset() {
					b.Fatal("cannot be reset")
				}
			}
		})
	}
}

// TestInterpreterDepth has what --engine and host.EngineInterpreter promise, which is
// wazero's to keep.
func TestInterpreterDepth(t *testing.T) {
	const most = 2000
	wasm := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x05\x01\x60\x01\x7f\x00" + "\x03\x02\x01\x00" + "\x07\x05\x01\x01f\x00\x00" +
		"\x0a\x10\x01\x0e\x00\x20\x00\x04\x40\x20\x00\x41\x01\x6b\x10\x00\x0b\x0b") // f(n): if n != 0, f(n - 1)
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	f := m.ExportedFunction("f")
	if _, err := f.Call(ctx, most-1); err != nil {
		t.Errorf("%d calls: %v", most, err)
	}
	if _, err := f.Call(ctx, most); err == nil || !strings.Contains(err.Error(), "stack overflow") {
		t.Errorf("%d calls: %v", most+1, err)
	}
}
