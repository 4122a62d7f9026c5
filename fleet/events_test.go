package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// telling starts a host that tells the fleet what happens in it.
func telling(t *testing.T, conn fleet.Config) (*node, *event.Bus) {
	t.Helper()
	bus := event.New(0)
	n := &node{log: &logged{}, host: hosted.Start(t, host.Config{Plugins: []host.Source{swap(t, guesttest.Version{Tag: "v1"})}, Events: bus})}
	conn.Logger = n.log.logger()
	n.fleet = open(t, conn)
	n.control = control(t, n.fleet)
	n.worker = n.fleet.NewWorker(n.host, fleet.WorkerOptions{})
	n.member = n.control.NewMember(n.host, n.worker)
	n.member.Tell(bus)
	t.Cleanup(func() { n.close(t) })
	if err := errors.Join(n.member.Start(t.Context()), n.worker.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	return n, bus
}

// events begins to read events.
func events(t *testing.T, f *fleet.Fleet) *fleet.EventReader {
	t.Helper()
	r, err := f.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// next returns the next event.
func next(t *testing.T, r *fleet.EventReader) fleet.HostEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// nextBroadcast returns the next broadcast. Versions may still come and go.
func nextBroadcast(t *testing.T, r *fleet.EventReader) fleet.HostEvent {
	t.Helper()
	for {
		if e := next(t, r); e.Type == "broadcast.v1" {
			return e
		}
	}
}

// TestEvents reads what happens in two hosts.
func TestEvents(t *testing.T) {
	url := natstest.Start(t).URL()
	a, busA := telling(t, small(url, "a"))
	_, busB := telling(t, small(url, "b"))
	r := events(t, open(t, small(url, "")))
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	seen := make(map[string]string)
	for len(seen) < 2 {
		e := next(t, r)
		var changed api.PluginChanged
		if err := json.Unmarshal(e.Data, &changed); err != nil || e.Type != "plugin.changed.v1" || e.Missed != 0 || e.Number == 0 || time.Since(e.Time) > time.Minute {
			t.Fatalf("%+v, error %v", e, err)
		}
		if changed.Change == event.PluginSwapped {
			seen[e.Host] = changed.Version
		}
	}
	if seen["a"] != "v2" || seen["b"] != "v2" {
		t.Errorf("%v", seen)
	}
	busA.Publish(event.TaskCompleted{Plugin: "swap"}) // which comes with every task
	busA.Publish(event.PluginLogged{Plugin: "swap", Source: "swap", Text: "x"})
	busA.Publish(event.Broadcast{Topic: "news", Payload: json.RawMessage(`{"n":1}`)})
	if e := nextBroadcast(t, r); e.Host != "a" || e.Type != "broadcast.v1" || string(e.Data) != `{"topic":"news","payload":{"n":1}}` {
		t.Errorf("%+v: %s", e, e.Data)
	}

	// What cannot be sent is counted, told once, and missed by who reads.
	for range 2 {
		busA.Publish(event.Broadcast{Topic: "long", Payload: json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)})
	}
	busA.Publish(event.Broadcast{Topic: "bad", Payload: json.RawMessage(`{`)})
	busA.Publish(event.Broadcast{Topic: "next"})
	if e := nextBroadcast(t, r); e.Missed != 3 || string(e.Data) != `{"topic":"next"}` {
		t.Errorf("%+v: %s", e, e.Data)
	}
	if s := a.member.Stats(); s.EventsDropped != 3 || a.log.count("an event does not reach the fleet, and is dropped") != 1 {
		t.Errorf("%+v", s)
	}
	busB.Publish(event.Broadcast{Topic: "of b"})
	if e := nextBroadcast(t, r); e.Host != "b" || e.Missed != 0 {
		t.Errorf("%+v", e)
	}
	r.Close()
	if _, err := r.Next(t.Context()); !errors.Is(err, nats.ErrBadSubscription) {
		t.Errorf("error %v", err)
	}
}

// TestEventsAway has the server be away. Events of that time are counted, and the reader goes on.
func TestEventsAway(t *testing.T) {
	s := natstest.Start(t)
	n, bus := telling(t, small(s.URL(), "a"))
	f := open(t, small(s.URL(), ""))
	r := events(t, f)
	bus.Publish(event.Broadcast{Topic: "before"})
	nextBroadcast(t, r)
	s.Stop()
	eventually(t, "a lost event", func() bool {
		bus.Publish(event.Broadcast{Topic: "lost"})
		return n.member.Stats().EventsDropped > 0
	})
	s.Restart()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			bus.Publish(event.Broadcast{Topic: "after"})
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	missed := uint64(0)
	for {
		e := next(t, r)
		missed += e.Missed
		if strings.Contains(string(e.Data), "after") {
			break
		}
	}
	if missed == 0 {
		t.Error("the reader was not told that events are missing")
	}
	eventually(t, "a word of the end", func() bool { return n.log.count("events reach the fleet again") == 1 })
}

// TestEventsMalformed reads messages that are no events. The next call reads on.
func TestEventsMalformed(t *testing.T) {
	url := natstest.Start(t).URL()
	nc, _ := jet(t, url)
	r := events(t, open(t, small(url, "")))
	const whole = `{"host":"a","instance":"0123456789012345678901","number":1,"type":"broadcast.v1","time":"2026-01-01T00:00:00Z","data":{}}`
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "{", "another kind": strings.Replace(whole, "broadcast", "plugin.changed", 1), "another form": strings.Replace(whole, ".v1", "", 1),
		"no host": strings.Replace(whole, `"a"`, `""`, 1), "a host that is none": strings.Replace(whole, `"a"`, `"a\n"`, 1),
		"no process": strings.Replace(whole, `0123456789012345678901`, `a.b`, 1), "no number": strings.Replace(whole, `:1,`, `:0,`, 1),
		"a negative number": strings.Replace(whole, `:1,`, `:-1,`, 1), "no time": strings.Replace(whole, `2026-01-01T00:00:00Z`, `x`, 1),
		"too long": whole + strings.Repeat(" ", 512<<10),
	} {
		if err := nc.Publish("resonhost.default.event.broadcast", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if e, err := r.Next(t.Context()); !errors.Is(err, fleet.ErrMalformed) {
			t.Errorf("%s: %+v, error %v", name, e, err)
		}
	}
	if err := nc.Publish("resonhost.default.event.broadcast", []byte(strings.Replace(whole, `"number"`, `"missed":9,"number"`, 1))); err != nil {
		t.Fatal(err)
	}
	if e := next(t, r); e.Host != "a" || e.Missed != 0 {
		t.Errorf("%+v", e)
	}
}

// FuzzEvent reads anything. What it takes for an event is one that a terminal can show, and is read again as it was.
func FuzzEvent(f *testing.F) {
	f.Add("broadcast", []byte(`{"host":"a","instance":"0123456789012345678901","number":1,"type":"broadcast.v1","time":"2026-01-01T00:00:00Z","data":{"topic":"x"}}`))
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		e, err := fleet.ParseEvent(kind, text)
		if err != nil {
			if !errors.Is(err, fleet.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if e2, err := fleet.ParseEvent(kind, again); err != nil || e2.Host != e.Host || e2.Number != e.Number || e2.Type != e.Type || !e2.Time.Equal(e.Time) {
			t.Fatalf("%s is %+v, and again %+v, error %v", text, e, e2, err)
		}
	})
}
