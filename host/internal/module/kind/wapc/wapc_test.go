package wapc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/wapc"
	"github.com/resonhost/resonhost/host/internal/module/kindtest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// operations are those of the guest "wapc".
var operations = []string{
	"echo", "fail", "both", "quiet", "nothing", "again", "init", "host", "mname", "log", "oflood", "keep",
	"wild", "yaway", "rinto", "console", "vask", "zhuge", "trap", "xexit", "spin", "panic", "grow", "unknown",
}

// naming is a companion file that names operations of a guest.
func naming(operations []string, tests ...manifest.SelfTest) *companion.File {
	f := &companion.File{Name: "guest", Version: "1.0.0", SelfTests: tests}
	for _, op := range operations {
		f.Transforms = append(f.Transforms, companion.Transform{Name: "guest." + strings.ToLower(op), Operation: op})
	}
	return f
}

func subject(tb testing.TB) kindtest.Subject {
	echo := manifest.SelfTest{Name: "echo", Transform: "guest.echo", Input: manifest.Content("abc"), Output: manifest.Content("abc")}
	return kindtest.Subject{
		Kind: kindtest.With(wapc.Kind{}, naming(operations, echo)), WASM: guesttest.HandWritten(tb, "wapc"),
		Echo: "guest.echo", Leave: "guest.keep", Trap: "guest.trap", Exit: "guest.xexit", Spin: "guest.spin", Grow: []string{"guest.grow"},
	}
}

func TestHandWritten(t *testing.T) { kindtest.Run(t, subject(t)) }

// run runs an operation on items, in an instance of its own.
func run(t *testing.T, m kindtest.Loaded, operation string, payloads ...string) ([]abi.Result, error) {
	t.Helper()
	items, results := make([]abi.Item, len(payloads)), make([]abi.Result, len(payloads))
	for i, p := range payloads {
		items[i].Payload, results[i].Payload = []byte(p), []byte("> ")
	}
	_, err := m.Instance().Run(t.Context(), &module.Call{Transform: m.Index("guest." + operation), Items: items, Results: results, Behind: true})
	return results, err
}

// TestAnswers has what a guest says and what it returns weighed against each other.
func TestAnswers(t *testing.T) {
	m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), options(t))
	for _, c := range []struct {
		operation, payload string
		status             abi.Status
		want               string
	}{
		{"echo", "abc", abi.StatusOK, "> abc"},
		{"nothing", "abc", abi.StatusOK, "> "},
		{"again", "abc", abi.StatusOK, "> abc"},
		{"fail", "abc", abi.StatusFailed, "abc"},
		{"fail", "", abi.StatusFailed, "the guest failed with an empty message"},
		{"fail", strings.Repeat("x", 10_000), abi.StatusFailed, strings.Repeat("x", 4096)},
		{"both", "abc", abi.StatusFailed, "abc"},
		{"quiet", "abc", abi.StatusFailed, "the operation was not successful, and the guest gave no reason"},
		{"unknown", "", abi.StatusFailed, "\uFFFD\x00x\x1b"},
		// _initialize and then wapc_init, each once, and not _start.
		{"init", "", abi.StatusOK, "> " + string(rune('A'+1*4+3))},
		{"host", "", abi.StatusFailed, `the host has no function "kv/store/get"`},
		{"mname", "", abi.StatusFailed, "the name of the binding has 257 bytes, the limit is 256"},
	} {
		got, err := run(t, m, c.operation, c.payload, c.payload)
		for i, r := range got {
			if err != nil || r.Status != c.status || string(r.Payload) != c.want {
				t.Errorf("%s %.10q, item %d: %v %.100q, err %v, want %v %.100q", c.operation, c.payload, i, r.Status, r.Payload, err, c.status, c.want)
			}
		}
	}
}

func options(t *testing.T) module.Options {
	s := subject(t)
	return s.Options()
}

// TestBreaks has pointers outside the memory, and other faults of a guest's.
func TestBreaks(t *testing.T) {
	opts := options(t)
	opts.Frames.MaxOutput = 1 << 19
	m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), opts)
	for operation, want := range map[string]string{
		"wild":    "abi: wapc.__guest_response was given bytes 4294967280 to 4294967344 of a memory of 1179648",
		"yaway":   "abi: wapc.__guest_error was given bytes 16 to 4294967311 of a memory of 1179648",
		"rinto":   "abi: wapc.__guest_request is to write bytes 1179646 to 1179651 of a memory of 1179648",
		"console": "abi: wapc.__console_log was given bytes 1179648 to 1179649 of a memory of 1179648",
		"vask":    "abi: wapc.__host_call was given bytes 1179647 to 1179649 of a memory of 1179648",
		"zhuge":   "abi: __guest_call returned a frame of 1048576 bytes, the limit is 524288 (MaxOutput, --max-output)",
		"panic":   `trap: abort: bad! at ?:3:4`,
	} {
		_, err := run(t, m, operation, "!")
		if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Error() != want || f.Task != (operation == "zhuge") {
			t.Errorf("%s: err %v, want %s", operation, err, want)
		}
	}
	if _, err := run(t, m, "zhuge", "!", "!"); !errors.Is(err, module.ErrOutputSum) {
		t.Errorf("too large outputs of several: err %v", err)
	}
	large := strings.Repeat("x", 300<<10)
	if _, err := run(t, m, "echo", large, large); !errors.Is(err, module.ErrOutputSum) {
		t.Errorf("outputs that are too large together: err %v", err)
	}
}

// TestLog has what a guest logs in the plugin's log, and a flood of it end by the task's fuel.
func TestLog(t *testing.T) {
	opts := options(t)
	log := new(bytes.Buffer)
	opts.Kinds = []contract.Kind{kindtest.With(wapc.Kind{}, naming([]string{"log"}))}
	opts.Log = slog.New(slog.NewTextHandler(log, nil))
	m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), opts)
	if _, err := run(t, m, "log", "a word"); err != nil || !strings.Contains(log.String(), `level=INFO msg="a word"`) {
		t.Errorf("the log is %s, err %v", log, err)
	}
	m = kindtest.Load(t, guesttest.HandWritten(t, "wapc"), options(t))
	_, err := m.Instance().Run(t.Context(), &module.Call{
		Transform: slices.Index(operations, "oflood"), Items: make([]abi.Item, 1), Results: make([]abi.Result, 1), Limits: module.Limits{Fuel: 1_000_000},
	})
	if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.Fuel {
		t.Errorf("a flood: err %v", err)
	}
}

type hostFunction = func(ctx context.Context, args [][]byte) ([]byte, error)

// TestHostCall has calls of the host go to the embedder's functions.
func TestHostCall(t *testing.T) {
	answer := func(_ context.Context, args [][]byte) ([]byte, error) {
		if len(args[len(args)-1]) == 0 {
			return []byte("lost"), errors.New("no key")
		}
		return bytes.Join(args, []byte("|")), nil
	}
	for _, c := range []struct {
		functions map[string]hostFunction
		want      string
	}{
		{map[string]hostFunction{"kv/store/get": answer}, "> x"},
		{map[string]hostFunction{"__host_call": answer}, "> kv|store|get|x"},
		{map[string]hostFunction{"kv/store/get": answer, "__host_call": nil}, "> x"},
	} {
		opts := options(t)
		opts.Embedder.Functions = c.functions
		m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), opts)
		if got, err := run(t, m, "host", "x"); err != nil || got[0].Status != abi.StatusOK || string(got[0].Payload) != c.want {
			t.Errorf("%v %q, err %v, want %q", got[0].Status, got[0].Payload, err, c.want)
		}
		if got, err := run(t, m, "host", ""); err != nil || got[0].Status != abi.StatusFailed || string(got[0].Payload) != "no key" {
			t.Errorf("an error: %v %q, err %v", got[0].Status, got[0].Payload, err)
		}
	}
}

// TestRefuses has what is wrong with a guest and its companion file said at once.
func TestRefuses(t *testing.T) {
	const wanting = "\x00asm\x01\x00\x00\x00" + "\x01\x05\x01\x60\x01\x7f\x00" + "\x02\x18\x01\x04wapc\x0f__guest_request\x00\x00" +
		"\x03\x02\x01\x00" + "\x07\x0d\x01\x09wapc_init\x00\x01" + "\x0a\x04\x01\x02\x00\x0b"
	for name, c := range map[string]struct {
		wasm []byte
		file *companion.File
		want string
	}{
		"no companion": {guesttest.HandWritten(t, "wapc"), new(companion.File), "a guest of waPC does not say which operations it has: name them in guest.plugin.yaml, such as by the line " +
			"transforms: [{name: guest, operation: OPERATION}]"},
		"no transforms": {guesttest.HandWritten(t, "wapc"), &companion.File{Name: "x"}, "a guest of waPC does not say which operations it has: name them in guest.plugin.yaml"},
		"an export": {
			guesttest.HandWritten(t, "wapc"), &companion.File{Transforms: []companion.Transform{{Name: "guest", Export: "echo", Line: 3}}},
			"transforms[0].export: a guest of waPC has operations in place of exports: write operation",
		},
		"a state": {
			guesttest.HandWritten(t, "wapc"), &companion.File{Transforms: []companion.Transform{{Name: "guest", StateBytes: 1, Line: 3}}},
			"transforms[0].state: a guest of waPC has no way to keep a stream's state",
		},
		"its exports": {[]byte(wanting), naming([]string{"echo"}), "imports wapc.__guest_request(i32) → (), the host has __guest_request(i32, i32) → ()\n" +
			"does not export the function __guest_call(i32, i32) → i32\n" +
			"exports wapc_init(i32) → (), want wapc_init() → ()\n" +
			`does not export a memory called "memory"`},
	} {
		opts := options(t)
		opts.Name, opts.Kinds = "guest", []contract.Kind{kindtest.With(wapc.Kind{}, c.file)}
		if _, err := module.Load(t.Context(), c.wasm, opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err %v, want %s", name, err, c.want)
		}
	}
}

// TestOlderProtocol has guests of the protocols before this one told that.
func TestOlderProtocol(t *testing.T) {
	const says = "that is an older protocol of waPC's; build the guest with a current kit"
	for params, older := range map[int]bool{4: true, 5: false, 6: true, 8: false} {
		typ := "\x60" + string(byte(params)) + strings.Repeat("\x7f", params) + "\x01\x7f"
		wasm := "\x00asm\x01\x00\x00\x00" + "\x01" + string(byte(1+len(typ))) + "\x01" + typ + "\x02\x14\x01\x04wapc\x0b__host_call\x00\x00"
		opts := options(t)
		opts.Kinds = []contract.Kind{kindtest.With(wapc.Kind{}, naming([]string{"echo"}))}
		_, err := module.Load(t.Context(), []byte(wasm), opts)
		if err == nil || strings.Contains(err.Error(), says) != older {
			t.Errorf("of %d parameters: %v", params, err)
		}
	}
}

// TestOperation has a transform without an operation named by its own name.
func TestOperation(t *testing.T) {
	opts := options(t)
	opts.Name, opts.Kinds = "echo", []contract.Kind{kindtest.With(wapc.Kind{}, &companion.File{Transforms: []companion.Transform{{Name: "echo"}, {Name: "echo.fail"}}})}
	m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), opts)
	in := m.Instance()
	for at, want := range []abi.Status{abi.StatusOK, abi.StatusFailed} {
		results := make([]abi.Result, 1)
		if _, err := in.Run(t.Context(), &module.Call{Transform: at, Items: []abi.Item{{Payload: []byte("x")}}, Results: results}); err != nil || results[0].Status != want || string(results[0].Payload) != "x" {
			t.Errorf("transform %d: %v %q, err %v", at, results[0].Status, results[0].Payload, err)
		}
	}
}

// TestAllocs has a task take no memory.
func TestAllocs(t *testing.T) {
	opts := options(t)
	m := kindtest.Load(t, guesttest.HandWritten(t, "wapc"), opts)
	in, err := m.Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	items, results := []abi.Item{{Payload: []byte("a payload")}}, make([]abi.Result, 1)
	call := module.Call{Items: items, Results: results, Behind: true, Stateless: true}
	ctx := t.Context()
	for reset, want := range map[bool]float64{false: 0, true: 0} {
		got := testing.AllocsPerRun(100, func() {
			results[0].Payload = results[0].Payload[:0]
			if _, err := in.Run(ctx, &call); err != nil {
				t.Fatal(err)
			}
			if reset {
				in.Reset()
			}
		})
		if got != want {
			t.Errorf("a task takes %v allocations, with a reset %v", got, reset)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}
