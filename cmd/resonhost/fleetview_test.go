package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestFleetViewLines has a view that could not be read again, and a roll-out that hosts have found good of which two have gone.
func TestFleetViewLines(t *testing.T) {
	good := func(names ...string) map[string]api.FleetPlace {
		places := make(map[string]api.FleetPlace)
		for _, n := range names {
			places[n] = api.FleetPlace{Host: n, Step: api.FleetGood}
		}
		return places
	}
	v := &fleetView{Fleet: &api.Fleet{
		Time: time.Now().Add(-time.Minute), Name: "default", Hosts: []api.FleetHost{{Name: "a", Instance: "a"}, {Name: "b", Instance: "b"}},
		Plugins: []api.FleetPlugin{{Plugin: "swap", Rollout: api.FleetRollout{State: api.FleetRolling, Places: good("a", "c", "d"), Release: api.FleetRelease{Version: "v2", Hash: strings.Repeat("a", 64)}}}},
	}}
	lines := func() string {
		t.Helper()
		list, err := v.lines()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(list, "\n")
	}
	if text := lines(); !strings.Contains(text, "good on 1 of 2") || strings.Contains(text, "NOT READ") {
		t.Error(text)
	}
	v.stale = errors.New("no server\x1b[1m")
	if text := lines(); !strings.Contains(text, "NOT READ for 60 s: no server") || strings.Contains(text, "\x1b") {
		t.Error(text)
	}
}

// TestReplaced has a host that is silent, and one of its name that has come since.
func TestReplaced(t *testing.T) {
	now := time.Now()
	of := func(name string, since, age time.Duration) fleet.HostInfo {
		return fleet.HostInfo{Host: name, Instance: name, Since: now.Add(-since), Age: age}
	}
	dead := of("a", time.Hour, 8*time.Second)
	for name, c := range map[string]struct {
		h, other fleet.HostInfo
		want     bool
	}{
		"a new one":             {dead, of("a", time.Minute, time.Second), true},
		"the new one itself":    {of("a", time.Minute, time.Second), dead, false},
		"two that live":         {of("a", time.Hour, 5*time.Second), of("a", time.Minute, time.Second), false},
		"another name":          {dead, of("b", time.Minute, time.Second), false},
		"the new one is silent": {dead, of("a", time.Minute, 9*time.Second), false},
	} {
		if got := replaced(&c.h, []fleet.HostInfo{c.h, c.other}, 2*time.Second); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	v := &fleetView{Fleet: &api.Fleet{Name: "default", Hosts: fleetHosts([]fleet.HostInfo{dead, of("a", time.Minute, 0)}, 2*time.Second)}}
	lines, err := v.lines()
	if text := strings.Join(lines, "\n"); err != nil || !strings.HasPrefix(text, "fleet default: 1 host, 1 gone; ") || !strings.Contains(lines[3], "gone") || !strings.Contains(lines[4], "serving") {
		t.Errorf("%s, error %v", text, err)
	}
}

// TestPushAway pushes, and has the server away while the command waits. It says so once, and goes on once the server is back.
func TestPushAway(t *testing.T) {
	server := natstest.Start(t)
	urls, file := server.URL(), filepath.Join(t.TempDir(), "swap.wasm")
	host := ofFleet(t, urls, "a")
	if err := os.WriteFile(file, guesttest.Swap(t, guesttest.Version{Tag: "v1"}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := &printed{}, &printed{}, make(chan int)
	go func() {
		code <- run(t.Context(), []string{"resonhost", "fleet", "push", file, "--watch", "1h", "--nats", urls}, strings.NewReader(""), out, errs)
	}()
	out.await(t, "host a tries it", 1)
	server.Stop()
	errs.await(t, "resonhost: plugin swap: ", 1)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	missed := host.Stats().BeatsFailed + 6
	for end := time.Now().Add(time.Minute); host.Stats().BeatsFailed < missed; <-tick.C { // as long as the command looks as often
		if time.Now().After(end) {
			t.Fatalf("%+v", host.Stats())
		}
	}
	server.Restart()
	var stdout, stderr bytes.Buffer
	if got := run(t.Context(), []string{"resonhost", "fleet", "rollback", "swap", "--nats", urls}, strings.NewReader(""), &stdout, &stderr); got != 0 {
		t.Fatalf("code %d: %s", got, stderr.String())
	}
	if got := <-code; got != api.ExitPlugins || !strings.Contains(errs.String(), "the roll-out is stopped, and hosts go back: by request") {
		t.Errorf("code %d: %s", got, errs)
	}
	before := ""
	for line := range strings.Lines(errs.String()) {
		if line == before {
			t.Errorf("twice: %s", line)
		}
		before = line
	}
}
