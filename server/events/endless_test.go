package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server/events"
)

// endless is a client during each of whose writes more happens than a write has.
type endless struct {
	*httptest.ResponseRecorder

	writes int
	last   string
	during func(write int)
}

func (w *endless) Write(p []byte) (int, error) {
	w.writes++
	w.last = string(p)
	w.during(w.writes)
	return len(p), nil
}

// TestEndlessEvents ends streams that always have more to send.
func TestEndlessEvents(t *testing.T) {
	const ends, buffer = 5, 1024 // the write during which the end begins
	for _, c := range []struct {
		why  api.EndReason
		most int // writes after it
	}{
		{api.EndDraining, 16}, // what the ring had then, at some 100 bytes an event and 32 KiB a write
		{api.EndWithdrawn, 1},
	} {
		t.Run(string(c.why), func(t *testing.T) {
			hub, bus := events.NewHub(events.Options{Buffer: buffer}), event.New(0)
			withdrawn := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := &endless{ResponseRecorder: httptest.NewRecorder(), during: func(write int) {
				for range buffer {
					bus.Publish(event.Broadcast{Topic: "x", Payload: json.RawMessage(`"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`)})
				}
				switch {
				case write == ends && c.why == api.EndDraining:
					hub.Drain()
				case write == ends:
					close(withdrawn)
				case write > ends+c.most:
					cancel()
				}
			}}
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
			if err := hub.Feed(bus).Serve(w, r, events.Query{Withdrawn: withdrawn}); err != nil {
				t.Fatal(err)
			}
			if ctx.Err() != nil || !strings.Contains(w.last, `{"reason":"`+string(c.why)+`"}`) {
				t.Errorf("%d writes, of which the last ends %q", w.writes, w.last[max(0, len(w.last)-200):])
			}
		})
	}
}

// gone is a client that is there for its first write alone.
type gone struct {
	*httptest.ResponseRecorder

	during func()
	writes int
}

func (w *gone) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		w.during()
		return 0, errors.New("gone")
	}
	return len(p), nil
}

// TestWhoNeverReturns has a client that does not take what was sent. What was dropped meanwhile counts.
func TestWhoNeverReturns(t *testing.T) {
	const buffer = 16
	hub, bus := events.NewHub(events.Options{Buffer: buffer}), event.New(0)
	w := &gone{ResponseRecorder: httptest.NewRecorder(), during: func() {
		for range buffer + 5 {
			bus.Publish(event.Broadcast{Topic: "x"})
		}
	}}
	bus.Publish(event.Broadcast{Topic: "first"})
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	q := events.Query{Kinds: []event.Kind{event.KindBroadcast}, Last: "0"}
	if err := hub.Feed(bus).Serve(w, r, q); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(hub.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if got := f.GetMetric()[0].GetCounter().GetValue(); f.GetName() == "resonhost_events_dropped_total" && got != 5 {
			t.Errorf("%g events were dropped, want 5", got)
		}
	}
}
