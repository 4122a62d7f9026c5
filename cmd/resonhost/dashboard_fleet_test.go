package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// fleetTest is a fleet of two hosts whose page a test looks at.
type fleetTest struct {
	*daemonTest

	nats  *natstest.Server
	relay *relay // to the host whose page it is
	file  string // of the plugin that is pushed
}

// TestDashboardFleet looks at the page of a fleet in a real browser: two hosts, roll-outs that go on, are stopped and end, and servers that
// go away.
func TestDashboardFleet(t *testing.T) {
	f := &fleetTest{nats: natstest.Start(t), file: filepath.Join(t.TempDir(), "swap.wasm")}
	config := filepath.Join(t.TempDir(), "resonhost.yaml")
	if err := os.WriteFile(config, []byte("compile_timeout: 1h\ninit_timeout: 1h\nrun_timeout: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"two", "one"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "swap.wasm"), guesttest.Swap(t, guesttest.Version{Tag: "v1"}), 0o600); err != nil {
			t.Fatal(err)
		}
		f.daemonTest = startRun(t, "--plugins", dir, "--config", config, "--nats", f.nats.URL(), "--host-name", name)
	}
	f.relay = newRelay(t, f.addr)
	browser := newBrowser(t)
	b := newTab(browser, t, f.relay.addr(), 1280, 900, "light")
	f.watch(t, b)
	f.sameShape(t)
	for _, c := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}, {"phone-dark", "dark", 375, 812}} {
		look := newTab(browser, t, f.addr, c.width, c.height, c.scheme)
		look.open("#/fleet")
		look.awaitText(".callout .reason", "self-test")
		look.await(`resonhost.live.samples.length > 0`)
		testSteady(t, look, "fleet of "+c.name)
		looksWell(t, look, "fleet of "+c.name)
		look.shot("fleet-" + c.name)
		look.eval0(`scrollTo(0, document.body.scrollHeight)`)
		look.shot("fleet-below-" + c.name)
	}
	f.goAway(t, b)
	f.none(t, newTab(browser, t, startRun(t, "--mode", "inline").addr, 1280, 900, "light"))
}

// push begins a roll-out.
func (f *fleetTest) push(t *testing.T, v guesttest.Version, watch string) {
	t.Helper()
	if err := os.WriteFile(f.file, guesttest.Swap(t, v), 0o600); err != nil {
		t.Fatal(err)
	}
	f.command(t, "push", f.file, "--watch", watch, "--detach")
}

// command does a command of the fleet, and returns what it prints.
func (f *fleetTest) command(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), slices.Concat([]string{"resonhost", "fleet"}, args, []string{"--nats", f.nats.URL()}), strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("%q: code %d: %s", args, code, stderr.String())
	}
	return stdout.String()
}

// watch sees roll-outs, and a host that is drained.
func (f *fleetTest) watch(t *testing.T, b *tab) {
	b.open("#/")
	b.click("nav a", "Fleet") // which comes once it is known that there is a fleet
	b.awaitText("h1", "Fleet")
	b.awaitText("tbody th", "one")
	b.awaitText("tbody th", "two")
	b.awaitText("h1", "Fleet default")
	b.awaitText(".tile", "all serve")
	b.awaitText(".empty-title", "No plugin was pushed")
	b.await(`[...document.querySelectorAll('td')].filter((e) => e.textContent.trim() === 'v1').length === 2`)
	b.await(`document.querySelector('nav a[aria-current]').dataset.page === 'fleet'`)

	f.push(t, guesttest.Version{Tag: "v2"}, "1h")
	b.awaitText(".badge", "rolling out")
	b.awaitText(".callout", "A roll-out is under way")
	b.awaitText(".callout", "Good on 0 of 2 hosts.")
	b.awaitText(".check .badge", "trying")
	b.awaitText(".check .badge", "waits")
	b.shot("fleet-rolling")
	f.command(t, "rollback", "swap")
	b.awaitText(".callout.bad", "The roll-out was stopped")
	b.awaitText(".callout .reason", "by request")

	f.push(t, guesttest.Version{Tag: "v2"}, "1ms")
	b.awaitText(".badge", "all hosts serve it")
	b.awaitText("article p", "which is on 2 of 2 hosts.")
	b.await(`[...document.querySelectorAll('td')].filter((e) => e.textContent.trim() === 'v2').length === 2`)
	f.push(t, guesttest.Version{Tag: "v3", SelfTest: "other"}, "1ms")
	b.awaitText(".callout.bad .reason", "self-test")

	f.command(t, "drain", "two")
	b.awaitText("td .badge", "drained")
	b.awaitText(".tile", "1 not serving")
	if nameless := eval[[]string](b, `[...document.querySelectorAll('a, progress, table, [role=region]')].filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label'))).map((e) => e.outerHTML)`); len(nameless) > 0 {
		t.Errorf("these have no name: %q", nameless)
	}
}

// sameShape has GET /v1/fleet answer what resonhost fleet ls --json prints.
func (f *fleetTest) sameShape(t *testing.T) {
	t.Helper()
	status, body := f.get(t, "/v1/fleet")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	texts := []string{body, f.command(t, "ls", "--json")}
	var views [2]api.Fleet
	for i, text := range texts {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&views[i]); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for j := range views[i].Hosts { // what passes
			views[i].Hosts[j].Age, views[i].Hosts[j].Rate = 0, nil
		}
		views[i].Time = views[0].Time
		b, err := json.Marshal(views[i])
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(b)
	}
	if v := &views[0]; texts[0] != texts[1] || len(v.Hosts) != 2 || len(v.Plugins) != 1 || v.Hosts[1].State != api.FleetHostDrained || v.Plugins[0].Rollout.State != api.FleetStopped {
		t.Errorf("%s\nover HTTP, and by the command\n%s", texts[0], texts[1])
	}
	if _, stats := f.get(t, "/v1/stats"); !strings.Contains(stats, `"fleet":"default"`) {
		t.Error(stats)
	}
}

// goAway takes the servers of NATS away from the host, and then the host from the page. The page says so, and shows what it knew.
func (f *fleetTest) goAway(t *testing.T, b *tab) {
	f.nats.Stop()
	b.awaitText(".notice.bad", "What is shown is from ")
	b.awaitText(".notice.bad", "the fleet cannot be read: there is no connection to NATS")
	b.await(`document.querySelector('.past tbody th')?.textContent === 'one' && document.getElementById('foot').textContent.includes('Live')`)
	b.shot("fleet-gone")
	if status, body := f.get(t, "/v1/fleet"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the fleet cannot be read") {
		t.Errorf("%d %s", status, body)
	}
	f.nats.Restart()
	b.await(`!document.querySelector('.notice') && !document.querySelector('.past') && document.querySelector('tbody th')?.textContent === 'one'`)
	f.relay.cut(true)
	b.awaitText("#banner", "No answer from the server since")
	b.await(`document.querySelector('tbody th')?.textContent === 'one' && !document.querySelector('.notice')`)
	f.relay.cut(false)
	b.click("#banner button", "Try now")
	b.awaitText("#foot", "Live")
}

// none looks at a host of no fleet.
func (f *fleetTest) none(t *testing.T, b *tab) {
	b.open("#/fleet")
	b.awaitText(".empty-title", "This host is of no fleet")
	b.awaitText("#foot", "Live")
	b.await(`!document.querySelector('nav a[data-page="fleet"]').checkVisibility()`)
	if asked := eval[int](b, `performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/v1/fleet')).length`); asked > 0 {
		t.Errorf("the page asks for a fleet that there is not, %d times", asked)
	}
}
