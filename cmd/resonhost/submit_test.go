package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// brokenOut takes no results. It ends what it is told to.
type brokenOut struct{ write func() error }

func (b brokenOut) Write(p []byte) (int, error) {
	if err := b.write(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// echoing has a host of a fleet echo, as long as the test lasts.
func echoing(t *testing.T, urls string) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Open(t.Context(), fleet.Config{URLs: urls, TaskBytes: 8 << 20, ResultBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := f.NewWorker(hosted.Start(t, host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}}), fleet.WorkerOptions{})
	t.Cleanup(func() {
		if err := errors.Join(w.Close(context.Background()), f.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSubmitIdleInput submits from a pipe that stays open and has no further lines. An interrupt ends it, and so does an output that fails.
func TestSubmitIdleInput(t *testing.T) {
	urls := natstest.Start(t).URL()
	echoing(t, urls)
	broken := errors.New("no room for results")
	for name, fails := range map[string]error{"interrupt": nil, "output": broken} {
		ctx, interrupt := context.WithCancel(t.Context())
		in, idle := io.Pipe()
		go func() { _, _ = io.WriteString(idle, "{}\n") }() // until it is read
		out := newOutput(brokenOut{func() error {
			if fails == nil {
				interrupt()
			}
			return fails
		}})
		o := newOptions()
		o.fleet.URLs, o.submit.frame = urls, 1
		err := o.submitLines(ctx, "hostile.echo", stdio{in: in, out: out, err: io.Discard})
		want := api.ExitFailed
		if fails == nil {
			want = api.ExitInterrupted
		}
		if e := (*exit)(nil); !errors.As(err, &e) || e.code != want || fails != nil && !strings.Contains(err.Error(), fails.Error()) {
			t.Errorf("%s: error %v", name, err)
		}
		interrupt()
		_ = idle.Close()
	}
}

// TestSubmitUnknown submits to a transform that no host serves, and to a fleet without a host. The first is refused before anything is submitted, but
// with a key, under which there may be results. The second waits. Both are told at once.
func TestSubmitUnknown(t *testing.T) {
	urls := natstest.Start(t).URL()
	f, err := fleet.Open(t.Context(), fleet.Config{URLs: urls, AckWait: time.Second, TaskBytes: 1 << 20, ResultBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	control, err := f.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	submit := func(until string, args ...string) (code int, errs string) {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		out, told, ended := &printed{}, &printed{}, make(chan int)
		go func() {
			ended <- run(ctx, append([]string{"resonhost", "submit", "--nats", urls}, args...), strings.NewReader("{}\n"), out, told)
		}()
		if until != "" {
			told.await(t, until, 1)
			interrupt()
		}
		return <-ended, told.String()
	}
	const none = "resonhost: no host of the fleet is there; lines are kept until one is, or until --deadline\n"
	if code, errs := submit(none, "swop"); code != api.ExitInterrupted || !strings.HasPrefix(errs, none) {
		t.Errorf("without a host: code %d, %s", code, errs)
	}
	before, err := control.Queue(t.Context())
	if err != nil {
		t.Errorf("%+v, error %v", before, err)
	}
	ofFleet(t, urls, "a")
	const unknown = "resonhost: no host of the fleet serves a transform \"swop\"\n"
	if code, errs := submit("", "swop"); code != api.ExitUsage || errs != unknown {
		t.Errorf("code %d, %s", code, errs)
	}
	if q, err := control.Queue(t.Context()); err != nil || q.Bytes != before.Bytes {
		t.Errorf("%+v, error %v", q, err)
	}
	if code, errs := submit(unknown, "swop", "--key", "k"); code != api.ExitInterrupted || !strings.HasPrefix(errs, unknown) {
		t.Errorf("with a key: code %d, %s", code, errs)
	}
}

// TestSubmitLongLine submits lines that no message has room for. Each has an error of its own in its place, and harms no other.
func TestSubmitLongLine(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := echoing(t, urls)
	text := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	// The last has room but for what a message has besides.
	in := strings.Join([]string{`"a"`, text(f.MaxMessage() + 1), `"b"`, "", text(f.MaxMessage()), `"c"`}, "\n")
	var out strings.Builder
	o := newOptions()
	o.fleet.URLs = urls
	err := o.submitLines(t.Context(), "hostile.echo", stdio{in: strings.NewReader(in), out: newOutput(&out), err: io.Discard})
	if err == nil || err.Error() != "2 of 5 lines failed; their results say why" {
		t.Errorf("error %v", err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{`"YQ=="`, `is longer than a message of NATS`, `"Yg=="`, `a message of NATS has room for`, `"Yw=="`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Fatalf("line %d of %q, want %s", i, lines, want)
		}
	}
	// A frame that is refused whole has an answer for each of its lines.
	out.Reset()
	in = "\"a\"\n\"b\"\n"
	o.fleet.URLs, o.submit.tenant = urls, strings.Repeat("t", 1<<10)
	if err := o.submitLines(t.Context(), "hostile.echo", stdio{in: strings.NewReader(in), out: newOutput(&out), err: io.Discard}); err == nil || strings.Count(out.String(), "Tenant: must be") != 2 {
		t.Errorf("error %v, output %s", err, out.String())
	}
	for i, number := range map[int]string{1: `"line":2`, 3: `"line":5`} {
		if !strings.Contains(lines[i], number) || !strings.Contains(lines[i], `"kind":"invalid_argument"`) {
			t.Errorf("%s, want %s", lines[i], number)
		}
	}
}
