package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
)

// occupied starts a host with one worker, and a task on it that ends with the test or
// by calling free.
func occupied(t *testing.T, change func(*host.Config)) (h *host.Host, free func()) {
	t.Helper()
	h = hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.Defaults.RunTimeout = 1, time.Minute
		if change != nil {
			change(cfg)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	spinning := h.Submit(ctx, "hostile.spin", []byte("!"))
	free = func() {
		cancel()
		<-spinning.Done()
	}
	t.Cleanup(free)
	return h, free
}

func TestTenantsDoNotRefuseEachOther(t *testing.T) {
	h, free := occupied(t, func(cfg *host.Config) { cfg.QueueCapacity, cfg.QueuePolicy = 4, host.QueueReject })
	flood, modest := h.Client("flood", host.PriorityNormal), h.Client("guest", host.PriorityNormal)
	var waiting []*host.Pending
	for range 4 {
		waiting = append(waiting, flood.Submit(t.Context(), "hostile.echo", []byte("a")))
	}
	if _, err := flood.Run(t.Context(), "hostile.echo", []byte("a")); !errors.Is(err, host.ErrQueueFull) {
		t.Errorf("err %v, want ErrQueueFull", err)
	}
	if !flood.NeedsDrain("hostile.echo") || modest.NeedsDrain("hostile.echo") || flood.NeedsDrain("hostile.trap") || flood.NeedsDrain("nonsense") {
		t.Error("one queue alone is full")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := flood.Drain(ctx, "hostile.echo"); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want canceled", err)
	}
	if err := flood.Drain(ctx, "nonsense"); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("err %v, want an unknown transform", err)
	}
	waiting = append(waiting, modest.Submit(t.Context(), "hostile.echo", []byte("a")))
	free()
	if err := flood.Drain(t.Context(), "hostile.echo"); err != nil {
		t.Error(err)
	}
	for i, p := range waiting {
		if out, err := p.Wait(); err != nil || string(out) != "a" {
			t.Errorf("task %d: %q, err %v", i, out, err)
		}
	}
	if flood.NeedsDrain("hostile.echo") {
		t.Error("an empty queue is full")
	}
}

// TestUrgentNeedsNoWorker has urgent tasks run beside one that holds the only worker, of
// its plugin and of another.
func TestUrgentNeedsNoWorker(t *testing.T) {
	h, _ := occupied(t, func(cfg *host.Config) { cfg.Plugins = append(cfg.Plugins, handWritten(t, "leak")) })
	for _, transform := range []string{"leak", "hostile.echo", "leak", "hostile.echo"} {
		out, err := h.Client("", host.PriorityUrgent).Run(t.Context(), transform, []byte("ab"))
		if err != nil || string(out) != "ab" {
			t.Errorf("%q, err %v", out, err)
		}
	}
	urgent, cancel := context.WithCancel(t.Context())
	defer cancel()
	spinning := h.Client("", host.PriorityUrgent).Submit(urgent, "hostile.spin", []byte("!"))
	if s := h.Stats(); s.Active != 1 || s.Reserve != 1 {
		t.Errorf("%d active and %d in the reserve, want 1 each", s.Active, s.Reserve)
	}
	cancel()
	<-spinning.Done()
}

// TestLateTaskIsRefused has a queue that a task could not get through in time.
func TestLateTaskIsRefused(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) {
		cfg.Workers, cfg.Defaults.RunTimeout, cfg.Defaults.BreakAfter = 1, time.Minute, -1
	})
	for range 40 { // it learns how long such a task takes
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		_, err := h.Run(ctx, "hostile.spin", []byte("!"))
		cancel()
		if host.KindOf(err) != host.KindTimeout {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ahead := []*host.Pending{h.Submit(ctx, "hostile.spin", []byte("!"))}
	for range 100 {
		ahead = append(ahead, h.Submit(ctx, "hostile.spin", []byte("fine")))
	}
	soon, cancelSoon := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelSoon()
	began := time.Now()
	_, err := h.Run(soon, "hostile.spin", []byte("fine"))
	if !errors.Is(err, host.ErrQueueFull) || !errors.Is(err, host.ErrTooLate) || host.KindOf(err) != host.KindQueueFull || !strings.Contains(err.Error(), "too long for the deadline") {
		t.Errorf("err %v after %v, want a refusal at once", err, time.Since(began))
	}
	// Of another tenant's tasks it is the first.
	next := h.Client("other", host.PriorityNormal).Submit(soon, "hostile.spin", []byte("fine"))
	cancel()
	if _, err := next.Wait(); errors.Is(err, host.ErrQueueFull) {
		t.Errorf("err %v, though none stands before it", err)
	}
	for _, p := range ahead {
		<-p.Done()
	}
}

func TestTenantsAreChecked(t *testing.T) {
	h := hostile(t, nil)
	_, err := h.Client(strings.Repeat("a", host.MaxTenant+1), host.PriorityBulk).Run(t.Context(), "hostile.echo", nil)
	if want := "hostile.echo: invalid_argument: tenant: must have at most 256 bytes, has 257"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	for _, p := range []host.Priority{-1, host.PriorityBulk + 1} {
		err := h.Client("a", p).RunBatch(t.Context(), "hostile.echo", [][]byte{nil})[0].Err
		if want := fmt.Sprintf("hostile.echo: invalid_argument: priority: must be PriorityNormal, PriorityUrgent or PriorityBulk, is %d", p); err == nil || err.Error() != want {
			t.Errorf("err %v, want %s", err, want)
		}
	}
	_, err = host.New(host.Config{
		PluginDir: "plugins", TenantWeights: map[string]int{"a": 0}, Defaults: host.PluginConfig{Weight: 2000},
	})
	for _, want := range []string{`TenantWeights["a"]: must be between 1 and 1000`, "Defaults.Weight: must be between 1 and 1000"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v, want %q in it", err, want)
		}
	}
}

// TestWithin has outputs for which there is no room: they are let go, and their stream goes on
// from the state before.
func TestWithin(t *testing.T) {
	const doc = `{"name": "t", "version": "1", "transforms": [{"name": "t.count", "input": "text/plain", "output": "text/plain", "state_bytes": 8}]}`
	count := func(t *guest.Task) error {
		t.Output = append(append(t.Output, t.State...), 'x')
		t.NextState = t.Output
		return nil
	}
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(doc, count)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	room, asked := true, 0
	s := h.Client("", host.PriorityNormal).WithRoom(func(n int) bool {
		asked = n
		return room
	}).Stream("s")
	for _, c := range []struct {
		room bool
		want string
	}{{true, "x"}, {false, ""}, {false, ""}, {true, "xx"}} {
		room = c.room
		out, err := s.Run(t.Context(), "t.count", nil)
		switch {
		case c.room && (err != nil || string(out) != c.want || asked != len(out)):
			t.Errorf("%q, err %v, asked for %d; want %q", out, err, asked, c.want)
		case !c.room && (!errors.Is(err, host.ErrNoRoom) || host.KindOf(err) != host.KindQueueFull || out != nil):
			t.Errorf("%q, err %v, want a refusal", out, err)
		}
	}
	if st := h.Stats().Plugins[0].Transforms[0]; st.OK != 2 || st.Errors[host.KindQueueFull] != 2 {
		t.Errorf("%d succeeded, %v failed", st.OK, st.Errors)
	}
}
