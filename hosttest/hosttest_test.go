package hosttest_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/hosttest"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files anew")

// recorder is a test that keeps what it is told.
type recorder struct {
	testing.TB // nil, but for what is here

	ctx      context.Context
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Output() io.Writer        { return io.Discard }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any)        { r.errors = append(r.errors, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record runs a test and returns how it fails.
func record(ctx context.Context, test func(tb testing.TB)) []string {
	r := &recorder{ctx: ctx}
	over := make(chan struct{})
	go func() {
		defer close(over)
		test(r)
	}()
	<-over
	for _, f := range r.cleanups {
		f()
	}
	return r.errors
}

// shout loads a guest that answers with its tag, but fails where the input begins with "!".
func shout(tb testing.TB, file string) *hosttest.Plugin {
	tb.Helper()
	return hosttest.Load(tb, file, host.Config{})
}

// swap writes the file of that guest.
func swap(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "swap.wasm")
	if err := os.WriteFile(file, guesttest.Swap(t, guesttest.Version{Tag: "tag", Mode: 'f'}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// number is how the guest "count" writes one.
func number(n byte) string { return string([]byte{n, 0, 0, 0, 0, 0, 0, 0}) }

func TestCheck(t *testing.T) {
	p := hosttest.Build(t, filepath.Join(guesttest.Root(), "testdata/guests/count"), host.Config{})
	p.Check(t,
		hosttest.Case{Name: "no stream", Output: number(0), MaxFuel: 1_000_000},
		hosttest.Case{Name: "nor after it", Transform: "count", Output: number(0)},
		hosttest.Case{Name: "stream", Stream: "a", Output: number(0)},
		hosttest.Case{Name: "goes on", Stream: "a", Output: number(1)},
		hosttest.Case{Name: "fails", Stream: "a", Input: "fail", Error: host.KindFailed, Message: "as was asked"},
		hosttest.Case{Name: "goes on after that", Stream: "a", Output: number(2)},
		hosttest.Case{Name: "another stream", Stream: "b", Output: number(0)},
		hosttest.Case{Name: "exits", Input: "exit", Error: host.KindExit},
	)
	p.Golden(t, "testdata/count.test.ndjson", *update)
	p.Golden(t, "testdata/count.test.ndjson", false) // with streams of its own
}

func TestCheckFails(t *testing.T) {
	file := swap(t)
	got := record(t.Context(), func(tb testing.TB) {
		shout(tb, file).Check(tb,
			hosttest.Case{Output: "other"},
			hosttest.Case{Input: "!", Output: "tag............."},
			hosttest.Case{Input: "!", Error: host.KindTrap},
			hosttest.Case{Input: "!", Error: host.KindFailed, Message: "else"},
			hosttest.Case{Error: host.KindFailed},
			hosttest.Case{Transform: "swpa"},
			hosttest.Case{Output: "tag.............", MaxFuel: 1},
			hosttest.Case{Output: "tag............."},
			hosttest.Case{Output: "tag.............", Message: "tag"},
		)
		p := hosttest.Load(tb, file, host.Config{
			Defaults:  host.PluginConfig{Interrupt: host.InterruptMetered},
			Overrides: map[string]host.PluginConfig{"swap": {Interrupt: host.InterruptRuntime}},
		})
		p.Check(tb, hosttest.Case{Output: "tag............."}, hosttest.Case{Output: "tag.............", MaxFuel: 1 << 40})
	})
	const failed = "got the error swap: failed: tag............., want "
	want := []string{
		`got "tag.............", want "other"`, failed + "an output", failed + "one of kind trap", failed + `one with "else"`,
		`got the output "tag.............", want an error of kind failed`, "swpa: unknown_transform: ", "burnt ",
		"Message: is for a case with an Error", "MaxFuel: the plugin burns no fuel",
	}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("case %d: %s, want %s", i, got[i], want[i])
		}
	}
	if !strings.HasSuffix(got[6], " fuel, want at most 1") {
		t.Error(got[6])
	}
}

// TestGoldenUpdates has lines without an outcome, or another, be written, and others let be.
func TestGoldenUpdates(t *testing.T) {
	plugin, file := swap(t), filepath.Join(t.TempDir(), "swap.test.ndjson")
	const (
		before = `{"name": "kept", "transform": "swap", "input": "x", "output": "tag............."}

{"transform": "swap", "input": "<x>", "stream": "a"}
{"name": "another", "transform": "swap", "input": "x", "error": "trap"}
{"name": "refused", "transform": "swap", "input": 1}
{"name": "failed", "transform": "swap", "input": "!", "output": "x"}
`
		after = `{"name": "kept", "transform": "swap", "input": "x", "output": "tag............."}

{"transform":"swap","stream":"a","input":"<x>","output":"tag............."}
{"name":"another","transform":"swap","input":"x","output":"tag............."}
{"name":"refused","transform":"swap","input":1,"error":"invalid_argument"}
{"name":"failed","transform":"swap","input":"!","error":"failed"}
`
	)
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden := func(update bool) []string {
		return record(t.Context(), func(tb testing.TB) { shout(tb, plugin).Golden(tb, file, update) })
	}
	write(before)
	const neither = "has neither output nor error yet: update the golden file, and look at what it has then"
	want := []string{
		"3: " + neither, `4: got "tag.............", want an error of kind trap`,
		"5: " + neither, `6: got the error swap: failed: tag............., want "x"`,
	}
	got := golden(false)
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != file+": line "+want[i] {
			t.Errorf("%s, want %s", got[i], want[i])
		}
	}
	if got := golden(true); len(got) > 0 {
		t.Errorf("while updating: %q", got)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != after {
		t.Errorf("updated to\n%s\nwant\n%s", b, after)
	}
	if got := golden(false); len(got) > 0 {
		t.Errorf("after updating: %q", got)
	}
	write("\ufeff" + after)
	if got := golden(false); len(got) > 0 {
		t.Errorf("with a byte order mark: %q", got)
	}
	write("\xff\xfe{\x00")
	if got := golden(false); len(got) != 1 || got[0] != file+": the text is UTF-16, and must be UTF-8" {
		t.Errorf("in UTF-16: %q", got)
	}
	for text, want := range map[string]string{
		`{`: "is cut off", `{"transform": "x"}`: `must have "transform" and "input"`, `{"transform": "x", "inputs": 1}`: "inputs: is not a known member",
		`{"transform": "x", "input": 1} 2`: "something follows", `{"transform": "x", "input": 1, "output": 1, "error": "trap"}`: "either",
		`{"transform": "x", "input": 1}`: "unknown_transform",
	} {
		write("\n" + text)
		if got := golden(true); len(got) != 1 || !strings.HasPrefix(got[0], file+": line 2: ") || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q, want %s", text, got, want)
		}
	}
}

// TestLoad has a plugin's file be loaded without the tests beside it, and held to limits.
func TestLoad(t *testing.T) {
	file := swap(t)
	if err := os.WriteFile(strings.TrimSuffix(file, ".wasm")+".test.ndjson", []byte("no tests"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := hosttest.Load(t, file, host.Config{Defaults: host.PluginConfig{MaxFuel: 1}})
	p.Check(t, hosttest.Case{Error: host.KindOutOfFuel})
	if got := p.Host().Plugins(); len(got) != 1 || got[0].Source != "swap" {
		t.Errorf("%v", got)
	}
}

// TestCannotLoad has what cannot be tested end the test, and say why.
func TestCannotLoad(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.wasm")
	if err := os.WriteFile(broken, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		test func(tb testing.TB)
		want string
	}{
		"no file":    {func(tb testing.TB) { hosttest.Load(tb, "none.wasm", host.Config{}) }, "none.wasm"},
		"no plugin":  {func(tb testing.TB) { hosttest.Load(tb, broken, host.Config{}) }, "plugin broken: "},
		"no package": {func(tb testing.TB) { hosttest.Build(tb, t.TempDir(), host.Config{}) }, "GOOS=wasip1 GOARCH=wasm go build"},
		"inline":     {func(tb testing.TB) { hosttest.Load(tb, broken, host.Config{Mode: host.ModeInline}) }, "in the sandbox"},
		"config":     {func(tb testing.TB) { hosttest.Load(tb, broken, host.Config{Workers: -1}) }, "Workers"},
	} {
		got := record(t.Context(), func(tb testing.TB) {
			c.test(tb)
			tb.Error("went on")
		})
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
	}
}

// TestConform has a plugin that keeps the contract pass.
func TestConform(t *testing.T) {
	hosttest.Conform(t, filepath.Join(guesttest.Root(), "testdata/guests/hostile.wasm"), host.Config{Defaults: host.PluginConfig{RunTimeout: time.Second}})
}
