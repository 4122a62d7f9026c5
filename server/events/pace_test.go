package events_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server/events"
)

// TestRate has a client that wants 40 of 1000 tasks a second: it gets these, is told how many there were
// besides, and misses nothing of what does not come with every task.
func TestRate(t *testing.T) {
	const perSecond, tasks = 40, 1000
	synctest.Test(t, func(t *testing.T) {
		bus, hub := event.New(0), events.NewHub(events.Options{KeepAlive: 5 * time.Second})
		all := new(strings.Builder)
		w := &endless{ResponseRecorder: httptest.NewRecorder()}
		w.during = func(int) { all.WriteString(w.last) }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
			ended <- hub.Feed(bus).Serve(w, r, events.Query{Rate: perSecond})
		}()
		synctest.Wait()
		for i := range 2 * tasks { // in two seconds
			bus.Publish(event.TaskCompleted{Plugin: "a"})
			if i%100 == 0 {
				bus.Publish(event.Broadcast{Topic: "x"})
			}
			time.Sleep(time.Second / tasks) // of the test's clock
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := strings.Count(all.String(), "event: task.completed")
		if most := 2*perSecond + perSecond/4 + 1; got < 2*perSecond || got > most {
			t.Errorf("%d tasks, want %d to %d", got, 2*perSecond, most)
		}
		if n := strings.Count(all.String(), "event: broadcast"); n != 20 {
			t.Errorf("%d broadcasts, want 20", n)
		}
		gaps, missed := regexp.MustCompile(`"reason":"rate","missed":(\d+),"kinds":\[([a-z.",]*)\]`).FindAllStringSubmatch(all.String(), -1), 0
		for _, g := range gaps {
			n, _ := strconv.Atoi(g[1])
			missed += n
			if !strings.Contains(g[2], "task.completed") || strings.Contains(g[2], "broadcast") {
				t.Errorf("kinds %s", g[2])
			}
		}
		if got+missed != 2*tasks || len(gaps) < 2 || len(gaps) > 4 {
			t.Errorf("%d tasks and %d left out in %d gaps, want %d together in 2 to 4", got, missed, len(gaps), 2*tasks)
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
