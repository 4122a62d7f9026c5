package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// got is an event as a client reads it.
type got struct {
	id, event, retry string
	comment          bool
	data             struct {
		Type, ID string
		Time     time.Time
		Data     json.RawMessage
	}
}

// into decodes the event's data.
func into[T any](t *testing.T, g got) (v T) {
	t.Helper()
	if err := json.Unmarshal(g.data.Data, &v); err != nil {
		t.Fatalf("%+v: %v", g, err)
	}
	return v
}

// service serves a feed over real HTTP.
type service struct {
	t    *testing.T
	hub  *events.Hub
	bus  *event.Bus
	feed atomic.Pointer[events.Feed]

	withdrawn chan struct{}
	http      *httptest.Server
}

func start(t *testing.T, o events.Options, history int, h2 bool) *service {
	t.Helper()
	s := &service{t: t, hub: events.NewHub(o), bus: event.New(history), withdrawn: make(chan struct{})}
	s.feed.Store(s.hub.Feed(s.bus))
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := events.Parse(r)
		q.Withdrawn = s.withdrawn
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.feed.Load().Serve(w, r, q); err != nil {
			http.Error(w, err.Error(), api.RuleOf(host.KindOf(err)).Status)
		}
	}))
	if s.http.EnableHTTP2 = h2; h2 {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	t.Cleanup(func() {
		s.hub.Drain()
		s.http.Client().CloseIdleConnections()
		s.http.Close()
	})
	return s
}

// client is a reader of a stream.
type client struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func (s *service) connect(query, last string) *client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http.URL+"/?"+query, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := s.http.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(answer.Body)
		s.t.Fatalf("%s %s: %s", answer.Status, answer.Header, b)
	}
	if want := map[bool]int{false: 1, true: 2}[s.http.EnableHTTP2]; answer.ProtoMajor != want {
		s.t.Fatalf("HTTP/%d, want %d", answer.ProtoMajor, want)
	}
	s.t.Cleanup(func() { answer.Body.Close() })
	return &client{s.t, answer.Body, bufio.NewReader(answer.Body)}
}

// next reads an event or a comment. ok is false at the end.
func (c *client) next() (g got, ok bool) {
	c.t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err == io.EOF && line == "" {
			return g, false
		}
		if err != nil {
			c.t.Fatalf("the stream broke off: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			return g, true
		case name == "":
			g.comment = true
		case name == "id":
			g.id = value
		case name == "event":
			g.event = value
		case name == "retry":
			g.retry = value
		case name == "data":
			if err := json.Unmarshal([]byte(value), &g.data); err != nil {
				c.t.Fatalf("%s: %v", value, err)
			}
			if g.data.Type != g.event+".v1" || g.data.Time.IsZero() {
				c.t.Fatalf("event %s has %s", g.event, value)
			}
		default:
			c.t.Fatalf("a line %q", line)
		}
	}
}

// want reads an event of the kind.
func (c *client) want(kind string) got {
	c.t.Helper()
	for {
		g, ok := c.next()
		switch {
		case ok && g.comment:
		case !ok || g.event != kind:
			c.t.Fatalf("got %+v, want %s", g, kind)
		default:
			return g
		}
	}
}

func said(i int) event.Broadcast {
	return event.Broadcast{Topic: "t", Payload: json.RawMessage(strconv.Itoa(i))}
}

// TestStream has a client who gets what happens, comes again, and finds what it missed.
func TestStream(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, events.Options{}, 0, h2)
			s.bus.Publish(said(0)) // before anybody came
			c := s.connect("", "")
			begin := c.want("stream.begin")
			if begin.retry != "2000" || !slices.Equal(into[api.StreamBegin](t, begin).Kinds, names(event.Kinds())) {
				t.Errorf("%+v", begin)
			}
			s.bus.Publish(event.PluginChanged{Plugin: "p", Version: "1", Change: event.PluginReady})
			g := c.want("plugin.changed")
			if p := into[api.PluginChanged](t, g); g.id == "" || g.data.ID != g.id || p != (api.PluginChanged{Plugin: "p", Version: "1", Change: "ready"}) {
				t.Errorf("%+v of %+v", p, g)
			}
			c.body.Close()
			s.bus.Publish(said(1))
			s.bus.Publish(said(2))

			c = s.connect("kinds=broadcast,plugin.changed", g.id)
			if again := c.want("stream.begin"); again.id != g.id {
				t.Errorf("it goes on behind %s, want %s", again.id, g.id)
			}
			for i := 1; i <= 2; i++ {
				if b := into[api.Broadcast](t, c.want("broadcast")); string(b.Payload) != strconv.Itoa(i) {
					t.Errorf("got %s, want %d", b.Payload, i)
				}
			}
			s.hub.Drain()
			end := c.want("stream.end")
			if into[api.StreamEnd](t, end).Reason != api.EndDraining || end.retry != "5000" || end.id != "" {
				t.Errorf("%+v", end)
			}
			if g, ok := c.next(); ok {
				t.Errorf("after the end: %+v", g)
			}
		})
	}
}

func names(kinds []event.Kind) (list []string) {
	for _, k := range kinds {
		list = append(list, k.String())
	}
	return list
}

// TestGaps has clients who come again too late, after a restart, and with what was never an ID.
func TestGaps(t *testing.T) {
	s := start(t, events.Options{}, 2, false)
	c := s.connect("kinds=broadcast", "")
	first := c.want("stream.begin").id
	for i := range 4 {
		s.bus.Publish(said(i))
	}
	second := ""
	for range 2 {
		second = c.want("broadcast").id
	}
	for _, g := range []struct {
		query, last string
		reason      api.GapReason // "" for none
		kinds       string
		payloads    []string
	}{
		{"kinds=broadcast", second, "", "", []string{"2", "3"}},
		{"kinds=broadcast&last_event_id=" + second, "", "", "", []string{"2", "3"}},
		{"kinds=broadcast", first, "forgotten", "[broadcast]", []string{"2", "3"}},
		{"kinds=broadcast,task.completed", second, "forgotten", "[task.completed]", []string{"2", "3"}},
		{"kinds=broadcast", "other-1", "unknown_id", "[broadcast]", []string{"2", "3"}},
		{"kinds=broadcast", strings.Replace(first, "-", "-0", 1), "unknown_id", "[broadcast]", []string{"2", "3"}},
		{"kinds=broadcast&last_event_id=0", "", "", "", []string{"2", "3"}},
	} {
		c := s.connect(g.query, g.last)
		c.want("stream.begin")
		if g.reason != "" {
			gap := into[api.StreamGap](t, c.want("stream.gap"))
			if gap.Reason != g.reason || fmt.Sprint(gap.Kinds) != g.kinds || gap.Missed != 0 {
				t.Errorf("%s %s: %+v, want %s of %s", g.query, g.last, gap, g.reason, g.kinds)
			}
		}
		for _, want := range g.payloads {
			if b := into[api.Broadcast](t, c.want("broadcast")); string(b.Payload) != want {
				t.Errorf("%s %s: got %s, want %s", g.query, g.last, b.Payload, want)
			}
		}
		c.body.Close()
	}
	// A restart: the same program with another bus, whose numbers begin again.
	bus := event.New(0)
	for i := range 9 {
		bus.Publish(said(i))
	}
	s.feed.Store(s.hub.Feed(bus))
	c = s.connect("kinds=broadcast", second)
	c.want("stream.begin")
	if gap := into[api.StreamGap](t, c.want("stream.gap")); gap.Reason != api.GapUnknownID {
		t.Errorf("after a restart: %+v", gap)
	}
	if b := into[api.Broadcast](t, c.want("broadcast")); string(b.Payload) != "0" {
		t.Errorf("got %s, want all that the new server has", b.Payload)
	}
	if err := bus.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		c.want("broadcast")
	}
	if end := into[api.StreamEnd](t, c.want("stream.end")); end.Reason != api.EndClosed {
		t.Errorf("the bus is closed: %+v", end)
	}
}

// TestSlowReader has a client who does not read, and then does: it has lost some, and is told of each.
func TestSlowReader(t *testing.T) {
	s := start(t, events.Options{Buffer: 16, KeepAlive: time.Hour}, 0, false)
	c := s.connect("kinds=broadcast", "")
	c.want("stream.begin")
	large := json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`)
	published := uint64(0)
	for s.bus.Stats().Dropped == 0 { // the sockets' buffers have to fill first
		s.bus.Publish(event.Broadcast{Payload: large})
		published++
		runtime.Gosched()
	}
	s.bus.Publish(event.Broadcast{Topic: "last"})
	published++
	seen, missed := uint64(0), uint64(0)
	for {
		g, ok := c.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		switch g.event {
		case "stream.gap":
			gap := into[api.StreamGap](t, g)
			if gap.Reason != api.GapSlow || gap.Missed == 0 || g.id != "" {
				t.Errorf("%+v", gap)
			}
			missed += gap.Missed
		case "broadcast":
			seen++
			if into[api.Broadcast](t, g).Topic != "last" {
				continue
			}
			if missed == 0 || seen+missed != published {
				t.Errorf("%d seen and %d missed of %d", seen, missed, published)
			}
			return
		}
	}
}

// TestOwners has somebody who opens all streams that it can, beside others.
func TestOwners(t *testing.T) {
	hub, bus := events.NewHub(events.Options{MaxStreams: 16}), event.New(0)
	feed := hub.Feed(bus)
	var open sync.WaitGroup
	// try opens a stream, and reports whether there was a place for it.
	try := func(ctx context.Context, owner string) bool {
		opened, refused := make(chan struct{}), make(chan struct{})
		w := &endless{ResponseRecorder: httptest.NewRecorder(), during: func(write int) {
			if write == 1 {
				close(opened)
			}
		}}
		open.Go(func() {
			if err := feed.Serve(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody), events.Query{Owner: owner}); err != nil {
				close(refused)
			}
		})
		select {
		case <-opened:
			return true
		case <-refused:
			return false
		}
	}
	for round := range 2 { // of which the second finds all places free again
		ctx, cancel := context.WithCancel(t.Context())
		for _, c := range []struct {
			owner string
			want  int
		}{{"ann", 12}, {"bob", 2}, {"cid", 2}, {"dan", 0}} {
			got := 0
			for got <= 16 && try(ctx, c.owner) {
				got++
			}
			if got != c.want {
				t.Errorf("round %d: %s has %d streams, want %d", round, c.owner, got, c.want)
			}
		}
		cancel()
		open.Wait()
	}
}

// TestBounds has as many streams as there may be, and comments on one that is idle.
func TestBounds(t *testing.T) {
	s := start(t, events.Options{MaxStreams: 2, KeepAlive: time.Millisecond}, 0, false)
	c := s.connect("", "")
	c.want("stream.begin")
	s.connect("", "")
	answer, err := s.http.Client().Get(s.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third stream: %s", answer.Status)
	}
	for range 2 {
		if g, _ := c.next(); !g.comment {
			t.Errorf("got %+v, want a comment", g)
		}
	}
	c.body.Close()
	for { // until the server has noticed
		answer, err := s.http.Client().Head(s.http.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c = s.connect("", "")
	c.want("stream.begin")
	close(s.withdrawn)
	if end := into[api.StreamEnd](t, c.want("stream.end")); end.Reason != api.EndWithdrawn {
		t.Errorf("%+v, want withdrawn", end)
	}
}

// TestFilters has who asks for some events get no others.
func TestFilters(t *testing.T) {
	s := start(t, events.Options{}, 0, false)
	ofA, ofB := event.TaskCompleted{Plugin: "a", Transform: "a.x", Output: []byte("out")}, event.TaskCompleted{Plugin: "b", Transform: "b", Error: "no", ErrorKind: "failed", Latency: time.Second}
	for _, c := range []struct{ query, want string }{
		{"plugin=a", "task a.x, plugin a"},
		{"plugin=b", "task b"},
		{"transform=a.x", "task a.x"},
		{"transform=a.x&outputs=true", "task a.x out"},
		{"transform=a.x&outputs=false&kinds=task.completed", "task a.x"},
		{"kinds=plugin.changed,broadcast", "plugin a, broadcast"},
		{"", "task a.x, task b, plugin a, broadcast"},
	} {
		client := s.connect(c.query, "")
		client.want("stream.begin")
		s.bus.Publish(ofA)
		s.bus.Publish(ofB)
		s.bus.Publish(event.PluginChanged{Plugin: "a"})
		s.bus.Publish(said(0))
		var list []string
		for range strings.SplitSeq(c.want, ", ") {
			g, _ := client.next()
			switch g.event {
			case "task.completed":
				b := into[api.TaskCompleted](t, g)
				if b.Transform == "b" && (b.Error != "no" || b.Kind != "failed" || b.LatencyS != 1) {
					t.Errorf("%+v", b)
				}
				list = append(list, strings.TrimSpace("task "+b.Transform+" "+string(b.Output)))
			case "plugin.changed":
				list = append(list, "plugin "+into[api.PluginChanged](t, g).Plugin)
			default:
				list = append(list, g.event)
			}
		}
		if got := strings.Join(list, ", "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.query, got, c.want)
		}
		client.body.Close()
		for s.bus.Stats().Subscribers > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if s.bus.Wants(event.KindTaskCompleted) {
		t.Error("events of tasks are made though nobody is there")
	}
}

// TestFiltersOfATenant has a query of one tenant for all kinds: those that may tell of all tenants do not come.
func TestFiltersOfATenant(t *testing.T) {
	s, ann := start(t, events.Options{}, 0, false), "ann"
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.feed.Load().Serve(w, r, events.Query{Tenant: &ann, Last: "0"}); err != nil {
			t.Error(err)
		}
	}))
	defer web.Close()
	s.bus.Publish(event.PluginLogged{Plugin: "a", Source: "a", Text: "a secret"})
	s.bus.Publish(event.StateOutage{Detail: "a secret"})
	s.bus.Publish(said(0))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in, got := bufio.NewScanner(resp.Body), ""
	for !strings.Contains(got, `"broadcast.v1"`) && in.Scan() {
		got += in.Text() + "\n"
	}
	s.hub.Drain()
	if !strings.Contains(got, `"broadcast.v1"`) || strings.Contains(got, "a secret") {
		t.Errorf("a tenant gets %s", got)
	}
}

// TestParse has parameters that are refused.
func TestParse(t *testing.T) {
	for query, want := range map[string]string{
		"kinds=plugin.chnged":                   `kinds: has "plugin.chnged", which is no kind of these events; did you mean "plugin.changed"?`,
		"kinds=":                                `kinds: has "", which is no kind of these events; there are node.created`,
		"outputs=yes":                           "outputs: must be true or false",
		"rate=0":                                "rate: must be a number from 1 to 1000000",
		"rate=1000001":                          "rate: must be a number from 1 to 1000000",
		"rate=many":                             "rate: must be a number from 1 to 1000000",
		"plugin=":                               "plugin: must have 1 to 256 bytes, has 0",
		"transform=" + strings.Repeat("x", 257): "transform: must have 1 to 256 bytes, has 257",
		"last_event_id=" + strings.Repeat("x", 1000): "last_event_id: must have 1 to 256 bytes, has 1000",
	} {
		if _, err := events.Parse(httptest.NewRequest(http.MethodGet, "/?"+query, http.NoBody)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: err %v, want %s", query, err, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/?last_event_id=a", http.NoBody)
	r.Header.Set("Last-Event-ID", "b")
	if q, err := events.Parse(r); err != nil || q.Last != "b" {
		t.Errorf("%+v, %v: want the header's", q, err)
	}
	r.Header.Set("Last-Event-ID", strings.Repeat("x", 257))
	if _, err := events.Parse(r); err == nil {
		t.Error("a header of 257 bytes is taken")
	}
	r.Header.Set("Last-Event-ID", "a")
	r.Header.Add("Last-Event-ID", "a")
	if _, err := events.Parse(r); err == nil || err.Error() != "Last-Event-ID: must not be there twice" {
		t.Errorf("two headers: %v", err)
	}
	if _, err := events.Parse(httptest.NewRequest(http.MethodGet, "/?kinds=broadcast", http.NoBody), event.KindNodeCreated); err == nil {
		t.Error("a kind is taken that the stream does not have")
	}
}

// FuzzParse has any query and any ID.
func FuzzParse(f *testing.F) {
	f.Add("kinds=plugin.changed,broadcast&plugin=a&transform=b&outputs=true&last_event_id=0&rate=40", "abc-12")
	f.Add("kinds=%zz&kinds=;", "-18446744073709551616")
	feed := events.NewHub(events.Options{}).Feed(event.New(0))
	f.Fuzz(func(t *testing.T, query, last string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", last)
		q, err := events.Parse(r)
		if err != nil {
			return
		}
		if len(q.Last) > 256 || len(q.Plugin) > 256 || len(q.Transform) > 256 || len(q.Kinds) > len(event.Kinds()) {
			t.Errorf("%+v is taken", q)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		if err := feed.Serve(w, r.WithContext(ctx), q); err != nil {
			t.Fatal(err)
		}
		if got := w.Body.String(); !strings.HasPrefix(got, "retry: 2000\nid: ") || !strings.HasSuffix(got, "\n\n") {
			t.Errorf("%q", got)
		}
	})
}
