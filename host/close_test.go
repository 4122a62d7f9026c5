package host_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := inline(t, nil)
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		closed := make(chan error)
		go func() { closed <- h.Close(t.Context()) }()
		synctest.Wait()
		if _, err := h.Run(t.Context(), "gate", nil); !errors.Is(err, host.ErrClosed) || host.KindOf(err) != host.KindUnavailable {
			t.Errorf("err %v, want ErrClosed", err)
		}
		g.pass()
		g.pass()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for _, p := range []*host.Pending{a, b} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
		if err := h.Close(t.Context()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

func TestCloseInterrupts(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); !errors.Is(err, host.ErrStarted) {
		t.Errorf("started again: err %v, want ErrStarted", err)
	}
	running := h.Submit(t.Context(), "hostile.spin", []byte("!"))
	queued := h.Submit(t.Context(), "hostile.spin", []byte("!"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "tasks were interrupted: ") {
		t.Errorf("err %v, want that tasks were interrupted", err)
	}
	for _, p := range []*host.Pending{running, queued} {
		if _, err := p.Wait(); !errors.Is(err, host.ErrClosed) {
			t.Errorf("err %v, want ErrClosed", err)
		}
	}
}

// TestCloseDropsTheQueue has tasks that would succeed, were they begun.
func TestCloseDropsTheQueue(t *testing.T) {
	h, g := inline(t, nil)
	running := h.Submit(t.Context(), "gate", []byte("a"))
	<-g.entered
	var queued []*host.Pending
	for range 10 {
		queued = append(queued, h.Submit(t.Context(), "gate", []byte("b")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error)
	go func() { closed <- h.Close(ctx) }()
	// The one that runs cannot be interrupted; it ends once Close has lost its
	// patience.
	for !h.Interrupted() {
		if t.Context().Err() != nil {
			t.Fatal("Close did not interrupt")
		}
	}
	g.let <- struct{}{}
	if err := <-closed; !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want that tasks were interrupted", err)
	}
	if out, err := running.Wait(); err != nil || string(out) != "a" {
		t.Errorf("the task that ran: %q, err %v", out, err)
	}
	for _, p := range queued {
		if _, err := p.Wait(); !errors.Is(err, host.ErrClosed) || host.KindOf(err) != host.KindUnavailable {
			t.Errorf("a queued task: err %v, want ErrClosed", err)
		}
	}
}

// TestCloseHurriesClose has one Close without hurry, and one with.
func TestCloseHurriesClose(t *testing.T) {
	h, err := host.New(host.Config{Plugins: []host.Source{handWritten(t, "hostile")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	running := h.Submit(t.Context(), "hostile.spin", []byte("!"))
	patient := make(chan error)
	go func() { patient <- h.Close(t.Context()) }()
	for !h.Closing() {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the Close in a hurry: err %v, want that tasks were interrupted", err)
	}
	if err := <-patient; err != nil {
		t.Errorf("the patient Close: err %v", err)
	}
	if _, err := running.Wait(); !errors.Is(err, host.ErrClosed) || host.KindOf(err) != host.KindUnavailable {
		t.Errorf("the task that ran: err %v of kind %s, want ErrClosed", err, host.KindOf(err))
	}
	if err := h.Close(ctx); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestCloseEndsStart(t *testing.T) {
	// A plugin that takes its whole InitTimeout to load.
	h, err := host.New(host.Config{
		Plugins: []host.Source{handWritten(t, "init-spin")}, Defaults: host.PluginConfig{InitTimeout: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go func() { started <- h.Start(t.Context()) }()
	for !h.Starting() {
		runtime.Gosched()
	}
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-started; !errors.Is(err, host.ErrClosed) {
		t.Errorf("Start: err %v, want ErrClosed", err)
	}
	if err := h.Start(t.Context()); !errors.Is(err, host.ErrClosed) {
		t.Errorf("Start after Close: err %v, want ErrClosed", err)
	}
	if _, err := h.Run(t.Context(), "x", nil); !errors.Is(err, host.ErrClosed) {
		t.Errorf("Run after Close: err %v, want ErrClosed", err)
	}
}

// panicking is native code with a defect.
type panicking struct{ *guest.Plugin }

func (panicking) Run(uint32, []byte) ([]byte, error) { panic("defect") }

// TestPanicCostsNothingElse has a caller that recovers.
func TestPanicCostsNothingElse(t *testing.T) {
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{panicking{guest.New(gateManifest)}}})
	for range 3 { // the only slot is free again each time
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = h.Run(t.Context(), "gate", nil)
		}()
	}
	if s := h.Stats(); s.Active != 0 {
		t.Errorf("%d tasks are active", s.Active)
	}
}

// TestRefusedFrameCounts has frames whose tasks are all refused.
func TestRefusedFrameCounts(t *testing.T) {
	h := hostile(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range h.RunBatch(ctx, "hostile.echo", make([][]byte, 100)) {
		if host.KindOf(r.Err) != host.KindCancelled {
			t.Fatalf("err %v, want cancelled", r.Err)
		}
	}
	h.RunBatch(ctx, "nothing", make([][]byte, 7))
	s := h.Stats()
	for _, tr := range s.Plugins[0].Transforms {
		if want := uint64(100); tr.Name == "hostile.echo" && tr.Errors[host.KindCancelled] != want {
			t.Errorf("%d tasks are counted as cancelled, want %d", tr.Errors[host.KindCancelled], want)
		}
	}
	if s.UnknownTransform != 7 {
		t.Errorf("%d tasks are counted for no transform, want 7", s.UnknownTransform)
	}
}

// TestClosedHostCounts has tasks after Close.
func TestClosedHostCounts(t *testing.T) {
	h := hostile(t, nil)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := h.Client("", host.PriorityNormal)
	for name, run := range map[string]func() error{
		"Run":       func() error { _, err := c.Run(t.Context(), "hostile.echo", nil); return err },
		"RunAppend": func() error { _, err := c.RunAppend(t.Context(), "hostile.echo", nil, nil); return err },
		"Submit":    func() error { return c.Submit(t.Context(), "hostile.echo", nil).Result().Err },
		"RunBatch":  func() error { return c.RunBatch(t.Context(), "hostile.echo", [][]byte{nil})[0].Err },
	} {
		before := transformStats(t, h, "hostile.echo").Errors[host.KindUnavailable]
		if err := run(); !errors.Is(err, host.ErrClosed) {
			t.Errorf("%s: err %v, want that the host is closed", name, err)
		}
		if got := transformStats(t, h, "hostile.echo").Errors[host.KindUnavailable] - before; got != 1 {
			t.Errorf("%s: %d tasks are counted, want 1", name, got)
		}
	}
}

func TestInlineHeedsFrames(t *testing.T) {
	h := hosted.Start(t, host.Config{
		Mode: host.ModeInline, Native: []host.Native{failing{guest.New(gateManifest)}},
		Defaults: host.PluginConfig{MaxInstances: 2, MaxInput: 4 << 10},
	})
	_, err := h.Run(t.Context(), "gate", make([]byte, 4<<10))
	if host.KindOf(err) != host.KindInvalidArgument || !strings.Contains(err.Error(), "the limit is 4096") {
		t.Errorf("err %v, want that the input is too large", err)
	}
	// failing answers with a state larger than the manifest states.
	_, err = h.Stream("s").Run(t.Context(), "gate", make([]byte, 2<<10))
	if host.KindOf(err) != host.KindABI {
		t.Errorf("err %v, want a state that is too large", err)
	}
}
