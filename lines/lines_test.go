package lines_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/lines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const manifest = `{
  "name": "t", "version": "1",
  "transforms": [
    {"name": "t.echo", "input": "application/json", "output": "application/json"},
    {"name": "t.count", "input": "application/json", "output": "application/json", "state_bytes": 8},
    {"name": "t.text", "input": "application/json", "output": "text/plain"},
    {"name": "t.own", "input": "application/vnd.t", "output": "application/vnd.t"}
  ]
}`

// start starts a host with the plugin t, in the caller's process.
func start(tb testing.TB, change func(*host.Config)) *host.Host {
	tb.Helper()
	echo := func(t *guest.Task) error {
		if bytes.Contains(t.Input, []byte("fail")) {
			return errors.New("as asked")
		}
		t.Output = append(t.Output, t.Input...)
		return nil
	}
	count := func(t *guest.Task) error {
		n, _ := strconv.Atoi(string(t.State)) // none is 0
		t.Output = strconv.AppendInt(t.Output, int64(n+1), 10)
		t.NextState = t.Output
		return nil
	}
	garble := func(t *guest.Task) error {
		t.Output = append(t.Output, '\xff')
		return nil
	}
	never := func(*guest.Task) error { return errors.New("called without a codec") }
	cfg := host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(manifest, echo, count, garble, never)}}
	if change != nil {
		change(&cfg)
	}
	return hosted.Start(tb, cfg)
}

func TestRun(t *testing.T) {
	h := start(t, nil)
	for _, c := range []struct {
		name, transform, in string
		opts                lines.Options
		want                string
		sum                 lines.Summary
	}{
		{name: "nothing", transform: "t.echo"},
		{
			name: "order", transform: "t.echo", in: "1\n{\"a\": 2}\n3\n",
			want: "1\n{\"a\":2}\n3\n", sum: lines.Summary{Lines: 3},
		},
		{
			name: "no last newline, CRLF", transform: "t.echo", in: "1\r\n2",
			want: "1\n2\n", sum: lines.Summary{Lines: 2},
		},
		{
			name: "blank lines are counted and skipped", transform: "t.echo", in: "\n1\n \t\r\n\nx\n",
			want: "1\n" + `{"error":{"status":400,"detail":"document: is not valid JSON: invalid character 'x' at start of value, at byte 1","kind":"invalid_argument","field":"document","transform":"t.echo","line":5}}` + "\n",
			sum:  lines.Summary{Lines: 2, Failed: 1},
		},
		{
			name: "failures", transform: "t.echo", in: "\"fail\"\n2\n{\"__proto__\":1}\n4\n",
			want: `{"error":{"status":422,"detail":"as asked","kind":"failed","transform":"t.echo","plugin":"t","version":"1","line":1}}` + "\n2\n" +
				`{"error":{"status":400,"detail":"__proto__: is a reserved name","kind":"invalid_argument","field":"__proto__","transform":"t.echo","line":3}}` + "\n4\n",
			sum: lines.Summary{Lines: 4, Failed: 2},
		},
		{
			name: "output of another type", transform: "t.text", in: "1\n",
			want: `{"error":{"status":502,"detail":"the output is not of its media type, text/plain: jsontext: invalid UTF-8","kind":"abi","transform":"t.text","plugin":"t","version":"1","line":1}}` + "\n",
			sum:  lines.Summary{Lines: 1, Failed: 1},
		},
		{
			name: "long line", transform: "t.echo", opts: lines.Options{MaxLine: 8},
			in:   "12345678\n123456789\n3\n" + strings.Repeat("4", 200_000) + "\n5\n" + strings.Repeat(" ", 9) + "\n1234567 ",
			want: "12345678\n" + tooLong(2) + "3\n" + tooLong(4) + "5\n" + tooLong(6) + "1234567\n",
			sum:  lines.Summary{Lines: 7, Failed: 3},
		},
		{
			name: "long last line", transform: "t.echo", opts: lines.Options{MaxLine: 8}, in: "123456789",
			want: tooLong(1), sum: lines.Summary{Lines: 1, Failed: 1},
		},
		{
			name: "streams", transform: "t.count", opts: lines.Options{StreamField: "s"},
			in:   `{"s":"a"}` + "\n" + `{"s":"a"}` + "\n" + `{"s":"b"}` + "\n" + `{}` + "\n" + `{"s":null}` + "\n" + `{"s":7}` + "\n" + `{"s":"a"}` + "\n",
			want: "1\n2\n1\n1\n1\n" + `{"error":{"status":400,"detail":"s: must be a string, the key of a stream","kind":"invalid_argument","field":"s","transform":"t.count","line":6}}` + "\n3\n",
			sum:  lines.Summary{Lines: 7, Failed: 1},
		},
		{
			name: "the stream's member is not the transform's", transform: "t.echo", opts: lines.Options{StreamField: "s"},
			in: `{"s":"a","x":1}` + "\n", want: `{"x":1}` + "\n", sum: lines.Summary{Lines: 1},
		},
		{
			name: "byte order mark", transform: "t.echo", in: "\ufeff1\n2\n", want: "1\n2\n", sum: lines.Summary{Lines: 2},
		},
		{
			name: "byte order mark alone", transform: "t.echo", in: "\ufeff\n2\n", want: "2\n", sum: lines.Summary{Lines: 1},
		},
		{
			name: "UTF-16", transform: "t.echo", in: "\xff\xfe1\x00\n\x002\x00\n\x00",
			want: `{"error":{"status":400,"detail":"the text is UTF-16, and must be UTF-8; no further line was read","kind":"invalid_argument","transform":"t.echo","line":1}}` + "\n",
			sum:  lines.Summary{Lines: 1, Failed: 1},
		},
		{
			name: "a zero byte", transform: "t.echo", in: "\"\x00a\"\n2\n",
			want: `{"error":{"status":400,"detail":"document: is not valid JSON: invalid character '\\x00' in string (expecting non-control character), at byte 2","kind":"invalid_argument","field":"document","transform":"t.echo","line":1}}` + "\n2\n",
			sum:  lines.Summary{Lines: 2, Failed: 1},
		},
		{
			name: "little may be held", transform: "t.echo", opts: lines.Options{MaxHeld: 1}, in: "1\n2\n3\n",
			want: "1\n2\n3\n", sum: lines.Summary{Lines: 3},
		},
		{
			name: "window of one", transform: "t.echo", opts: lines.Options{Window: 1}, in: "1\n2\n3\n",
			want: "1\n2\n3\n", sum: lines.Summary{Lines: 3},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			// A reader of one byte at a time meets every boundary.
			sum, err := lines.Run(t.Context(), h, codec.New(), c.transform, iotest.OneByteReader(strings.NewReader(c.in)), &out, c.opts)
			if err != nil || sum != c.sum {
				t.Errorf("%+v, want %+v; err %v", sum, c.sum, err)
			}
			if out.String() != c.want {
				t.Errorf("got\n%swant\n%s", out.String(), c.want)
			}
		})
	}
}

func tooLong(line int) string {
	return fmt.Sprintf(`{"error":{"status":400,"detail":"the line is longer than 8 bytes, the limit (MaxLine, --max-input)","kind":"invalid_argument","transform":"t.echo","line":%d}}`+"\n", line)
}

func TestRunRefuses(t *testing.T) {
	h := start(t, nil)
	for transform, want := range map[string]string{
		"t.none": `t.none: unknown_transform: no plugin has a transform "t.none"`,
		"t.own":  "t.own has no JSON form: no codec for application/vnd.t and application/vnd.t",
	} {
		sum, err := lines.Run(t.Context(), h, codec.New(), transform, strings.NewReader("1\n"), io.Discard, lines.Options{})
		if err == nil || err.Error() != want || sum != (lines.Summary{}) {
			t.Errorf("%+v, err %v, want %s", sum, err, want)
		}
	}
}

// TestRunAnswersAtOnce waits for each answer before the next line.
func TestRunAnswersAtOnce(t *testing.T) {
	h := start(t, nil)
	in, toIn := io.Pipe()
	fromOut, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := lines.Run(t.Context(), h, codec.New(), "t.echo", in, out, lines.Options{})
		ended <- err
	}()
	answers := bufio.NewReader(fromOut)
	for i := range 100 {
		fmt.Fprintln(toIn, i)
		if got, err := answers.ReadString('\n'); err != nil || got != fmt.Sprintln(i) {
			t.Fatalf("answer %q, want %d; err %v", got, i, err)
		}
	}
	toIn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

var errFull = errors.New("disk full")

// limited fails once n bytes have been written.
type limited struct{ n int }

func (w *limited) Write(b []byte) (int, error) {
	if w.n < len(b) {
		return 0, errFull
	}
	w.n -= len(b)
	return len(b), nil
}

func TestRunEndsWithItsWriter(t *testing.T) {
	h := start(t, nil)
	in, toIn := io.Pipe()
	defer toIn.Close()
	go func() { // until Run ends, which the closing of in tells
		for i := 0; ; i++ {
			if _, err := fmt.Fprintln(toIn, i); err != nil {
				return
			}
		}
	}()
	_, err := lines.Run(t.Context(), h, codec.New(), "t.echo", in, &limited{1000}, lines.Options{})
	in.Close()
	if !errors.Is(err, errFull) || err.Error() != "write: disk full" {
		t.Errorf("err %v, want write: disk full", err)
	}
	if s := h.Stats(); s.Active != 0 || s.QueueDepth != 0 {
		t.Errorf("Run ended before its tasks: %d run, %d wait", s.Active, s.QueueDepth)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	h := start(t, nil)
	in, toIn := io.Pipe()
	fromOut, out := io.Pipe()
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		sum, err := lines.Run(ctx, h, codec.New(), "t.echo", in, out, lines.Options{})
		if sum.Lines != 1 || sum.Failed != 0 {
			t.Errorf("%+v, want the one line", sum)
		}
		ended <- err
	}()
	fmt.Fprintln(toIn, 1)
	if _, err := bufio.NewReader(fromOut).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel(errStop) // while Read blocks
	if err := <-ended; !errors.Is(err, errStop) {
		t.Errorf("err %v, want the context's cause", err)
	}
	toIn.Close() // ends the Read
}

func TestRunReadError(t *testing.T) {
	h := start(t, nil)
	r := io.MultiReader(strings.NewReader("1\n2\n3"), iotest.ErrReader(errors.New("gone")))
	var out strings.Builder
	sum, err := lines.Run(t.Context(), h, codec.New(), "t.echo", r, &out, lines.Options{})
	if at := (*lines.ReadError)(nil); !errors.As(err, &at) || at.Line != 3 || !at.Within || err.Error() != "read line 3: gone" {
		t.Errorf("err %v, want read line 3: gone", err)
	}
	// What was cut off may not be what was meant.
	if out.String() != "1\n2\n" || sum != (lines.Summary{Lines: 2}) {
		t.Errorf("%q and %+v, want both whole lines", out.String(), sum)
	}
}

// TestRunManyInSandbox has lines of several streams and of none run side by side,
// with some that fail.
func TestRunManyInSandbox(t *testing.T) {
	h := hostile(t, func(c *host.Config) { c.Workers, c.QueueCapacity = 4, 16 })
	var in, want strings.Builder
	var sum lines.Summary
	for i := range 5000 {
		sum.Lines++
		switch {
		case i%100 == 7: // traps
			fmt.Fprintf(&in, "{\"s\": \"s%d\", \"base64\": \"IQ==\"}\n", i%5)
			fmt.Fprintf(&want, `{"error":{"status":502,"detail":"resonhost_run: unreachable","kind":"trap","transform":"hostile.trap","plugin":"hostile","version":"1.0.0","line":%d}}`+"\n", i+1)
			sum.Failed++
		case i%100 == 8:
			fmt.Fprintf(&in, "{\"s\": %d, \"base64\": \"IQ==\"}\n", i)
			fmt.Fprintf(&want, `{"error":{"status":400,"detail":"s: must be a string, the key of a stream","kind":"invalid_argument","field":"s","transform":"hostile.trap","line":%d}}`+"\n", i+1)
			sum.Failed++
		case i%2 == 0:
			fmt.Fprintf(&in, "\"%d\"\n", i)
			fmt.Fprintf(&want, "{\"base64\":%q}\n", encode(strconv.Itoa(i)))
		default:
			fmt.Fprintf(&in, "{\"base64\": %q, \"s\": \"s%d\"}\n", encode(strconv.Itoa(i)), i%5)
			fmt.Fprintf(&want, "{\"base64\":%q}\n", encode(strconv.Itoa(i)))
		}
	}
	var out strings.Builder
	got, err := lines.Run(t.Context(), h, codec.New(), "hostile.trap", strings.NewReader(in.String()), &out, lines.Options{StreamField: "s"})
	if err != nil || got != sum {
		t.Errorf("%+v, want %+v; err %v", got, sum, err)
	}
	if out.String() != want.String() {
		t.Errorf("the answers are not those of the lines: %.900s", out.String())
	}
}

// TestRunSideBySide has as many lines run as there are workers before any is answered.
func TestRunSideBySide(t *testing.T) {
	const workers = 4
	h := hostile(t, func(c *host.Config) {
		c.Workers, c.Defaults.RunTimeout = workers, time.Hour
	})
	wait, giveUp := context.WithTimeout(t.Context(), time.Minute)
	defer giveUp()
	ctx, cancel := context.WithCancel(wait)
	var running sync.WaitGroup
	running.Go(func() {
		in := strings.NewReader(strings.Repeat("{\"base64\": \"IQ==\"}\n", 20))
		_, err := lines.Run(ctx, h, codec.New(), "hostile.spin", in, io.Discard, lines.Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err %v", err)
		}
	})
	for tick := time.NewTicker(time.Millisecond); h.Stats().Active < workers && wait.Err() == nil; {
		<-tick.C
	}
	if n := h.Stats().Active; n != workers {
		t.Errorf("%d lines run, want %d", n, workers)
	}
	cancel()
	running.Wait()
}

// hostile starts a host with the plugin hostile, in a sandbox.
func hostile(t *testing.T, change func(*host.Config)) *host.Host {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/guests/hostile.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, func(c *host.Config) {
		c.Mode, c.Native = host.ModeSandbox, nil
		c.Plugins = []host.Source{{Name: "hostile", WASM: wasm}}
		change(c)
	})
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// memory grants so many bytes, and remembers the most that were held.
type memory struct {
	mu                sync.Mutex
	limit, held, most int
	much              chan struct{} // unless nil, closed once enough is held
	enough            int
}

// note is called when there is more.
func (m *memory) note() {
	m.most = max(m.most, m.held)
	if m.much != nil && m.held >= m.enough {
		close(m.much)
		m.much = nil
	}
}

func (m *memory) Take(n int, _ bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held+n > m.limit {
		return false
	}
	m.held += n
	m.note()
	return true
}

func (m *memory) Add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += n
	m.note()
}

func (m *memory) Tight() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held > m.limit/2
}

// TestRunHoldsLittle has a reader who takes nothing at first, and answers of which few fit.
func TestRunHoldsLittle(t *testing.T) {
	const size, sent, most = 10_000, 500, 200_000
	h := start(t, nil)
	line := `"` + strings.Repeat("x", size-3) + `"` + "\n"
	much := make(chan struct{})
	m := &memory{limit: 1 << 30, much: much, enough: most / 2}
	fromOut, out := io.Pipe()
	in := strings.NewReader(strings.Repeat(line, sent))
	ended := make(chan error, 1)
	go func() {
		sum, err := lines.Run(t.Context(), h, codec.New(), "t.echo", in, out, lines.Options{Memory: m, MaxHeld: most})
		if sum.Failed != 0 {
			t.Errorf("%d lines failed", sum.Failed)
		}
		out.Close()
		ended <- err
	}()
	<-much
	got, err := io.ReadAll(fromOut)
	if err != nil || string(got) != strings.Repeat(line, sent) {
		t.Errorf("%d bytes, err %v", len(got), err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// A line that is read ahead, and one whose answer was larger than those before.
	if m.held != 0 || m.most > most+8*size {
		t.Errorf("%d bytes are held at the end, and %d were, of %d", m.held, m.most, most)
	}
}

// TestRunWithoutMemory has lines for which there is none.
func TestRunWithoutMemory(t *testing.T) {
	h := start(t, nil)
	m := &memory{limit: 100}
	var out strings.Builder
	in := "1\n\"" + strings.Repeat("x", 60) + "\"\n\"" + strings.Repeat("y", 200) + "\"\n4\n"
	sum, err := lines.Run(t.Context(), h, codec.New(), "t.echo", strings.NewReader(in), &out, lines.Options{Memory: m, Window: 1})
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err != nil || sum != (lines.Summary{Lines: 4, Failed: 2}) || len(got) != 4 || got[0] != "1" || got[3] != "4" {
		t.Errorf("%+v, err %v, %s", sum, err, out.String())
	}
	for _, i := range []int{1, 2} {
		if !strings.Contains(got[i], `"kind":"queue_full"`) {
			t.Errorf("line %d: %s", i+1, got[i])
		}
	}
	if m.held != 0 {
		t.Errorf("%d bytes are held at the end", m.held)
	}
}

// TestRunProbes has a reader who may have gone, of whom that is seen before an answer.
func TestRunProbes(t *testing.T) {
	h := start(t, nil)
	in, toIn := io.Pipe()
	fromOut, out := io.Pipe()
	probe := make(chan struct{})
	close(probe)
	ended := make(chan error, 1)
	go func() {
		_, err := lines.Run(t.Context(), h, codec.New(), "t.echo", in, out, lines.Options{Probe: probe})
		out.Close()
		ended <- err
	}()
	fmt.Fprintln(toIn, 1)
	toIn.Close()
	got, err := io.ReadAll(fromOut)
	if s := strings.TrimLeft(string(got), " "); err != nil || s != "1\n" || len(got)-len(s) > 1 {
		t.Errorf("%q, err %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPanics has a codec with a defect: it fails the line, and no other.
func TestPanics(t *testing.T) {
	h := start(t, nil)
	codecs := codec.New()
	codecs.Register("application/json", "application/json", codec.Func(func(doc []byte) (codec.Call, error) {
		if string(doc) == "1" {
			panic("decoding")
		}
		return codec.Call{Payload: doc, Encode: func(output []byte) ([]byte, error) {
			if string(output) == "2" {
				panic("encoding")
			}
			return output, nil
		}}, nil
	}))
	var out strings.Builder
	var failed []error
	sum, err := lines.Run(t.Context(), h, codecs, "t.echo", strings.NewReader("1\n2\n3\n"), &out, lines.Options{
		Failed: func(_ int, err error) { failed = append(failed, err) },
	})
	if err != nil || sum != (lines.Summary{Lines: 3, Failed: 2}) || !strings.HasSuffix(out.String(), "\n3\n") {
		t.Errorf("%+v, err %v: %s", sum, err, out.String())
	}
	for i, err := range failed {
		if e := (*host.Error)(nil); !errors.As(err, &e) || e.Kind != host.KindHost || e.Stack == "" {
			t.Errorf("line %d: err %v, want one of kind host with the stack", i+1, err)
		}
	}
}
