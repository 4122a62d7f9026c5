package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client speaks HTTP with a server that has networks.
type client struct {
	t       *testing.T
	http    *httptest.Server
	service *serve.Service
	server  *server.Server
	tenant  string
}

func start(t *testing.T, o serve.Options, plugin host.Native) *client {
	t.Helper()
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{plugin}})
	o.Hub = events.NewHub(events.Options{KeepAlive: 10 * time.Millisecond})
	s, err := serve.New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	web, err := server.New(h, resonance.Codecs(), server.Options{
		TrustTenant: true, Routes: s.Routes(), Collectors: s.Collectors(), EventHub: o.Hub,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, httptest.NewServer(web.Handler()), s, web, ""}
	t.Cleanup(func() {
		web.SetDraining()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		c.http.Close()
	})
	return c
}

func (c *client) as(tenant string) *client {
	other := *c
	other.tenant = tenant
	return &other
}

// do sends a request, and decodes an answer of the status into v.
func (c *client) do(status int, method, path, body string, v any) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.http.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.tenant != "" {
		r.Header.Set(server.HeaderTenant, c.tenant)
	}
	answer, err := c.http.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil || answer.StatusCode != status {
		c.t.Fatalf("%s %s %.100s: %s %s, %v; want %d", method, path, body, answer.Status, text, err, status)
	}
	return string(text)
}

// TestNetwork has a network from its creation to its end, beside another tenant's of the same name.
func TestNetwork(t *testing.T) {
	c := start(t, serve.Options{}, tick.New())
	var n serve.Network
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "a", "node_period": "1ms", "network_period": "5ms"}`, &n)
	if n.ID != "a" || n.State == nil || n.MaxNodes != serve.DefaultMaxNodes || n.Created.IsZero() {
		t.Errorf("%+v", n)
	}
	var node serve.Node
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/nodes", `{"frequency": 432.5, "harmonic_patterns": ["golden_ratio_harmonics"]}`, &node)
	if node.ID != "node-0" || node.Frequency != 432.5 || node.PeriodS != 0.001 || node.State != "resonating" {
		t.Errorf("%+v", node)
	}
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/nodes", `{"id": "x/y z", "resonance_strength": 0.5, "state": "stopped", "period": "20ms"}`, &node)
	if node.ID != "x/y z" || node.State != "stopped" || node.PeriodS != 0.02 {
		t.Errorf("%+v", node)
	}
	var made network.Connection
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/connections", `{"a": "node-0", "b": "x/y z"}`, &made)
	c.do(http.StatusOK, http.MethodGet, "/v1/networks/a/nodes/x%2Fy%20z", "", &node)
	if made.Quality <= 0 || len(node.Connections) != 1 || node.Connections[0].B != "node-0" || node.Connections[0].Quality != made.Quality {
		t.Errorf("%+v; %+v", made, node)
	}
	for { // it ticks
		c.do(http.StatusOK, http.MethodGet, "/v1/networks/a", "", &n)
		c.do(http.StatusOK, http.MethodGet, "/v1/networks/a/nodes/node-0", "", &node)
		if n.Ticks > 10 && n.NowMS > 0 && node.Strength > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n.Nodes != 2 || n.Active != 1 || n.Connections != 1 || n.Failed != 0 {
		t.Errorf("%+v", n)
	}
	c.do(http.StatusOK, http.MethodPost, "/v1/networks/a/nodes/node-0/stop", "", &node)
	c.do(http.StatusOK, http.MethodPost, "/v1/networks/a/nodes/x%2Fy%20z/resume", "", &node)
	if node.State != "resonating" {
		t.Errorf("%+v", node)
	}
	var nodes serve.Nodes
	c.do(http.StatusOK, http.MethodGet, "/v1/networks/a/nodes?limit=1", "", &nodes)
	if nodes.Total != 2 || len(nodes.Nodes) != 1 {
		t.Errorf("%+v", nodes)
	}
	ann := c.as("ann")
	ann.do(http.StatusNotFound, http.MethodGet, "/v1/networks/a", "", nil)
	ann.do(http.StatusNotFound, http.MethodDelete, "/v1/networks/a", "", nil)
	ann.do(http.StatusNotFound, http.MethodPost, "/v1/networks/a/nodes", "", nil)
	ann.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "a"}`, nil)
	var list serve.Networks
	ann.do(http.StatusOK, http.MethodGet, "/v1/networks", "", &list)
	if len(list.Networks) != 1 || list.Networks[0].Nodes != 0 || list.Networks[0].State != nil {
		t.Errorf("%+v", list)
	}
	metrics := c.do(http.StatusOK, http.MethodGet, "/metrics", "", nil)
	for _, line := range []string{"resonance_active_nodes 1\n", "resonhost_networks 2\n", "resonhost_network_connections 1\n"} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	c.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/a/nodes/node-0", "", nil)
	c.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/a", "", nil)
	c.do(http.StatusNotFound, http.MethodGet, "/v1/networks/a", "", nil)
	if s := c.service.Stats(); s.Nodes != 0 || s.Ticks < 10 || s.Lag.Count < 10 {
		t.Errorf("what was deleted has not counted: %+v", s)
	}
}

// TestRefusals has requests that are refused, and says why.
func TestRefusals(t *testing.T) {
	c := start(t, serve.Options{MaxNetworks: 4, MaxNodes: 3, MaxConnections: 1}, tick.New())
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "a"}`, nil)
	for i := range 3 {
		c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/nodes", fmt.Sprintf(`{"id": "n%d"}`, i), nil)
	}
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/connections", `{"a": "n0", "b": "n1"}`, nil)
	for _, r := range []struct {
		status             int
		method, path, body string
		want               string
	}{
		{409, http.MethodPost, "/v1/networks", `{"id": "a"}`, "there is a network a already"},
		{400, http.MethodPost, "/v1/networks", `{"id": "a/b"}`, "letters, digits"},
		{400, http.MethodPost, "/v1/networks", `{"id": "` + strings.Repeat("x", 65) + `"}`, "letters, digits"},
		{400, http.MethodPost, "/v1/networks", `{"node_period": "1us"}`, `"field":"node_period"`},
		{400, http.MethodPost, "/v1/networks", `{"network_period": "2h"}`, `"field":"network_period"`},
		{400, http.MethodPost, "/v1/networks", `{"nodes": 1}`, "is not a known member"},
		{400, http.MethodPost, "/v1/networks", `{`, `"field":"document"`},
		{413, http.MethodPost, "/v1/networks", strings.Repeat(" ", 64<<10+1), "65536"},
		{409, http.MethodPost, "/v1/networks/a/nodes", `{}`, "network is full: it has 3 nodes"},
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"id": ".."}`, `"field":"id"`}, // whose path would be the network's
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"id": "."}`, `"field":"id"`},
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"frequency": -1}`, `"field":"frequency"`},
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"frequency": 1e999}`, "must be a number in range"},
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"state": "asleep"}`, `"field":"state"`},
		{400, http.MethodPost, "/v1/networks/a/nodes", `{"period": "0s"}`, `"field":"period"`},
		{404, http.MethodPost, "/v1/networks/a/nodes/nx/stop", ``, "nx"},
		{404, http.MethodPost, "/v1/networks/a/nodes/n0/jump", ``, "stop and resume"},
		{400, http.MethodPost, "/v1/networks/a/connections", `{"a": "n0"}`, "b: is required"},
		{400, http.MethodPost, "/v1/networks/a/connections", `{"b": "n0"}`, "a: is required"},
		{409, http.MethodPost, "/v1/networks/a/connections", `{"a": "n0", "b": "n2"}`, "--max-network-connections"},
		{400, http.MethodGet, "/v1/networks/a/nodes?limit=0", ``, `"field":"limit"`},
		{400, http.MethodGet, "/v1/networks/a/events?kinds=task.completed", ``, "no kind of these events"},
		{404, http.MethodGet, "/v1/networks/b/events", ``, "there is no such network"},
	} {
		if got := c.do(r.status, r.method, r.path, r.body, nil); !strings.Contains(got, r.want) {
			t.Errorf("%s %.60s: %s, want %s", r.path, r.body, got, r.want)
		}
	}
	c.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/a/nodes/n1", "", nil)
	if got := c.do(http.StatusBadRequest, http.MethodPost, "/v1/networks/a/connections", `{"a": "n0", "b": "n0"}`, nil); !strings.Contains(got, "another node") {
		t.Errorf("%s", got)
	}
	// The last quarter of the networks is for tenants that have none.
	for range 2 {
		c.do(http.StatusCreated, http.MethodPost, "/v1/networks", "", nil)
	}
	if got := c.do(http.StatusTooManyRequests, http.MethodPost, "/v1/networks", "", nil); !strings.Contains(got, "--max-networks") {
		t.Errorf("%s", got)
	}
	c.as("ann").do(http.StatusCreated, http.MethodPost, "/v1/networks", "", nil)
	c.as("bob").do(http.StatusTooManyRequests, http.MethodPost, "/v1/networks", "", nil)
	if err := c.service.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.do(http.StatusServiceUnavailable, http.MethodPost, "/v1/networks", `{"id": "late"}`, nil)
}

// TestTooManyNodes has more nodes than a network can have.
func TestTooManyNodes(t *testing.T) {
	if _, err := serve.New(nil, serve.Options{MaxNodes: network.MaxCapacity + 1}); err == nil || !strings.Contains(err.Error(), "MaxNodes") {
		t.Errorf("err %v", err)
	}
}

// TestNoTick has a host without the plugin.
func TestNoTick(t *testing.T) {
	c := start(t, serve.Options{}, cascade.New())
	got := c.do(http.StatusServiceUnavailable, http.MethodPost, "/v1/networks", "", nil)
	if !strings.Contains(got, "networks need the plugin tick") || !strings.Contains(got, `"kind":"unavailable"`) {
		t.Errorf("%s", got)
	}
	var list serve.Networks
	c.do(http.StatusOK, http.MethodGet, "/v1/networks", "", &list)
	if len(list.Networks) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestEvents follows a network until it is deleted.
func TestEvents(t *testing.T) {
	c := start(t, serve.Options{}, tick.New())
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "a", "node_period": "1ms"}`, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.http.URL+"/v1/networks/a/events?last_event_id=0", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	in := bufio.NewScanner(answer.Body)
	seen := make(map[string]bool)
	await := func(kind string) {
		t.Helper()
		for !seen[kind] {
			if !in.Scan() {
				t.Fatalf("the stream has ended without %s: %v", kind, in.Err())
			}
			if kind, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				seen[kind] = true
			}
		}
	}
	await("stream.begin")
	await("network.activated") // which the history has
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks/a/nodes", `{"id": "n", "resonance_strength": 1}`, nil)
	await("node.created")
	await("tick.completed")
	await("nodes.progressed")
	c.do(http.StatusOK, http.MethodPost, "/v1/networks/a/nodes/n/stop", "", nil)
	await("node.changed")
	c.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/a", "", nil)
	await("stream.end")
	for in.Scan() { // the rest of the last event
		if strings.HasPrefix(in.Text(), "event: ") {
			t.Errorf("after the end: %s", in.Text())
		}
	}
}

// TestMany has many clients create, connect and delete at once.
func TestMany(t *testing.T) {
	c := start(t, serve.Options{MaxConnections: 5}, tick.New())
	c.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "shared"}`, nil)
	for i := range 10 {
		c.do(http.StatusCreated, http.MethodPost, "/v1/networks/shared/nodes", fmt.Sprintf(`{"id": "n%d"}`, i), nil)
	}
	var all sync.WaitGroup
	var made atomic.Int64
	for i := range 9 {
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.http.URL+"/v1/networks/shared/connections", strings.NewReader(fmt.Sprintf(`{"a": "n%d", "b": "n%d"}`, i, i+1)))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			answer, err := c.http.Client().Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			if answer.StatusCode == http.StatusCreated {
				made.Add(1)
			}
			own := c.as(fmt.Sprint("tenant", i))
			own.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "own", "node_period": "1ms"}`, nil)
			own.do(http.StatusCreated, http.MethodPost, "/v1/networks/own/nodes", "", nil)
			own.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/own", "", nil)
		})
	}
	all.Wait()
	if made.Load() > 5 || c.service.Stats().Connections != int(made.Load()) {
		t.Errorf("%d connections were made, there are %d, and may be 5", made.Load(), c.service.Stats().Connections)
	}
}

// FuzzNode has any body of a node, over the real routes.
func FuzzNode(f *testing.F) {
	f.Add(`{"id": "a", "frequency": 432, "resonance_strength": 0.5, "state": "stopped", "harmonic_patterns": ["p"], "period": "20ms"}`)
	f.Add(`{"frequency": 1e-400}`)
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{tick.New()}})
	if err != nil {
		f.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		f.Fatal(err)
	}
	s, err := serve.New(h, serve.Options{})
	if err != nil {
		f.Fatal(err)
	}
	web, err := server.New(h, resonance.Codecs(), server.Options{Routes: s.Routes()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = s.Close(context.Background())
		_ = h.Close(context.Background())
	})
	handler := web.Handler()
	f.Fuzz(func(t *testing.T, body string) {
		post := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w
		}
		post(http.MethodPost, "/v1/networks", `{"id": "f"}`)
		w := post(http.MethodPost, "/v1/networks/f/nodes", body)
		var node serve.Node
		switch {
		case w.Code == http.StatusCreated:
			if err := json.Unmarshal(w.Body.Bytes(), &node); err != nil || node.ID == "" || !(node.Frequency > 0 && node.Frequency <= 1e6) || !(node.Strength >= 0 && node.Strength <= 1) {
				t.Errorf("%q is the node %s", body, w.Body)
			}
		case w.Code >= http.StatusInternalServerError || w.Code < http.StatusBadRequest:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
		if w := post(http.MethodDelete, "/v1/networks/f", ""); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
