package host_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
)

func TestEvents(t *testing.T) {
	bus := event.New(0)
	h := hostile(t, func(cfg *host.Config) { cfg.Events, cfg.Defaults.BreakAfter = bus, 1 })
	sub := bus.Subscribe(0, event.KindPluginChanged, event.KindTaskCompleted)
	c := h.Client("tenant", host.PriorityNormal)
	_, _ = c.Quiet().Run(t.Context(), "hostile.trap", []byte("fine"))
	out, err := c.Stream("s").Run(t.Context(), "hostile.trap", []byte("fine"))
	if err != nil {
		t.Fatal(err)
	}
	_, failed := h.Run(t.Context(), "hostile.trap", []byte("!"))
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	sub.Close()
	next := func() event.Body {
		e, err := sub.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e.Body
	}
	if e := next().(event.TaskCompleted); e.Tenant != "tenant" || e.Stream != "s" || e.Transform != "hostile.trap" ||
		!bytes.Equal(e.Output, out) || &e.Output[0] == &out[0] || e.Latency <= 0 || e.Error != "" {
		t.Errorf("event %+v of a task that succeeded", e)
	}
	if e := next().(event.PluginChanged); e.Change != event.PluginSuspended || e.Plugin != "hostile" || len(e.Hash) != 64 {
		t.Errorf("event %+v, want that the plugin is suspended", e)
	}
	if e := next().(event.TaskCompleted); e.Error != failed.Error() || e.Output != nil {
		t.Errorf("event %+v of the task that failed with %v", e, failed)
	}
	if e := next().(event.PluginChanged); e.Change != event.PluginClosed {
		t.Errorf("event %+v, want that the plugin is closed", e)
	}
	history := bus.History()
	if len(history) != 3 || history[0].Body.(event.PluginChanged).Change != event.PluginReady {
		t.Errorf("history %v, want the plugin's", history)
	}
}

// TestTasksThatNeverRanAreTold has tasks leave the queue behind one that spins.
func TestTasksThatNeverRanAreTold(t *testing.T) {
	bus := event.New(0)
	h := hostile(t, func(cfg *host.Config) {
		cfg.Events, cfg.Workers, cfg.QueuePolicy, cfg.QueueCapacity = bus, 1, host.QueueDropOldest, 1
		cfg.Defaults.RunTimeout = time.Minute
	})
	spinning, stop := context.WithCancel(t.Context())
	defer stop()
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	sub := bus.Subscribe(0, event.KindTaskCompleted)
	spin := h.Submit(spinning, "hostile.spin", []byte("!"))
	dropped := h.Client("dropped", host.PriorityNormal).Submit(t.Context(), "hostile.echo", nil)
	last := h.Client("cancelled", host.PriorityNormal).Submit(cancelled, "hostile.echo", nil)
	again := h.Client("dropped", host.PriorityNormal).Submit(t.Context(), "hostile.echo", nil)
	_, first := dropped.Wait()
	cancel()
	_, second := last.Wait()
	stop()
	_, third := spin.Wait()
	if _, err := again.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := h.Run(t.Context(), "hostile.unheard", nil); err == nil { // which is refused
		t.Error("there is such a transform")
	}
	if !errors.Is(first, host.ErrQueueFull) {
		t.Errorf("err %v, want ErrQueueFull", first)
	}
	sub.Close()
	told := make(map[string]int)
	for {
		e, err := sub.Next(t.Context())
		if err != nil {
			break
		}
		done := e.Body.(event.TaskCompleted)
		told[done.Error]++
		if kind := host.Kind(done.ErrorKind); done.Plugin != "hostile" || (kind != "") != (done.Error != "") || kind != "" && !slices.Contains(host.Kinds(), kind) {
			t.Errorf("told of plugin %s and an error of kind %q", done.Plugin, kind)
		}
	}
	want := map[string]int{first.Error(): 1, second.Error(): 1, third.Error(): 1, "": 1}
	if !maps.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}
