package events_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server/events"
)

// TestEventsShareWrites has one event after a while, which is written at once, and then many that come fast:
// these share their writes.
func TestEventsShareWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.New(0)
		hub := events.NewHub(events.Options{})
		var last time.Time
		w := &endless{ResponseRecorder: httptest.NewRecorder(), during: func(int) { last = time.Now() }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
			ended <- hub.Feed(bus).Serve(w, r, events.Query{})
		}()
		publish := func() { bus.Publish(event.Broadcast{Topic: "x", Payload: json.RawMessage("1")}) }
		time.Sleep(time.Second) // of the test's clock
		publish()
		at := time.Now()
		synctest.Wait()
		if !last.Equal(at) {
			t.Errorf("the first was written %v after it was published", last.Sub(at))
		}
		before := w.writes
		const lasts = time.Second
		for range 1000 {
			publish()
			time.Sleep(lasts / 1000)
		}
		synctest.Wait()
		if n, most := w.writes-before, int(lasts/(10*time.Millisecond))+1; n > most {
			t.Errorf("1000 events took %d writes, want %d at most", n, most)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := bus.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
