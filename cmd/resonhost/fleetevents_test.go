package main

import (
	"context"
	"encoding/json"
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

// TestFleetEvents prints what happens in a host of a fleet, as text and as JSON.
func TestFleetEvents(t *testing.T) {
	server, dir := natstest.Start(t), t.TempDir()
	urls := server.URL()
	put := func(v guesttest.Version) {
		t.Helper()
		temporary := filepath.Join(dir, "new")
		if err := os.WriteFile(temporary, guesttest.Swap(t, v), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, "swap.wasm")); err != nil {
			t.Fatal(err)
		}
	}
	put(guesttest.Version{Tag: "v1"})
	startRun(t, "--plugins", dir, "--nats", urls, "--host-name", "one", "--fleet-task-bytes", "1MiB", "--fleet-result-bytes", "1MiB")
	listen := func(args ...string) (out *printed, end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		out, errs, code := &printed{}, &printed{}, make(chan int)
		go func() {
			code <- run(ctx, append([]string{"resonhost", "fleet", "events", "--nats", urls}, args...), strings.NewReader(""), out, errs)
		}()
		return out, func() {
			t.Helper()
			cancel()
			if got := <-code; got != api.ExitInterrupted || errs.String() != "resonhost: interrupted\n" {
				t.Errorf("%q: exit code %d, %s", args, got, errs)
			}
		}
	}
	text, endText := listen()
	lines, endLines := listen("--json", "--kinds", "plugin.changed")
	none, endNone := listen("--kinds", "state.outage")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); server.Interest("resonhost.default.event.plugin.changed") < 3; <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the commands do not listen")
		}
	}
	put(guesttest.Version{Tag: "v2"})
	text.await(t, `  one  plugin.changed  {"plugin":"swap","version":"v2",`, 1)
	lines.await(t, "\n", 1)
	endText()
	endLines()
	endNone()
	if none.String() != "" {
		t.Errorf("events of another kind: %s", none)
	}
	first, _, _ := strings.Cut(lines.String(), "\n")
	var e fleet.HostEvent
	if err := json.Unmarshal([]byte(first), &e); err != nil || e.Host != "one" || e.Type != "plugin.changed.v1" {
		t.Errorf("%s, error %v", first, err)
	}
}
