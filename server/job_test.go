package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/jobs"
)

// TestUrgent has those alone choose the priority urgent to whom it is granted.
func TestUrgent(t *testing.T) {
	c := newCallers().with(t, "ann", "scopes=call").with(t, "bob", "scopes=call priority=urgent")
	b := work(t, func(o *server.Options) { o.Identity = c }, false)
	for name, want := range map[string]map[string]int{
		"ann": {"urgent": http.StatusForbidden, "normal": http.StatusAccepted, "bulk": http.StatusAccepted},
		"bob": {"urgent": http.StatusAccepted, "bulk": http.StatusAccepted},
	} {
		for priority, status := range want {
			by := []string{"Authorization", c.headers[name]}
			got, _, text := b.do(t, http.MethodPost, "/v1/jobs?transform=t.echo&priority="+priority, "application/x-ndjson", "1\n", by...)
			if got != status {
				t.Errorf("lines, %s, %s: %d %s, want %d", name, priority, got, text, status)
			}
			got, _, text = b.do(t, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": 1, "priority": "`+priority+`"}`, by...)
			if got != status {
				t.Errorf("a task, %s, %s: %d %s, want %d", name, priority, got, text, status)
			}
		}
	}
}

const jobManifest = `{"name": "t", "version": "1", "transforms": [
	{"name": "t.echo", "input": "application/json", "output": "application/json"},
	{"name": "t.wait", "input": "application/json", "output": "application/json"},
	{"name": "t.own", "input": "application/vnd.t", "output": "application/vnd.t"}
]}`

// worker is a server of a host whose t.wait waits until it is released.
type worker struct {
	*served

	waits, release chan struct{}
}

func work(t *testing.T, change func(*server.Options), h2 bool) *worker {
	t.Helper()
	b := &worker{waits: make(chan struct{}, 1000), release: make(chan struct{})}
	echo := func(task *guest.Task) error {
		task.Output = append(task.Output, task.Input...)
		return nil
	}
	wait := func(task *guest.Task) error {
		b.waits <- struct{}{}
		<-b.release
		return echo(task)
	}
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(jobManifest, echo, wait, echo)}}) //nolint:gocritic // two of its transforms do the same
	o := server.Options{TrustTenant: true}
	if change != nil {
		change(&o)
	}
	s, err := server.New(h, codec.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(s.Handler())
	web.Listener = server.Listener(web.Listener)
	web.Config.ConnContext = server.ConnContext
	if web.EnableHTTP2 = h2; h2 {
		web.StartTLS()
	} else {
		web.Start()
	}
	b.served = &served{web, h, s}
	t.Cleanup(func() {
		b.let()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return b
}

func (b *worker) let() {
	select {
	case <-b.release:
	default:
		close(b.release)
	}
}

// job sends a request whose answer is a job.
func (b *worker) job(t *testing.T, status int, method, path, contentType, body string, header ...string) (j api.Job) {
	t.Helper()
	got, head, text := b.do(t, method, path, contentType, body, header...)
	if err := json.Unmarshal([]byte(text), &j); err != nil || got != status {
		t.Fatalf("%s %s: %d %s", method, path, got, text)
	}
	if location := head.Get("Location"); got == http.StatusAccepted && location != "/v1/jobs/"+j.ID {
		t.Errorf("Location %s", location)
	}
	return j
}

// TestJobs has one task and JSON lines, from their submission to their results.
func TestJobs(t *testing.T) {
	b := work(t, nil, false)
	one := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": {"a":
		[1, 2]}, "priority": "urgent", "timeout": "1h", "stream": ""}`)
	if one.Tasks != 1 || one.Priority != "urgent" {
		t.Errorf("%+v", one)
	}
	many := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs?transform=t.echo&priority=bulk", "application/x-ndjson", "1\n2\n{\n")
	if many.Tasks != 3 || many.Priority != "bulk" || many.State != api.JobQueued {
		t.Errorf("%+v", many)
	}
	for _, c := range []struct {
		id, results  string
		done, failed int
	}{{one.ID, `{"a":[1,2]}`, 1, 0}, {many.ID, "1\n2\n" + `{"error":{"status":400,"detail":"…","kind":"invalid_argument","field":"document","transform":"t.echo","line":3}}`, 3, 1}} {
		got := b.job(t, http.StatusOK, http.MethodGet, "/v1/jobs/"+c.id, "", "", "Prefer", "respond-async, wait=60")
		if got.State != api.JobDone || got.Done != c.done || got.Failed != c.failed || got.Error != nil {
			t.Errorf("%+v", got)
		}
		status, head, text := b.do(t, http.MethodGet, "/v1/jobs/"+c.id+"/results", "", "")
		before, after, _ := strings.Cut(c.results+"\n", "…")
		if status != http.StatusOK || head.Get("Content-Type") != "application/x-ndjson" || head.Get(server.HeaderJobState) != "done" || !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
			t.Errorf("%d %v %s", status, head, text)
		}
		if _, _, rest := b.do(t, http.MethodGet, fmt.Sprintf("/v1/jobs/%s/results?offset=2", c.id), "", ""); rest != text[2:] {
			t.Errorf("behind 2 bytes there is %s", rest)
		}
		for offset, want := range map[int]int{len(text): http.StatusOK, len(text) + 1: http.StatusBadRequest} {
			status, _, rest := b.do(t, http.MethodGet, fmt.Sprintf("/v1/jobs/%s/results?offset=%d", c.id, offset), "", "")
			if status != want || (rest == "") != (want == http.StatusOK) || rest != "" && !strings.Contains(rest, fmt.Sprintf("must be at most %d", len(text))) {
				t.Errorf("behind %d bytes of %d: %d %s", offset, len(text), status, rest)
			}
		}
	}
	list := api.Jobs{}
	_, _, text := b.do(t, http.MethodGet, "/v1/jobs?state=done", "", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Jobs) != 2 || list.Jobs[0].ID != many.ID {
		t.Errorf("%s", text)
	}
	// Another tenant's caller finds nothing.
	for _, path := range []string{"/v1/jobs/" + one.ID, "/v1/jobs/" + one.ID + "/results"} {
		if status, _, text := b.do(t, http.MethodGet, path, "", "", server.HeaderTenant, "ann"); status != http.StatusNotFound || !strings.Contains(text, `"kind":"unknown_job"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if _, _, text := b.do(t, http.MethodGet, "/v1/jobs", "", "", server.HeaderTenant, "ann"); text != "{\"jobs\":[]}\n" {
		t.Errorf("%s", text)
	}
	if got := b.job(t, http.StatusOK, http.MethodDelete, "/v1/jobs/"+one.ID+"?remove=true", "", ""); got.State != api.JobDone {
		t.Errorf("%+v", got)
	}
	if status, _, _ := b.do(t, http.MethodDelete, "/v1/jobs/"+one.ID, "", ""); status != http.StatusNotFound {
		t.Errorf("status %d of a job that was removed", status)
	}
}

// TestJobsThatAreRefused has requests that are no jobs.
func TestJobsThatAreRefused(t *testing.T) {
	b := work(t, func(o *server.Options) { o.MaxBody, o.Jobs = 1<<10, jobs.Options{MaxJobs: 1, MaxBytes: 64 << 10} }, false)
	for _, c := range []struct {
		path, contentType, body string
		status                  int
		want                    string
	}{
		{"", "application/json", `{"transform": "t.ech", "input": 1}`, 404, `did you mean \"t.echo\"?`},
		{"", "application/json", `{"transform": "t.echo"}`, 400, `"field":"input"`},
		{"", "application/json", `{"input": 1}`, 400, `"field":"transform"`},
		{"", "application/json", `{"transform": "t.echo", "input": 1, "timeot": "1s"}`, 400, `timeot`},
		{"", "application/json", `{"transform": "t.echo", "input": 1, "timeout": "1"}`, 400, `"field":"timeout"`},
		{"", "application/json", `{"transform": "t.echo", "input": 1, "timeout": "-1s"}`, 400, `"field":"timeout"`},
		{"", "application/json", `{"transform": "t.echo", "input": 1, "priority": "urgnt"}`, 400, `did you mean \"urgent\"?`},
		{"", "application/json", `{"transform": "t.echo", "input": 1, "stream": "` + strings.Repeat("s", 257) + `"}`, 400, `"field":"stream"`},
		{"", "application/json", `{"transform": "t.echo", "input": `, 400, `"field":"document"`},
		{"", "application/json", ``, 400, `"field":"document"`},
		{"", "application/json", strings.Repeat(" ", 1025), 413, "--max-input"},
		{"", "application/json", `{"transform": "t.own", "input": 1}`, 415, "no JSON form"},
		{"", "application/json; charset=latin1", `{}`, 415, "charset"},
		{"", "text/plain", `{}`, 415, "application/x-ndjson"},
		{"?priority=bulk", "application/json", `{"transform": "t.echo", "input": 1}`, 400, "is for JSON lines"},
		{"", "application/x-ndjson", "1\n", 400, `"field":"transform"`},
		{"?transform=t.echo&priority=x", "application/x-ndjson", "1\n", 400, `"field":"priority"`},
		{"?transform=t.echo&stream_field=", "application/x-ndjson", "1\n", 400, `"field":"stream_field"`},
		{"?transform=t.echo", "application/x-ndjson", strings.Repeat(" ", 8<<10+1), 413, "--max-job-bytes"},
		{"?transforms=t.echo", "application/x-ndjson", "1\n", 400, `did you mean \"transform\"?`},
	} {
		status, _, text := b.do(t, http.MethodPost, "/v1/jobs"+c.path, c.contentType, c.body)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %.60s: %d %s, want %d %s", c.path, c.body, status, text, c.status, c.want)
		}
	}
	j := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": 1}`)
	status, head, text := b.do(t, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": 1}`)
	if status != http.StatusTooManyRequests || head.Get("Retry-After") == "" || !strings.Contains(text, "--max-jobs") {
		t.Errorf("%d %v %s", status, head, text)
	}
	for path, want := range map[string]string{
		"/v1/jobs?state=don":                                         `did you mean \"done\"?`,
		"/v1/jobs/" + j.ID + "/results?follow=1":                     "must be true or false",
		"/v1/jobs/" + j.ID + "/results?offset=-1":                    "0 or more",
		"/v1/jobs/" + j.ID + "/results?offset=999999999999999999999": "0 or more",
	} {
		if status, _, text := b.do(t, http.MethodGet, path, "", ""); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	b.server.SetDraining()
	if status, _, _ := b.do(t, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": 1}`); status != http.StatusServiceUnavailable {
		t.Errorf("status %d while draining", status)
	}
}

// TestJobsAreFollowed reads results while they come, waits for a state in vain, and cancels. Over
// HTTP/2 a pause longer than StallTimeout ends nothing.
func TestJobsAreFollowed(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			b := work(t, func(o *server.Options) { o.StallTimeout = 100 * time.Millisecond }, h2)
			j := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs?transform=t.wait", "application/x-ndjson", "1\n2\n")
			<-b.waits
			started := time.Now()
			if status, _, text := b.do(t, http.MethodGet, "/v1/jobs/"+j.ID+"/results?offset=100", "", ""); status != http.StatusOK || text != "" {
				t.Errorf("behind what a job has that runs: %d %s", status, text)
			}
			if got := b.job(t, http.StatusOK, http.MethodGet, "/v1/jobs/"+j.ID, "", "", "Prefer", "wait=1"); got.State != api.JobRunning || time.Since(started) < time.Second {
				t.Errorf("%+v after %v", got, time.Since(started))
			}
			if _, head, text := b.do(t, http.MethodGet, "/v1/jobs/"+j.ID+"/results", "", ""); text != "" || head.Get(server.HeaderJobState) != "running" {
				t.Errorf("%v %s", head, text)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/v1/jobs/"+j.ID+"/results?follow=true", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := b.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			time.AfterFunc(300*time.Millisecond, b.let) // longer than StallTimeout
			text, err := io.ReadAll(answer.Body)
			if err != nil || string(text) != "1\n2\n" {
				t.Errorf("%q, %v", text, err)
			}
			for range 2 {
				if got := b.job(t, http.StatusOK, http.MethodDelete, "/v1/jobs/"+j.ID, "", ""); got.State != api.JobDone {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

// TestLinesMayPauseOverHTTP2 has a client that pauses between two lines for longer than
// StallTimeout.
func TestLinesMayPauseOverHTTP2(t *testing.T) {
	b := work(t, func(o *server.Options) { o.StallTimeout = 100 * time.Millisecond }, true)
	body, lines := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/v1/transforms/t.echo", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := b.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	in := bufio.NewReader(answer.Body)
	for i := range 3 {
		if _, err := fmt.Fprintln(lines, i); err != nil {
			t.Fatal(err)
		}
		if got, err := in.ReadString('\n'); err != nil || got != fmt.Sprintln(i) {
			t.Fatalf("%q, %v", got, err)
		}
		time.Sleep(250 * time.Millisecond)
	}
	lines.Close()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestJobsDrain has jobs that go on while the server drains, and one that is lost.
func TestJobsDrain(t *testing.T) {
	b := work(t, nil, false)
	j := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs?transform=t.wait", "application/x-ndjson", "1\n2\n")
	<-b.waits
	b.server.SetDraining()
	time.AfterFunc(10*time.Millisecond, b.let)
	if err := b.server.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := b.job(t, http.StatusOK, http.MethodGet, "/v1/jobs/"+j.ID, "", ""); got.State != api.JobDone {
		t.Errorf("%+v", got)
	}
}
