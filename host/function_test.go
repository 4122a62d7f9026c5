package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/logtest"
)

const caller = "./testdata/guests/caller"

// TestFunctions has a guest call functions. One host serves all of it, since compiling takes long.
func TestFunctions(t *testing.T) {
	var log logtest.Log
	keep := &keeper{}
	entered := make(chan struct{}, 10)
	type sum struct {
		A, B int
	}
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{{Name: "calls", WASM: guesttest.Build(t, caller)}},
		Workers: 4, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Defaults: host.PluginConfig{
			MaxInput: 4 << 10, MaxOutput: 8 << 10, RunTimeout: 3 * time.Second, Isolation: host.IsolationFrame,
			Functions: []host.Function{
				{Name: "who", Call: func(context.Context, *host.FunctionCall) ([]byte, error) { return []byte("overridden"), nil }},
				{Name: "echo", Call: func(_ context.Context, c *host.FunctionCall) ([]byte, error) { return c.Args[0], nil }},
				host.FunctionJSON("add", func(_ context.Context, in sum) (int, error) {
					if in.A == 0 {
						return 0, errors.New("a must not be 0")
					}
					return in.A + in.B, nil
				}),
			},
		},
		Overrides: map[string]host.PluginConfig{"calls": {Functions: []host.Function{
			{Name: "who", Call: func(_ context.Context, c *host.FunctionCall) ([]byte, error) { return []byte(c.Plugin), nil }},
			{Name: "panic", Call: func(context.Context, *host.FunctionCall) ([]byte, error) { panic("a secret") }},
			{Name: "long", Call: func(context.Context, *host.FunctionCall) ([]byte, error) { return make([]byte, 4<<10+1), nil }},
			{Name: "words", Call: func(context.Context, *host.FunctionCall) ([]byte, error) {
				return nil, errors.New(strings.Repeat("ä", 4<<10))
			}},
			{Name: "keep", Call: keep.call},
			{Name: "wait", Call: func(ctx context.Context, _ *host.FunctionCall) ([]byte, error) {
				entered <- struct{}{}
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}},
		}}},
	})
	t.Run("answer", func(t *testing.T) { functionsAnswer(t, h) })
	if n := strings.Count(log.String(), "a secret"); n != 1 || !strings.Contains(log.String(), "function_test.go") {
		t.Errorf("the panic is logged %d times, or without its stack:\n%s", n, &log)
	}
	t.Run("keep", func(t *testing.T) { functionsKeep(t, h, keep) })
	t.Run("end", func(t *testing.T) { functionsEnd(t, h, entered) })
}

func functionsAnswer(t *testing.T, h *host.Host) {
	for input, want := range map[string]string{
		"echo some text":       "some text",
		"echo":                 "",
		"who":                  "calls",
		`add {"A": 2, "B": 3}`: "5",
		"add {}":               "failed: a must not be 0",
		"add 5":                "failed: its argument is not a host_test.sum: json: cannot unmarshal number into Go value of type host_test.sum",
		"panic":                "failed: it panicked",
		"long":                 "failed: returned 4097 bytes, the limit is 4096 (MaxInput, --max-input)",
		"nobody":               `unknown: there is no function "nobody"; the program that embeds the host offers functions by PluginConfig.Functions`,
	} {
		got, err := h.Run(t.Context(), "caller", []byte(input))
		if e := (*host.Error)(nil); errors.As(err, &e) && e.Kind == host.KindFailed {
			got = []byte("failed: " + e.Message)
		} else if err != nil {
			t.Errorf("%s: %v", input, err)
			continue
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", input, got, want)
		}
	}
	_, err := h.Run(t.Context(), "caller", []byte("words"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindFailed || len(e.Message) > 4<<10 {
		t.Errorf("a long error: %.100v", err)
	}
	got := make(map[string]string)
	for _, f := range h.Stats().Plugins[0].Functions {
		got[f.Name] = fmt.Sprint(f.Calls, " ", f.Failed)
		if f.Calls > 0 && f.Time <= 0 {
			t.Errorf("%+v took no time", f)
		}
	}
	want := map[string]string{"add": "3 2", "echo": "2 0", "keep": "0 0", "long": "1 1", "panic": "1 1", "wait": "0 0", "who": "1 0", "words": "1 1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// keeper has a function that keeps its arguments.
type keeper struct {
	mu   sync.Mutex
	kept [][]byte
}

func (k *keeper) call(_ context.Context, c *host.FunctionCall) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, c.Args[0])
	return c.Args[0], nil
}

// functionsKeep has many guests call at once, in frames, and arguments outlive them.
func functionsKeep(t *testing.T, h *host.Host, k *keeper) {
	inputs := make([][]byte, 200)
	for i := range inputs {
		inputs[i] = fmt.Appendf(nil, "keep %03d", i)
	}
	for i, r := range h.RunBatch(t.Context(), "caller", inputs) {
		if want := fmt.Sprintf("%03d", i); r.Err != nil || string(r.Output) != want {
			t.Errorf("task %d: %q, %v", i, r.Output, r.Err)
		}
	}
	seen := make(map[string]bool)
	for _, kept := range k.kept {
		seen[string(kept)] = true
	}
	if len(seen) != len(inputs) {
		t.Errorf("%d arguments are kept, want %d", len(seen), len(inputs))
	}
}

// functionsEnd has functions that wait end with their task, whatever ends that.
func functionsEnd(t *testing.T, h *host.Host, entered <-chan struct{}) {
	_, err := h.Run(t.Context(), "caller", []byte("wait"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindTimeout {
		t.Errorf("at its timeout: %v", err)
	}
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		<-entered
		cancel()
	})
	_, err = h.Run(ctx, "caller", []byte("wait"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindCancelled {
		t.Errorf("without its caller: %v", err)
	}
	waiting.Wait()
}

// TestWildCalls has guests pass what is not in their memory, and take results that there are not.
func TestWildCalls(t *testing.T) {
	echo := host.Function{Name: "echo", Call: func(_ context.Context, c *host.FunctionCall) ([]byte, error) { return c.Args[0], nil }}
	h := hosted.Start(t, host.Config{
		Plugins:  []host.Source{handWritten(t, "call-wild")},
		Defaults: host.PluginConfig{MaxOutput: 8 << 10, Functions: []host.Function{echo}},
	})
	for transform, want := range map[string]string{
		"name":   "abi: resonhost.call was given bytes 65535 to 65537 of a memory of 65536",
		"arg":    "abi: resonhost.call was given bytes 16 to 4294967311 of a memory of 65536",
		"result": "abi: resonhost.call_result was given bytes 65534 to 65538 of a memory of 65536",
		"twice":  "!!!!",
		"long":   "\x01\x00\x00\x00", // abi.CallFailed
	} {
		got, err := h.Run(t.Context(), "call-wild."+transform, nil)
		if e := (*host.Error)(nil); errors.As(err, &e) {
			got = []byte(string(e.Kind) + ": " + e.Message)
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", transform, got, want)
		}
	}
}

// TestFunctionsAreChecked has configurations refused.
func TestFunctionsAreChecked(t *testing.T) {
	do := func(context.Context, *host.FunctionCall) ([]byte, error) { return nil, nil }
	_, err := host.New(host.Config{StartEmpty: true, Defaults: host.PluginConfig{Functions: []host.Function{
		{Name: "a", Call: do}, {Name: "a", Call: do}, {Call: do}, {Name: "b"},
	}}})
	for _, want := range []string{
		`Defaults.Functions[1].Name: "a" is there twice`, "Defaults.Functions[2].Name: must have 1 to 128 bytes", "Defaults.Functions[3].Call: must be set",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
