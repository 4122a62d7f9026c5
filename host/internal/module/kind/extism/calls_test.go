package extism_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestAnswers has what each function of the kits' does.
func TestAnswers(t *testing.T) {
	var log bytes.Buffer
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) {
		o.Companion = []byte("name: x\nconfig: {lang: en, empty: \"\"}")
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const ok, failed = abi.StatusOK, abi.StatusFailed
	for _, c := range []struct {
		transform, input string
		status           abi.Status
		output           string
	}{
		{"noop", "abc", ok, ""},
		{"echo", "abcdefghijk", ok, "abcdefghijk"},
		{"began", "", ok, "001"},
		{"config", "lang", ok, "en"},
		{"config", "empty", ok, ""},
		{"config", "none", ok, ""},
		{"fill", "abc", ok, "abc"},
		{"remove", "", ok, ""},
		{"count", "", ok, "001"},
		{"empty", "", ok, "greeting"},
		{"log", "words", ok, "000"},
		{"fail", "why", failed, "why"},
		{"fail", "\xff", failed, "\uFFFD"},
		{"fail", strings.Repeat("x", 5000), failed, strings.Repeat("x", 4096)},
		{"failzero", "", failed, "no luck"},
		{"failcode", "", failed, "failcode returned -3"},
		{"done", "abc", ok, "abc"},
		{"freed", "abc", ok, "abc"},
		{"lastword", "abc", ok, "c" + strings.Repeat("\x00", 15)},
		{"lengths", "abc", ok, "003"},
		{"http", `{"url": "http://example.com"}`, failed, "http_request: this host sends no requests for its plugins"},
		{"headers", `{"url": "http://example.com"}`, failed, "http_request: this host sends no requests for its plugins"},
	} {
		got, err := m.run(t, "x."+c.transform, item(c.input))
		if err != nil || got[0].Status != c.status || string(got[0].Payload) != c.output {
			t.Errorf("%s(%.20q) is %v %.100q, err %v; want %v %.100q", c.transform, c.input, got[0].Status, got[0].Payload, err, c.status, c.output)
		}
	}
	for _, line := range []string{"level=DEBUG", "level=INFO", "level=WARN", "level=ERROR"} {
		if !strings.Contains(log.String(), line+" msg=words source=log") {
			t.Errorf("no line of %s is logged:\n%s", line, &log)
		}
	}
}

// TestHostile has what a guest must not do.
func TestHostile(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), nil)
	for transform, want := range map[string]string{
		"wildloadend":   "trap: wildloadend: out of bounds memory access",
		"wildstorebyte": "trap: wildstorebyte: out of bounds memory access",
		"wildroot":      "trap: wildroot: out of bounds memory access",
		"wildoutput":    "abi: wildoutput returned a frame of 8388607 bytes, the limit is 4194304 (MaxOutput, --max-output)",
		"wildoutputfar": "abi: output_set was given 8 bytes at the offset 4294968320, of a memory of 1048576",
		"hugeoutput":    "abi: hugeoutput returned a frame of 18446744073709551615 bytes, the limit is 4194304 (MaxOutput, --max-output)",
		"wildkey":       "abi: config_get was given the offset 12345, which is no block of memory",
		"wildlog":       "abi: log_info was given the offset 18446744073709551600, which is no block of memory",
		"spoil":         "trap: spoil: unreachable",
		"spoilhost":     "abi: wrote into a block of memory that it had freed",
	} {
		_, err := m.run(t, "x."+transform, item(""))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", transform, err, want)
		}
	}
	if got, err := m.run(t, "x.wilderror", item("")); err != nil || got[0].Status != abi.StatusOK {
		t.Errorf("an error that is none: %v, %v", got, err)
	}
}

// TestReuse has blocks that are freed used again, by the guest and by the host.
func TestReuse(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), nil)
	in := m.Instance()
	if got, err := m.runIn(t, in, "x.reuse", item("")); err != nil || got[0].Status != abi.StatusOK || in.Grown() {
		t.Errorf("%v, err %v; the memory has grown: %v", got, err, in.Grown())
	}
}

// TestFull has a guest whose memory is full ask for what the host makes, such as a variable's value.
func TestFull(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), nil)
	_, err := m.run(t, "x.getfull", item(""))
	f := (*module.Fault)(nil)
	if !errors.As(err, &f) || f.Kind != module.OutOfMemory || !strings.Contains(f.Message, "getfull wanted memory of ") ||
		!strings.Contains(f.Message, "the limit is 16777216 (MemoryLimit, --memory-limit)") || f.Stack == "" {
		t.Errorf("%v", err)
	}
	functions := map[string]func(context.Context, [][]byte) ([]byte, error){
		"note":  func(context.Context, [][]byte) ([]byte, error) { return nil, nil },
		"join":  func(context.Context, [][]byte) ([]byte, error) { return nil, nil },
		"shout": func(context.Context, [][]byte) ([]byte, error) { return make([]byte, 17<<20), nil },
	}
	m = load(t, guesttest.HandWritten(t, "extism-user"), func(o *module.Options) { o.Embedder.Functions = functions })
	if _, err := m.run(t, "x.shout", item("")); !errors.As(err, &f) || f.Kind != module.OutOfMemory {
		t.Errorf("a function's result: %v", err)
	}
}

// TestNoMemory has a guest without a memory call a function of WASI that is to write there.
func TestNoMemory(t *testing.T) {
	wasm := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x0d\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x01\x7f" +
		"\x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x00" + "\x03\x02\x01\x01" + "\x07\x07\x01\x03run\x00\x01" +
		"\x0a\x0e\x01\x0c\x00\x41\x01\x41\x00\x41\x01\x41\x00\x10\x00\x0b")
	m := load(t, wasm, func(o *module.Options) { o.Companion = []byte("name: x\nkind: extism") })
	const want = "abi: a function of wasi_snapshot_preview1 is called by a guest that has no memory"
	if _, err := m.run(t, m.Info().Manifest.Transforms[0].Name, item("")); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestSpent has an instance go whose guest ended itself, or was ended by a function of the host's,
// though the task has an answer.
func TestSpent(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), nil)
	for transform, spent := range map[string]bool{"echo": false, "fail": false, "done": true, "http": true} {
		in := m.Instance()
		if _, err := m.runIn(t, in, "x."+transform, item("{}")); err != nil || in.Usable() == spent || in.Reset() == spent {
			t.Errorf("%s: usable %v, err %v", transform, in.Usable(), err)
		}
	}
	// Other items need another instance: that of each is for the caller to find.
	if _, err := m.run(t, "x.done", item("a"), item("b")); err == nil {
		t.Error("a frame goes on after the guest has ended itself")
	}
}

// TestUserFunctions has the embedder's functions called.
func TestUserFunctions(t *testing.T) {
	var noted []string
	functions := map[string]func(context.Context, [][]byte) ([]byte, error){
		"note": func(_ context.Context, args [][]byte) ([]byte, error) {
			noted = append(noted, string(args[0]))
			return nil, nil
		},
		"join": func(_ context.Context, args [][]byte) ([]byte, error) { return bytes.Join(args, []byte("+")), nil },
		"shout": func(ctx context.Context, args [][]byte) ([]byte, error) {
			switch string(args[0]) {
			case "error":
				return nil, errors.New("no voice")
			case "panic":
				panic("very secret")
			case "wait":
				<-ctx.Done()
				return nil, ctx.Err()
			case "long":
				return bytes.Repeat(args[0], 50_000), nil
			}
			return bytes.ToUpper(args[0]), nil
		},
	}
	m := load(t, guesttest.HandWritten(t, "extism-user"), func(o *module.Options) { o.Embedder.Functions = functions })
	for input, want := range map[string]string{
		"abc": "ABC+abc", "error": "shout: no voice", "panic": "shout: it panicked", "long": strings.Repeat("long", 50_000) + "+long", "": "+",
	} {
		got, err := m.run(t, "x.shout", item(input))
		if failed := strings.HasPrefix(want, "shout: "); err != nil || (got[0].Status == abi.StatusFailed) != failed || string(got[0].Payload) != want {
			t.Errorf("%q: %v %.100q, err %v", input, got[0].Status, got[0].Payload, err)
		}
	}
	if len(noted) == 0 {
		t.Error("a function without a result is not called")
	}
	if got, err := m.run(t, "x.nothing", item("")); err != nil || len(got[0].Payload) != 0 {
		t.Errorf("no argument: %v, err %v", got, err)
	}
	_, err := m.Instance().Run(t.Context(), &module.Call{
		Transform: m.Index("x.shout"), Items: []abi.Item{item("wait")}, Results: make([]abi.Result, 1), Limits: module.Limits{Timeout: 10 * time.Millisecond},
	})
	if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.Timeout {
		t.Errorf("a function that waits: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = m.Instance().Run(t.Context(), &module.Call{
		Transform: m.Index("x.shout"), Items: []abi.Item{item("wait")}, Results: make([]abi.Result, 1), Limits: module.Limits{Stop: stopped},
	})
	if f := (*module.Fault)(nil); !errors.As(err, &f) || f.Kind != module.Stopped {
		t.Errorf("a function that waits while the guest is stopped: %v", err)
	}
	// What has effects is not done twice.
	c, err := m.NewChecker(t.Context(), guesttest.HandWritten(t, "extism-user"))
	if err != nil {
		t.Fatal(err)
	}
	before := len(noted)
	call := module.Call{Transform: m.Index("x.shout"), Items: []abi.Item{item("abc")}}
	if err := c.Check(t.Context(), call, []abi.Result{{Payload: []byte("ABC+abc")}}, 0); !errors.Is(err, module.ErrUnchecked) || len(noted) != before {
		t.Errorf("a task that calls the embedder is checked: %v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFetch has requests that guests send, and what comes of them.
func TestFetch(t *testing.T) {
	var last contract.FetchRequest
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) {
		o.Companion = []byte("name: x\nallowed_hosts: [\"*.example.com\"]")
		o.Embedder.Fetch = func(_ context.Context, r contract.FetchRequest) (contract.FetchResponse, error) {
			last = r
			if r.URL == "http://no.example.com" {
				return contract.FetchResponse{}, errors.New("no such host")
			}
			return contract.FetchResponse{Status: 404, Header: map[string]string{"x-a": "b"}, Body: append([]byte("for "), r.Body...)}, nil
		}
	})
	const to = `{"url": "http://a.example.com", "method": "purge", "headers": {"X-B": "c"}}`
	for _, c := range []struct{ transform, input, want string }{
		{"http", to, "for "},
		{"status", to, "404"},
		{"headers", to, `{"x-a":"b"}`},
		{"http", `{"url": "http://no.example.com"}`, "http_request: no such host"},
		{"http", `{`, "http_request was given no request: unexpected end of JSON input"},
		{"post", to, "for greeting"},
	} {
		if got, err := m.run(t, "x."+c.transform, item(c.input)); err != nil || string(got[0].Payload) != c.want {
			t.Errorf("%s(%s) is %v %q, err %v", c.transform, c.input, got[0].Status, got[0].Payload, err)
		}
	}
	if last.Method != "purge" || last.Header["X-B"] != "c" || strings.Join(last.AllowedHosts, " ") != "*.example.com" || last.MaxBytes != 50<<20 {
		t.Errorf("the request is %+v", last)
	}
}

// TestRequestLimits has requests refused that are too large, before they are read.
func TestRequestLimits(t *testing.T) {
	sent := 0
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) {
		o.Embedder.Fetch = func(context.Context, contract.FetchRequest) (contract.FetchResponse, error) {
			sent++
			return contract.FetchResponse{}, nil
		}
	})
	headers := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"X-%d": ""`, i))
		}
		return `{"url": "http://x", "headers": {` + strings.Join(all, ", ") + `}}`
	}
	url := func(size int) string {
		const rest = `{"url": ""}`
		return `{"url": "` + strings.Repeat("x", size-len(rest)) + `"}`
	}
	for _, c := range []struct{ transform, input, want string }{
		{"http", url(64 << 10), ""},
		{"http", url(64<<10 + 1), "http_request was given a request of 65537 bytes without its body, the limit is 65536"},
		{"http", headers(100), ""},
		{"http", headers(101), "http_request was given 101 headers, the limit is 100"},
		{"posthuge", headers(0), "http_request was given a body of 5000000 bytes, the limit is 4194304 (MaxOutput, --max-output)"},
	} {
		before := sent
		got, err := m.run(t, "x."+c.transform, item(c.input))
		if err != nil || string(got[0].Payload) != c.want || sent-before == 1 != (c.want == "") {
			t.Errorf("%s(%.50s) is %v %.200q, err %v, with %d requests; want %q", c.transform, c.input, got[0].Status, got[0].Payload, err, sent-before, c.want)
		}
	}
}

// TestRequestKept has a transport read a request's body when the guest has gone on.
func TestRequestKept(t *testing.T) {
	var body []byte
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) {
		o.Embedder.Fetch = func(_ context.Context, r contract.FetchRequest) (contract.FetchResponse, error) {
			body = r.Body
			return contract.FetchResponse{}, nil
		}
	})
	in := m.Instance()
	if _, err := m.runIn(t, in, "x.post", item("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.runIn(t, in, "x.echo", item(strings.Repeat("x", 100_000))); err != nil || string(body) != "greeting" {
		t.Errorf("the body has become %.20q, err %v", body, err)
	}
}

// TestLongNames has a guest billed for names that it gives, of which none is copied that cannot be one.
func TestLongNames(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) { o.Companion = []byte("name: x\nconfig: {a: b}") })
	const calls, size = 100, 1 << 20
	for _, transform := range []string{"x.longconfig", "x.longget", "x.longremove"} {
		in, results := m.Instance(), make([]abi.Result, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fuel, err := in.Run(t.Context(), &module.Call{Transform: m.Index(transform), Items: []abi.Item{item("")}, Results: results})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; err != nil || fuel < calls*size/64 || got > calls*size/4 {
			t.Errorf("%s took %d of fuel and %d bytes of the host's memory: %v", transform, fuel, got, err)
		}
	}
	got, err := m.run(t, "x.longset", item(""))
	const want = "the variables are full: 1048589 bytes with \"\\x00"
	if err != nil || got[0].Status != abi.StatusFailed || !strings.HasPrefix(string(got[0].Payload), want) || len(got[0].Payload) > 500 {
		t.Errorf("%v %.200q, err %v; want %s", got[0].Status, got[0].Payload, err, want)
	}
}

// TestProgram has a guest that exports nothing but _start, which runs it as a program.
func TestProgram(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism-program"), nil)
	in := m.Instance()
	for range 2 {
		if got, err := m.runIn(t, in, "x", item("abc")); err != nil || string(got[0].Payload) != "abc" || !in.Reset() {
			t.Errorf("%v, err %v", got, err)
		}
	}
	if !m.Info().Single {
		t.Error("its instances are shared")
	}
}

// TestVariables has a stream keep them, and no other task.
func TestVariables(t *testing.T) {
	m := load(t, guesttest.HandWritten(t, "extism"), func(o *module.Options) { o.Frames.MaxInput = 2 << 20 })
	in := m.Instance()
	for range 2 {
		if got, err := m.runIn(t, in, "x.count", item("")); err != nil || string(got[0].Payload) != "001" {
			t.Errorf("without a state: %v, err %v", got, err)
		}
	}
	var state []byte
	for _, want := range []string{"001", "002", "003"} {
		got, err := m.run(t, "x.count", abi.Item{State: state})
		if err != nil || string(got[0].Payload) != want {
			t.Fatalf("with a state: %v, err %v; want %s", got, err, want)
		}
		state = got[0].State
	}
	if want := "\x01\x05count\x03"; !strings.HasPrefix(string(state), want) || len(state) != len(want)+3 {
		t.Errorf("the state is %q", state)
	}
	if got, err := m.run(t, "x.count", abi.Item{State: []byte("junk")}); err != nil || got[0].Status != abi.StatusFailed ||
		!strings.Contains(string(got[0].Payload), "the state of the stream is of format 106") {
		t.Errorf("with what is no state: %v, err %v", got, err)
	}
	if got, err := m.run(t, "x.remove", abi.Item{State: state}); err != nil || got[0].State != nil {
		t.Errorf("a state without variables: %v, err %v", got, err)
	}
	if got, err := m.run(t, "x.fill", item(strings.Repeat("x", 700_000))); err != nil || got[0].Status != abi.StatusOK {
		t.Errorf("a variable that replaces itself counts twice: %v %.100q, err %v", got[0].Status, got[0].Payload, err)
	}
	if got, err := m.run(t, "x.fill", item(strings.Repeat("x", 1<<20-8))); err != nil || got[0].Status != abi.StatusFailed ||
		!strings.HasPrefix(string(got[0].Payload), "the variables are full: ") {
		t.Errorf("too large a variable: %v %.100q, err %v", got[0].Status, got[0].Payload, err)
	}
}

// TestLimits has what a manifest of Extism's bounds.
func TestLimits(t *testing.T) {
	edit := func(o *module.Options) {
		o.Companion = []byte("name: x\nallowed_hosts: [\"*\"]\nmax_pages: 4\nmax_variable_bytes: 20\nmax_response_bytes: 3\ntimeout_ms: 1500")
		o.Embedder.Fetch = func(context.Context, contract.FetchRequest) (contract.FetchResponse, error) {
			return contract.FetchResponse{Body: []byte("four")}, nil
		}
	}
	m := load(t, guesttest.HandWritten(t, "extism"), edit)
	if tr := m.Info().Manifest.Transforms[0]; tr.TimeoutMS != 1500 || tr.StateBytes != 20 {
		t.Errorf("%+v", tr)
	}
	_, err := m.run(t, "x.grow", item(""))
	if want := "out of memory: grow wanted memory of 327680 bytes, the plugin's limit is 262144 (max_pages of its companion file or manifest)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for _, c := range []struct{ transform, input, want string }{
		{"fill", "12345678901", "12345678901"},
		{"fill", "1234567890123", "the variables are full: 21 bytes with \"count\", the limit is 20"},
		{"http", `{"url": "http://x"}`, "http_request: the response has 4 bytes, the limit is 3"},
		{"echo", strings.Repeat("x", 300_000), strings.Repeat("x", 300_000)}, // which is no matter of pages
	} {
		if got, err := m.run(t, "x."+c.transform, item(c.input)); err != nil || string(got[0].Payload) != c.want {
			t.Errorf("%s(%.50s) is %.100q, err %v", c.transform, c.input, got[0].Payload, err)
		}
	}
	s := subject(t)
	opts := s.Options()
	opts.Companion = []byte("max_pages: 1")
	if _, err := module.Load(t.Context(), guesttest.HandWritten(t, "extism"), opts); err == nil || !strings.Contains(err.Error(), "needs 131072 bytes of memory, its companion file or manifest allows 65536: raise max_pages") {
		t.Errorf("too few pages: %v", err)
	}
}

// TestRefused has binaries refused with the reason.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ guest, companion, want string }{
		{"extism-user", "name: x", "imports 3 functions of extism:host/user, which the host does not grant: shout, join and note"},
		{"parcel", "kind: extism", "imports 5 functions of parcel, which the host does not grant"},
	} {
		s := subject(t)
		opts := s.Options()
		opts.Companion = []byte(c.companion)
		if _, err := module.Load(t.Context(), guesttest.HandWritten(t, c.guest), opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.guest, err, c.want)
		}
	}
	// It imports a function with a float.
	wasm := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x08\x02\x60\x01\x7d\x00\x60\x00\x00" +
		"\x02\x18\x01\x10extism:host/user\x03log\x00\x00" + "\x03\x02\x01\x01" + "\x07\x07\x01\x03run\x00\x01" + "\x0a\x04\x01\x02\x00\x0b")
	s := subject(t)
	opts := s.Options()
	opts.Embedder.Functions = map[string]func(context.Context, [][]byte) ([]byte, error){"log": nil}
	if _, err := module.Load(t.Context(), wasm, opts); err == nil || !strings.Contains(err.Error(), "imports extism:host/user.log(f32) → (): a function of the embedder's takes and returns offsets, which are i64, and returns one at most") {
		t.Errorf("a function with a float: %v", err)
	}
}
