package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

func stats(t *testing.T, s *served) (out api.Stats) {
	t.Helper()
	status, header, body := s.do(t, http.MethodGet, "/v1/stats", "", "")
	if status != http.StatusOK || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, %v, %s", status, header, body)
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStats has tasks succeed, fail, run and wait.
func TestStats(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Workers = 1
		cfg.Overrides["hostile"] = host.PluginConfig{RunTimeout: time.Hour}
	})
	for _, body := range []string{"fine", "fine", "!"} {
		s.do(t, http.MethodPost, "/v1/transforms/hostile.trap", "application/octet-stream", body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pending := []*host.Pending{s.host.Submit(ctx, "hostile.spin", []byte("!"))}
	for s.host.Stats().Active == 0 {
		runtime.Gosched()
	}
	for range 3 {
		pending = append(pending, s.host.Client("acme", host.PriorityBulk).Submit(ctx, "hostile.echo", nil))
	}
	for s.host.Stats().QueueDepth < 3 {
		runtime.Gosched()
	}
	out := stats(t, s)
	want := []api.Queue{{Transform: "hostile.echo", Priority: "bulk", Tenant: "acme", Tasks: 3}}
	if out.Workers != 1 || out.Active != 1 || out.QueueDepth != 3 || out.Draining || !slices.Equal(out.Queues, want) || out.Started.After(out.Time) {
		t.Errorf("%+v", out)
	}
	at := slices.IndexFunc(out.Plugins[0].Transforms, func(t api.TransformStats) bool { return t.Name == "hostile.trap" })
	trap, buckets := out.Plugins[0].Transforms[at], uint64(0)
	for _, n := range trap.Latency.Counts {
		buckets += n
	}
	if trap.OK != 2 || trap.Errors[host.KindTrap] != 1 || buckets != 3 || trap.Latency.SumSeconds <= 0 || len(trap.Latency.Counts) != len(out.Bounds)+1 {
		t.Errorf("%+v of the bounds %v", trap, out.Bounds)
	}
	cancel()
	for _, p := range pending {
		_, _ = p.Wait() // they were cancelled
	}
	s.server.SetDraining()
	if again := stats(t, s); !again.Draining || again.QueueDepth != 0 || !again.Started.Equal(out.Started) {
		t.Errorf("at the end %+v", again)
	}
}

// TestStatsOfTenants has two tenants' tasks wait. Each reader sees its own, and an admin both.
func TestStatsOfTenants(t *testing.T) {
	wait := make(chan struct{})
	c := newCallers().with(t, "acme", "scopes=read").with(t, "gate", "scopes=read tenant=*").with(t, "ops", "scopes=read,admin")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(wait)(cfg, o)
		cfg.Workers, o.Identity = 1, c
	})
	pending := []*host.Pending{s.host.Submit(t.Context(), "n.wait", nil)}
	for s.host.Stats().Active == 0 {
		runtime.Gosched()
	}
	for _, tenant := range []string{"acme", "rival", "rival"} {
		pending = append(pending, s.host.Client(tenant, host.PriorityNormal).Submit(t.Context(), "n.wait", nil))
	}
	for s.host.Stats().QueueDepth < 3 {
		runtime.Gosched()
	}
	for _, who := range []struct{ name, tenant, want string }{
		{"acme", "", "acme"}, {"gate", "", ""}, {"gate", "rival", "rival"}, {"ops", "", "rival acme"},
	} {
		var header []string
		if who.tenant != "" {
			header = []string{server.HeaderTenant, who.tenant}
		}
		status, _, body := s.as(t, c, who.name, http.MethodGet, "/v1/stats", "", header...)
		var out api.Stats
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != http.StatusOK {
			t.Fatalf("%s: status %d, %s", who.name, status, body)
		}
		tenants := []string{}
		for _, q := range out.Queues {
			tenants = append(tenants, q.Tenant)
		}
		if got := strings.Join(tenants, " "); got != who.want || out.QueueDepth != 3 || out.Queues == nil {
			t.Errorf("%s sees the queues of %q among %d tasks, want %q", who.name, got, out.QueueDepth, who.want)
		}
	}
	if status, _, _ := s.as(t, c, "acme", http.MethodGet, "/v1/stats", "", server.HeaderTenant, "rival"); status != http.StatusForbidden {
		t.Errorf("in the name of another tenant: status %d", status)
	}
	close(wait)
	for _, p := range pending {
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestHome leads browsers to where people look, and nobody else.
func TestHome(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Home = "/ui/" })
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for accept, want := range map[string]string{
		"": "", "*/*": "", "application/json": "", "text/plain, text/html;q=0": "",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "/ui/", "TEXT/HTML": "/ui/",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		status := http.StatusOK
		if want != "" {
			status = http.StatusSeeOther
		}
		if resp.StatusCode != status || resp.Header.Get("Location") != want || resp.Header.Get("Vary") != "Accept" {
			t.Errorf("Accept %q: %d %v", accept, resp.StatusCode, resp.Header)
		}
	}
}

// TestRefusedCount has what is refused before the host has a task count among the errors of its transform.
func TestRefusedCount(t *testing.T) {
	b := work(t, func(o *server.Options) { o.MaxBody = 1 << 10 }, false)
	const path, long = "/v1/transforms/t.echo", 2 << 10
	b.do(t, http.MethodPost, path, "application/json", strings.Repeat(" ", long))
	b.do(t, http.MethodPost, path, server.MediaTypeLines, "{\n1\n"+strings.Repeat(" ", long)+"1\n")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+path, strings.NewReader("1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Content-Type"], r.Header[server.HeaderStream] = []string{"application/json"}, []string{"a", "b"}
	resp, err := b.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	const want = `resonance_errors_total{kind="invalid_argument",transform="t.echo"} 4`
	if _, _, text := b.do(t, http.MethodGet, "/metrics", "", ""); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, want) {
		t.Errorf("status %d, and the metrics lack %s", resp.StatusCode, want)
	}
}
