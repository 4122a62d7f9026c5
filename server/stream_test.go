package server_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
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
	if tenant != "" {
		r.Header.Set(server.HeaderTenant, tenant)
	}
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
	if err := s.host.Pause(t.Context(), "hostile"); err != nil {
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
		"/v1/logs/hostile?tail=":         "tail: must be a number from 0 to 256",
		"/v1/logs/hostile?tail=257":      "tail: must be a number from 0 to 256",
		"/v1/logs/hostile?last=3":        "last: is not a known parameter",
	} {
		if status, _, body := s.do(t, http.MethodGet, path, "", ""); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
	if status, _, body := s.do(t, http.MethodGet, "/v1/logs/none", "", ""); status != http.StatusNotFound || !strings.Contains(body, `"kind":"unknown_plugin"`) {
		t.Errorf("the log of no plugin: %d %s", status, body)
	}
	without := serve(t, nil)
	for _, path := range []string{"/v1/events", "/v1/logs/hostile"} {
		if status, _, _ := without.do(t, http.MethodGet, path, "", ""); status != http.StatusNotFound {
			t.Errorf("%s without events: status %d, want 404", path, status)
		}
	}
}

// TestEventKinds has a server whose bus has a few kinds: filters for others are refused.
func TestEventKinds(t *testing.T) {
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withEvents(event.New(0))(cfg, o)
		o.EventKinds = []event.Kind{event.KindPluginChanged, event.KindTaskCompleted}
	})
	if status, _, body := s.do(t, http.MethodGet, "/v1/events?kinds=node.created", "", ""); status != http.StatusBadRequest ||
		!strings.Contains(body, "which is no kind of these events; there are plugin.changed, task.completed") {
		t.Errorf("%d %s", status, body)
	}
	if got := s.streamed(t, "", "")(); !strings.Contains(got, `"kinds":["plugin.changed","task.completed"]`) {
		t.Errorf("all kinds are %s", got)
	}
}

// TestEventKindsOfAll has a server all of whose kinds may tell of all tenants: none is left for one.
func TestEventKindsOfAll(t *testing.T) {
	bus := event.New(0)
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withEvents(bus)(cfg, o)
		o.EventKinds = []event.Kind{event.KindPluginLogged, event.KindStateSaved, event.KindStateOutage}
	})
	if status, _, body := s.do(t, http.MethodHead, "/v1/events", "", "", server.HeaderTenant, "ann"); status != http.StatusBadRequest {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := s.do(t, http.MethodHead, "/v1/events?kinds=state.saved", "", "", server.HeaderTenant, "ann"); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
	if got := s.streamed(t, "", "")(); !strings.Contains(got, `"kinds":["plugin.logged","state.saved","state.outage"]`) {
		t.Errorf("who sees all tenants has %s", got)
	}
}

// TestLogs reads what a plugin has logged, and goes on with what it logs then.
func TestLogs(t *testing.T) {
	s := serve(t, withEvents(event.New(0)))
	logLine := func() {
		t.Helper()
		if status, _, body := s.do(t, http.MethodPost, "/v1/transforms/hostile.loglevel", "application/octet-stream", "!"); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	read := func(query string) (out api.Logs) {
		t.Helper()
		status, header, body := s.do(t, http.MethodGet, "/v1/logs/hostile"+query, "", "")
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != http.StatusOK || header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", status, header, body)
		}
		return out
	}
	if out := read(""); out.Lines == nil || len(out.Lines) != 0 || out.Plugin != "hostile" || out.Source != "hostile" || out.LastEventID == "" {
		t.Errorf("before it has logged anything: %+v", out)
	}
	logLine()
	logLine()
	out := read("")
	if len(out.Lines) != 2 || out.Lines[0].Level != "error" || out.Lines[0].Stream != "log" || !strings.Contains(out.Lines[0].Text, "\x1b") ||
		len(out.Lines[0].Hash) != 64 || out.Lines[0].Time.IsZero() || out.Lines[1].ID == out.Lines[0].ID {
		t.Errorf("got %+v", out)
	}
	if last := read("?tail=1"); len(last.Lines) != 1 || last.Lines[0].ID != out.Lines[1].ID || len(read("?tail=0").Lines) != 0 {
		t.Errorf("the last line is %+v, want %+v", last.Lines, out.Lines[1])
	}
	next := s.streamed(t, "?kinds=plugin.logged&plugin=hostile&last_event_id="+out.LastEventID, "")
	next()
	logLine()
	if got := next(); !strings.Contains(got, `"type":"plugin.logged.v1"`) || !strings.Contains(got, `"source":"hostile"`) || strings.Contains(got, out.Lines[1].ID) {
		t.Errorf("then comes %s", got)
	}
	next = s.streamed(t, "?kinds=plugin.logged&plugin=other&last_event_id=0", "")
	next()
	s.server.SetDraining()
	if got := next(); !strings.Contains(got, "stream.end") {
		t.Errorf("who asks for another plugin gets %s", got)
	}
}

// TestWhoSees has the same rule for all that tells of tenants: figures, events and logs.
func TestWhoSees(t *testing.T) {
	c := newCallers().with(t, "acme", "scopes=read").with(t, "gate", "scopes=read,admin tenant=*").with(t, "ops", "scopes=read,admin")
	bus := event.New(0)
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withEvents(bus)(cfg, o)
		o.Identity = c
	})
	trusting := serve(t, withEvents(event.New(0)))
	for _, x := range []struct {
		who, tenant string // "" is nobody that is known, and no header
		all         bool
	}{{"acme", "", false}, {"acme", "acme", false}, {"ops", "", true}, {"ops", "ops", false}, {"gate", "", true}, {"gate", "acme", false}, {"", "", true}, {"", "acme", false}} {
		var header []string
		if x.tenant != "" {
			header = []string{server.HeaderTenant, x.tenant}
		}
		get := func(path string) int {
			t.Helper()
			if x.who == "" {
				status, _, _ := trusting.do(t, http.MethodHead, path, "", "", header...)
				return status
			}
			status, _, _ := s.as(t, c, x.who, http.MethodHead, path, "", header...)
			return status
		}
		want := http.StatusForbidden
		if x.all {
			want = http.StatusOK
		}
		if logs, stream := get("/v1/logs/hostile"), get("/v1/events?kinds=plugin.logged"); logs != want || stream != want {
			t.Errorf("%+v: log %d, its events %d; want %d", x, logs, stream, want)
		}
		if events := get("/v1/events"); events != http.StatusOK {
			t.Errorf("%+v: events %d", x, events)
		}
	}
	// Who may not have logs has the other kinds, and is told which.
	all, acme := trusting.streamed(t, "", ""), trusting.streamed(t, "", "acme")
	if got := all(); !strings.Contains(got, "plugin.logged") {
		t.Errorf("all kinds are %s", got)
	}
	if got := acme(); strings.Contains(got, "plugin.logged") || !strings.Contains(got, "task.completed") {
		t.Errorf("a tenant's kinds are %s", got)
	}
}

// TestUnknownNames has a stream say when it begins that nothing has a name that it is of. It goes on: a plugin
// may come.
func TestUnknownNames(t *testing.T) {
	s := serve(t, withEvents(event.New(0)))
	for query, want := range map[string]string{
		"?plugin=hostile":                  `null`,
		"?transform=hostile.trap":          `null`,
		"":                                 `null`,
		"?plugin=hostil":                   `["no plugin has the name \"hostil\" by now; did you mean \"hostile\"?"]`,
		"?plugin=x&transform=hostile.tarp": `["no plugin has the name \"x\" by now","no transform has the name \"hostile.tarp\" by now; did you mean \"hostile.trap\"?"]`,
	} {
		var begin struct {
			Data struct {
				Notes json.RawMessage `json:"notes"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(s.streamed(t, query, "")()), &begin); err != nil {
			t.Fatal(err)
		}
		if got := string(begin.Data.Notes); got != want && (got != "" || want != "null") {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	s.server.SetDraining()
}
