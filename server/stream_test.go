package server_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server"
)

// withEvents has the host publish on a bus that the server streams.
func withEvents(bus *event.Bus) func(*host.Config, *server.Options) {
	return func(cfg *host.Config, o *server.Options) { cfg.Events, o.Events = bus, bus }
}

// streamed opens a stream and returns a reader of the data of its events.
func (s *served) streamed(t *testing.T, query, tenant string) (next func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/events"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(server.HeaderTenant, tenant)
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	t.Cleanup(func() { answer.Body.Close() })
	in := bufio.NewScanner(answer.Body)
	return func() string {
		for in.Scan() {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				return data
			}
		}
		return ""
	}
}

// TestEvents follows what happens, and ends with the drain. Tenants see their own tasks.
func TestEvents(t *testing.T) {
	bus := event.New(0)
	s := serve(t, withEvents(bus))
	has := func(got string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(got, p) {
				t.Errorf("got %s, want %s", got, p)
			}
		}
	}
	all, ann := s.streamed(t, "", ""), s.streamed(t, "?kinds=task.completed&outputs=true", "ann")
	has(all(), `"type":"stream.begin.v1"`)
	has(ann(), `"type":"stream.begin.v1"`)
	for _, tenant := range []string{"bob", "ann"} {
		if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.trap", "application/octet-stream", "hello", server.HeaderTenant, tenant); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		got := all()
		has(got, `"type":"task.completed.v1"`, `"transform":"hostile.trap"`, `"plugin":"hostile"`, `"tenant":"`+tenant+`"`)
		if strings.Contains(got, "output") {
			t.Errorf("an output that nobody asked for: %s", got)
		}
	}
	has(ann(), `"tenant":"ann"`, `"output":"aGVsbG8="`)
	if err := s.host.Pause("hostile"); err != nil {
		t.Fatal(err)
	}
	has(all(), `"type":"plugin.changed.v1"`, `"change":"paused"`)
	s.server.SetDraining()
	for _, next := range []func() string{all, ann} {
		has(next(), `"type":"stream.end.v1"`, `"reason":"draining"`)
		if got := next(); got != "" {
			t.Errorf("after the end: %s", got)
		}
	}
	if bus.Wants(event.KindTaskCompleted) {
		t.Error("events of tasks are made though nobody is there")
	}
}

// TestEventParameters has parameters that are refused, and a server without events.
func TestEventParameters(t *testing.T) {
	s := serve(t, withEvents(event.New(0)))
	for path, want := range map[string]string{
		"/v1/events?kinds=task.complete": `did you mean \"task.completed\"?`,
		"/v1/events?kind=x":              `kind: is not a known parameter; did you mean \"kinds\"?`,
		"/v1/events?outputs=1":           "outputs: must be true or false",
	} {
		if status, _, body := s.do(t, http.MethodGet, path, "", ""); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	without := serve(t, nil)
	if status, _, _ := without.do(t, http.MethodGet, "/v1/events", "", ""); status != http.StatusNotFound {
		t.Errorf("status %d, want 404", status)
	}
}
