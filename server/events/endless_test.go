package events_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

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
			var withdrawn atomic.Bool
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
					withdrawn.Store(true)
				case write > ends+c.most:
					cancel()
				}
			}}
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
			if err := hub.Feed(bus).Serve(w, r, events.Query{Withdrawn: withdrawn.Load}); err != nil {
				t.Fatal(err)
			}
			if ctx.Err() != nil || !strings.Contains(w.last, `{"reason":"`+string(c.why)+`"}`) {
				t.Errorf("%d writes, of which the last ends %q", w.writes, w.last[max(0, len(w.last)-200):])
			}
		})
	}
}
