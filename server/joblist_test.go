package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/events"
)

// TestJobPages reads the list of jobs in pages.
func TestJobPages(t *testing.T) {
	b := work(t, nil, false)
	for range 5 {
		b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs", "application/json", `{"transform": "t.echo", "input": 1}`)
	}
	seen, cursor := make(map[string]bool), ""
	for _, want := range []int{2, 2, 1} {
		var list api.Jobs
		_, _, text := b.do(t, http.MethodGet, "/v1/jobs?limit=2"+cursor, "", "")
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Jobs) != want || (list.Next == "") != (want == 1) {
			t.Fatalf("%s, want %d jobs", text, want)
		}
		for _, j := range list.Jobs {
			seen[j.ID] = true
		}
		cursor = "&cursor=" + list.Next
	}
	if len(seen) != 5 {
		t.Errorf("%d jobs", len(seen))
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "cursor=x"} {
		field, _, _ := strings.Cut(query, "=")
		if status, _, text := b.do(t, http.MethodGet, "/v1/jobs?"+query, "", ""); status != http.StatusBadRequest || !strings.Contains(text, `"field":"`+field) {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
}

// TestSubmissionsThatWait has answers to submissions wait for the end of the job, and say so. A key gives
// what was answered then.
func TestSubmissionsThatWait(t *testing.T) {
	b := work(t, nil, false)
	const task = `{"transform": "t.echo", "input": 1}`
	status, head, text := b.do(t, http.MethodPost, "/v1/jobs", "application/json", task, "Prefer", "wait=30, other", server.HeaderIdempotencyKey, "k")
	if status != http.StatusAccepted || head.Get("Preference-Applied") != "wait=30" || !strings.Contains(text, `"state":"done"`) || !strings.HasPrefix(head.Get("Location"), "/v1/jobs/") {
		t.Errorf("%d %v %s", status, head, text)
	}
	for _, prefer := range []string{"", "wait=1", "wait=60"} { // which is no part of what a request is, and not heeded again
		_, head, again := b.do(t, http.MethodPost, "/v1/jobs", "application/json", task, server.HeaderIdempotencyKey, "k", "Prefer", prefer)
		if again != text || head.Get(server.HeaderReplayed) != "true" || head.Get("Preference-Applied") != "" {
			t.Errorf("again, %q: %v %s, before %s", prefer, head, again, text)
		}
	}
	// Of a job that was not over, the answer is what it was then, at once.
	const slow = `{"transform": "t.wait", "input": 1}`
	_, _, before := b.do(t, http.MethodPost, "/v1/jobs", "application/json", slow, server.HeaderIdempotencyKey, "slow")
	_, head, again := b.do(t, http.MethodPost, "/v1/jobs", "application/json", slow, server.HeaderIdempotencyKey, "slow", "Prefer", "wait=60")
	if again != before || head.Get("Location") == "" || head.Get("Preference-Applied") != "" {
		t.Errorf("again %v %s, before %s", head, again, before)
	}
	for prefer, applied := range map[string]string{"wait=1": "wait=1", "respond-async": "", "": ""} {
		status, head, text = b.do(t, http.MethodPost, "/v1/jobs?transform=t.wait", server.MediaTypeLines, "1\n", "Prefer", prefer)
		if status != http.StatusAccepted || head.Get("Preference-Applied") != applied || strings.Contains(text, `"state":"done"`) {
			t.Errorf("%s: %d %v %s", prefer, status, head, text)
		}
	}
	if _, head, text := b.do(t, http.MethodPost, "/v1/jobs", "application/json", `{`, "Prefer", "wait=1"); head.Get("Preference-Applied") != "" {
		t.Errorf("of what is no job: %v %s", head, text)
	}
}

// TestWaitsAreHeld has requests that wait count among the bytes held. When there is no room, they are refused, and
// a submission does not wait.
func TestWaitsAreHeld(t *testing.T) {
	b := work(t, func(o *server.Options) { o.MaxBody, o.MaxHeld = 1<<10, 1088<<10 }, false)
	j := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs?transform=t.wait", server.MediaTypeLines, "1\n")
	<-b.waits
	wait := func() (status int, head http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/v1/jobs/"+j.ID, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Prefer", "wait=60")
		resp, err := b.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	const most = 1088 / 16 // each holds 16 KiB
	var waits sync.WaitGroup
	for range most {
		waits.Go(func() {
			if status, head := wait(); status != http.StatusOK || head.Get("Preference-Applied") != "wait=60" {
				t.Errorf("%d %v", status, head)
			}
		})
	}
	await(t, func() bool { return b.server.Held() == most*16<<10 })
	if status, head := wait(); status != http.StatusTooManyRequests || head.Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", status, head)
	}
	status, _, text := b.do(t, http.MethodGet, "/v1/jobs/"+j.ID, "", "")
	if status != http.StatusOK {
		t.Errorf("who does not wait: %d %s", status, text)
	}
	b.let()
	waits.Wait()
	await(t, func() bool { return b.server.Held() == 0 })
}

// TestWithdrawnAtOnce ends what goes on for long as soon as a token goes: events, results and waits, though
// nothing happens.
func TestWithdrawnAtOnce(t *testing.T) {
	c := newCallers().with(t, "stays", "scopes=call,read").with(t, "ann", "scopes=call,read")
	bus := event.New(0)
	b := work(t, func(o *server.Options) {
		o.Identity, o.Events, o.EventHub = c, bus, events.NewHub(events.Options{KeepAlive: time.Hour})
	}, false)
	t.Cleanup(func() { _ = bus.Close(t.Context()) })
	j := b.job(t, http.StatusAccepted, http.MethodPost, "/v1/jobs?transform=t.wait", server.MediaTypeLines, "1\n", "Authorization", c.headers["ann"])
	<-b.waits
	type end struct{ path, text string }
	ends := make(chan end)
	paths := map[string]string{
		"/v1/events": `{"reason":"withdrawn"}`, "/v1/jobs/" + j.ID + "/results?follow=true": "unexpected EOF", "/v1/jobs/" + j.ID: "401 ann has been withdrawn",
	}
	for path := range paths {
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+path, http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", c.headers["ann"])
			r.Header.Set("Prefer", "wait=60")
			resp, err := b.Client().Do(r)
			if err != nil {
				ends <- end{path, err.Error()}
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				text = append(text, err.Error()...)
			}
			e := api.Error{}
			if json.Unmarshal(text, &e) == nil && e.Status != 0 {
				text = []byte(strconv.Itoa(e.Status) + " " + e.Detail)
			}
			ends <- end{path, string(text)}
		}()
	}
	await(t, func() bool {
		_, _, text := b.do(t, http.MethodGet, "/metrics", "", "", "Authorization", c.headers["stays"])
		return strings.Contains(text, "resonhost_event_streams 1\n") && strings.Contains(text, "resonhost_http_requests_in_flight 4\n") // with this one
	})
	began := time.Now()
	stays, _, _ := strings.Cut(c.file, "ann ")
	c.set(t, stays)
	for range paths {
		e := <-ends
		if !strings.Contains(e.text, paths[e.path]) {
			t.Errorf("%s ended with %s, want %s", e.path, e.text, paths[e.path])
		}
	}
	if took := time.Since(began); took > 10*time.Second { // it takes none, but for others on the machine
		t.Errorf("it took %v", took)
	}
}
