package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestRunUnreached has no server of NATS. That is told before plugins are compiled.
func TestRunUnreached(t *testing.T) {
	for urls, want := range map[string]string{
		"nats://127.0.0.1:1": "resonhost: connect to NATS at nats://127.0.0.1:1: ",
		"nuts://127.0.0.1:1": "resonhost: --nats: number 1 must be a URL such as nats://127.0.0.1:4222\n",
		"embeddd":            "resonhost: --nats: must be a URL such as nats://127.0.0.1:4222, or embedded; did you mean \"embedded\"?\n",
		"nuts":               "resonhost: --nats: must be a URL such as nats://127.0.0.1:4222, or embedded\n",
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"resonhost", "run", "--plugins", guesttest.Dir(t, guesttest.Tick), "--cache-dir", "none", "--listen", "127.0.0.1:0", "--nats", urls}, nil, io.Discard, &stderr)
		if code == api.ExitOK || !strings.HasPrefix(stderr.String(), want) || strings.Contains(stderr.String(), "plugin") {
			t.Errorf("%s: exit code %d: %s", urls, code, &stderr)
		}
	}
}

// TestRunEndedEarly ends a host while it gets what its fleet wants, which takes a while as the files are not there. That is no error.
func TestRunEndedEarly(t *testing.T) {
	urls, file := natstest.Start(t).URL(), filepath.Join(t.TempDir(), "swap.wasm")
	ofFleet(t, urls, "a")
	if err := os.WriteFile(file, guesttest.Swap(t, guesttest.Version{Tag: "v1"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"resonhost", "fleet", "push", file, "--watch", "1ms", "--nats", urls}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	conn, err := nats.Connect(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err == nil {
		err = js.DeleteObjectStore(t.Context(), "RESONHOST_default_FILES")
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Open(t.Context(), fleet.Config{URLs: urls, AckWait: time.Second, TaskBytes: 1 << 20, ResultBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := f.Control(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hosts := func() int {
		list, err := c.Hosts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs, code := &printed{}, make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"resonhost", "run", "--mode", "inline", "--listen", "127.0.0.1:0", "--nats", urls}, nil, io.Discard, errs)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); hosts() < 2; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("the host has not joined: %s", errs)
		}
	}
	cancel()
	if got := <-code; got != api.ExitOK || strings.Contains(errs.String(), "msg=listening") {
		t.Errorf("exit code %d: %s", got, errs)
	}
	if hosts() != 1 {
		t.Error("the host has gone, and is there")
	}
}

// TestRunDrainsJobs ends the command while a job is done by its fleet, of which it is the only host. The job is done first.
func TestRunDrainsJobs(t *testing.T) {
	d := startRun(t, "--mode", "inline", "--nats", natstest.Start(t).URL(), "--drain-timeout", "5m")
	const tasks = 2000
	line := `{"a": {"frequency": 100}, "b": {"frequency": 200}}` + "\n"
	resp, err := http.Post("http://"+d.addr+"/v1/jobs?transform=tick.connection", "application/x-ndjson", strings.NewReader(strings.Repeat(line, tasks)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("the job is answered %d", resp.StatusCode)
	}
	began := time.Now()
	text, code := d.rest(t)
	if code != api.ExitOK || strings.Contains(text, "lost") || time.Since(began) > 4*time.Minute {
		t.Errorf("exit code %d after %v, log\n%s", code, time.Since(began), text)
	}
}
