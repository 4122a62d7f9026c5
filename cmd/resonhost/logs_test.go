package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/logtest"
)

// printed is what a command prints while it runs.
type printed struct{ logtest.Log }

// await waits until a text was printed so often.
func (p *printed) await(t *testing.T, text string, times int) {
	t.Helper()
	for until := time.Now().Add(time.Minute); strings.Count(p.String(), text) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%q is not there %d times:\n%s", text, times, p)
		}
	}
}

// TestLogs prints what a plugin has written, and goes on while the host comes and goes.
func TestLogs(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // after the others
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "noisy.wasm"), guesttest.HandWritten(t, "hostile"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startRun(t, "--plugins", dir)
	write := func() {
		t.Helper()
		if code, body := d.post(t, "hostile.loglevel", "application/octet-stream", strings.NewReader("!")); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	at := []string{"--url", "http://" + d.addr}
	if code, out, stderr := cmd(append([]string{"logs", "noisy"}, at...)...); code != api.ExitOK || out+stderr != "" {
		t.Errorf("before it writes: exit code %d, %s%s", code, out, stderr)
	}
	write()
	write()
	code, out, stderr := cmd(append([]string{"logs", "hostile"}, at...)...)
	if code != api.ExitOK || strings.Count(out, "\n") != 2 || strings.Count(out, " ERROR log    ") != 2 || strings.ContainsAny(out, "\x1b\x00") {
		t.Errorf("exit code %d, %q%s", code, out, stderr)
	}
	code, out, stderr = cmd(append([]string{"logs", "noisy", "--json", "--tail", "1"}, at...)...)
	var line logged
	if err := json.Unmarshal([]byte(out), &line); code != api.ExitOK || err != nil || line.Plugin != "hostile" || line.Source != "noisy" || !strings.Contains(line.Text, "\x1b") || line.ID == "" {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	for _, none := range [][]string{{"--tail", "0"}, {"--since", "1ns"}} {
		if code, out, stderr := cmd(append(append([]string{"logs", "noisy"}, none...), at...)...); code != api.ExitOK || out != "" {
			t.Errorf("%v: exit code %d, %s%s", none, code, out, stderr)
		}
	}
	if code, _, stderr := cmd(append([]string{"logs", "noisy", "--tail", "9999"}, at...)...); code != api.ExitUsage || stderr != "resonhost: --tail 9999: must be at most 256, as many lines as a host keeps\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cmd(append([]string{"logs", "none"}, at...)...); code != api.ExitFailed || stderr != "resonhost: unknown plugin \"none\"\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}

	if code, _, stderr := cmd(append([]string{"logs", "nosy"}, at...)...); code != api.ExitFailed || stderr != "resonhost: unknown plugin \"nosy\"; did you mean \"noisy\"?\n" {
		t.Errorf("exit code %d, %s", code, stderr)
	}

	relay := newRelay(t, d.addr)
	ctx, end := context.WithCancel(context.Background())
	var shown, said printed
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"resonhost", "logs", "noisy", "--follow", "--tail", "1", "--url", "http://" + relay.addr()}, nil, &shown, &said)
	}()
	shown.await(t, " ERROR log    ", 1)
	write()
	shown.await(t, " ERROR log    ", 2)
	relay.cut(true)
	said.await(t, "; it is asked again until it answers\n", 1)
	write()
	relay.cut(false)
	said.await(t, "is there again\n", 1)
	shown.await(t, " ERROR log    ", 3)
	write()
	shown.await(t, " ERROR log    ", 4)
	end()
	if code := <-ended; code != api.ExitOK || strings.Count(shown.String(), "\n") != 4 || strings.Count(said.String(), "\n") != 2 {
		t.Errorf("exit code %d, %s%s", code, &shown, &said)
	}
	http.DefaultClient.CloseIdleConnections()
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// TestLogsJSON prints what a terminal would misread as escapes.
func TestLogsJSON(t *testing.T) {
	var out strings.Builder
	one := logged{Plugin: "p", LogLine: api.LogLine{Text: "\u009b31m\u202e\x7f"}}
	if err := (&logs{json: true, out: &out}).line(one); err != nil || !strings.Contains(out.String(), `"text":"\u009b31m\u202e\u007f"`) {
		t.Errorf("%q, err %v", out.String(), err)
	}
}

// TestLogsOfStrangers follows what is no host, and one that is not as it was.
func TestLogsOfStrangers(t *testing.T) {
	var answer http.HandlerFunc
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/logs/a" {
			_, _ = w.Write([]byte(`{"plugin": "a", "source": "a", "last_event_id": "e-1", "lines": [{"text": "` + strings.Repeat("ä", maxShown) + `", "dropped": 3}]}`))
			return
		}
		answer(w, r)
	}))
	defer web.Close()
	sends := func(events string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(events))
		}
	}
	refuses := func(status int, problem string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(problem))
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"text":          {refuses(http.StatusOK, "hello"), "what answers at " + web.Listener.Addr().String() + " is no host: it sends no events"},
		"forbidden":     {refuses(http.StatusForbidden, `{"kind": "forbidden", "detail": "no"}`), "resonhost: no\n"},
		"no token":      {refuses(http.StatusUnauthorized, `{"kind": "unauthorized", "detail": "no"}`), "resonhost: no; --token-file FILE"},
		"no JSON":       {sends("event: plugin.logged\ndata: x\n\n"), "is no host: invalid character"},
		"started anew":  {sends("event: stream.gap\ndata: {\"data\": {\"reason\": \"unknown_id\"}}\n\nevent: plugin.logged\ndata: -\n\n"), "lines may be missing here: the host was started anew\n"},
		"slow":          {sends("event: stream.gap\ndata: {\"data\": {\"reason\": \"slow\", \"missed\": 7}}\n\nevent: plugin.logged\ndata: -\n\n"), "7 lines are missing here"},
		"not kept":      {sends("event: stream.gap\ndata: {\"data\": {\"reason\": \"forgotten\"}}\n\nevent: plugin.logged\ndata: -\n\n"), "no longer keeps them\n"},
		"unknown event": {sends("event: other\ndata: x\n\nevent: plugin.logged\ndata: -\n\n"), "is no host"},
	} {
		answer = c.answer
		code, out, stderr := cmd("logs", "a", "--follow", "--url", web.URL)
		if code != api.ExitFailed || !strings.Contains(stderr, c.want) || !strings.HasPrefix(stderr, "resonhost: 3 lines are missing here: the plugin wrote more than it may\n") {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
		if want := strings.Repeat("ä", maxShown/2) + " … and 8192 bytes\n"; !strings.HasSuffix(out, want) {
			t.Errorf("%s: got %d bytes", name, len(out))
		}
	}
}
