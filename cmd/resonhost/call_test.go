package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
)

func TestFailures(t *testing.T) {
	var b strings.Builder
	f := &failures{w: &b}
	f.show(1, errors.New("no host's"))
	f.show(2, &host.Error{Kind: host.KindFailed, Transform: "a", Message: "nothing was left"})
	f.show(3, &host.Error{Kind: host.KindTrap, Transform: "a", Message: "unreachable", Stack: ".run()\n\nred \x1b[31m\n"})
	want := "resonhost: line 3: a: trap: unreachable\n  | .run()\n  | \n  | red \\x1b[31m\n"
	if got := b.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}

	b.Reset()
	f = &failures{w: &b, late: true}
	for n := range 3 * maxFailures {
		f.show(n, &host.Error{Kind: host.KindTrap, Transform: "a", Message: "unreachable", Stack: ".run()"})
	}
	if got := b.String(); got != "" {
		t.Errorf("%q too early", got)
	}
	f.flush()
	got := strings.Split(b.String(), "\n")
	if want := "resonhost: what plugins left at failures after these 10 is not shown"; len(got) != 2*maxFailures+2 || got[2*maxFailures] != want {
		t.Errorf("%q, want %q at the end", got, want)
	}
}

// TestFinishVerifying has a signal be what it is, and a comparison that takes too long be warned of.
func TestFinishVerifying(t *testing.T) {
	h, err := host.New(host.Config{
		Plugins:  []host.Source{{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "a"})}},
		Defaults: host.PluginConfig{Verify: host.VerifySample, VerifyEvery: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	var b bytes.Buffer
	o, log := newOptions(), slog.New(slog.NewTextHandler(&b, nil))
	signalled, signal := context.WithCancel(t.Context())
	signal()
	err = o.finishVerifying(signalled, h, log)
	if e := (*exit)(nil); !errors.As(err, &e) || e.code != api.ExitInterrupted || !errors.Is(err, errInterrupted) || b.Len() > 0 {
		t.Errorf("after a signal: %v, %s", err, &b)
	}
	o.drainTimeout = 0
	if err := o.finishVerifying(t.Context(), h, log); err != nil || !strings.Contains(b.String(), "--drain-timeout gives that longer") {
		t.Errorf("without time: %v, %s", err, &b)
	}
}
