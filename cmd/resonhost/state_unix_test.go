//go:build unix

package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
)

// bare sends a request without a body.
func (s *serving) bare(t *testing.T, method, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// TestJobsOutlive kills a host once a job is over. The next one has its results, and forgets it when it is
// told to.
func TestJobsOutlive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "states")
	args := []string{"--mode", "inline", "--state-dir", dir}
	c := startChild(t, "", args...)
	lines := strings.Repeat(`{"detail": "summary"}`+"\n", 500)
	resp, err := http.Post("http://"+c.addr+"/v1/jobs?transform=cascade", "application/x-ndjson", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	at := resp.Header.Get("Location")
	if code, body := read(t, resp); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, body)
	}
	_, job := c.bare(t, http.MethodGet, at, "Prefer", "wait=60")
	code, want := c.get(t, at+"/results")
	if code != http.StatusOK || strings.Count(want, "\n") != 500 || len(want) < 128<<10 {
		t.Fatalf("%d, %d bytes of results of %s", code, len(want), job)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end(t)

	d := startRun(t, args...)
	if code, got := d.get(t, at); code != http.StatusOK || got != job {
		t.Errorf("%d %s, want %s", code, got, job)
	}
	if code, got := d.get(t, at+"/results"); code != http.StatusOK || got != want {
		t.Errorf("%d, %d bytes of %d", code, len(got), len(want))
	}
	if code, body := d.bare(t, http.MethodDelete, at+"?remove=true"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	if log, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d\n%s", code, log)
	}
	var out, log strings.Builder
	if code := run(t.Context(), []string{"resonhost", "state", "ls", "--json", "--state-dir", dir}, nil, &out, &log); code != api.ExitOK || out.String() != "" {
		t.Errorf("exit code %d, what is left: %s%s", code, out.String(), log.String())
	}
}

// TestSaveSavesAll has a host save at once, and kills it: a stream and a network go on where they were.
func TestSaveSavesAll(t *testing.T) {
	args := []string{"--mode", "inline", "--state-dir", filepath.Join(t.TempDir(), "states"), "--state-interval", "1h"}
	c := startChild(t, "", args...)
	c.inStream(t, 2)
	resp, err := http.Post("http://"+c.addr+"/v1/networks", "application/json", strings.NewReader(`{"id": "n"}`))
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, resp); code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	var log strings.Builder
	if code := run(t.Context(), []string{"resonhost", "state", "save", "--url", "http://" + c.addr}, nil, new(strings.Builder), &log); code != api.ExitOK {
		t.Fatalf("exit code %d, %s", code, log.String())
	}
	want := c.inStream(t, 1)
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.end(t)

	d := startRun(t, args...)
	if got := d.inStream(t, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if code, body := d.get(t, "/v1/networks/n"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	d.rest(t)
}
