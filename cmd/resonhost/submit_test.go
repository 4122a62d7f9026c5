package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

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

// TestSubmitIdleInput submits from a pipe that stays open and has no further lines. An interrupt ends it, and so does an output that fails.
func TestSubmitIdleInput(t *testing.T) {
	urls := natstest.Start(t).URL()
	f, err := fleet.Open(t.Context(), fleet.Config{URLs: urls, TaskBytes: 1 << 20, ResultBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	w := f.NewWorker(hosted.Start(t, host.Config{Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}}), fleet.WorkerOptions{})
	defer func() {
		if err := errors.Join(w.Close(context.Background()), f.Close()); err != nil {
			t.Error(err)
		}
	}()
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
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
