package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/server/pack"
	"github.com/resonhost/resonhost/server/replay"
)

const waitPath = "/v1/transforms/t.wait"

// TestIdempotency sends submissions twice: each is done once, and answered twice.
func TestIdempotency(t *testing.T) {
	b := work(t, nil, false)
	b.let()
	for name, c := range map[string]struct {
		path, contentType, body string
		status                  int
	}{
		"a task":             {waitPath, "application/json", `{"a":1}`, 200},
		"a job of one task":  {"/v1/jobs", "application/json", `{"transform": "t.wait", "input": 1}`, 202},
		"a job of lines":     {"/v1/jobs?transform=t.wait", server.MediaTypeLines, "1\n", 202},
		"a task that fails":  {waitPath, "application/json", `{`, 400},
		"a job that is none": {"/v1/jobs", "application/json", `{`, 400},
	} {
		before := len(b.waits)
		key := []string{server.HeaderIdempotencyKey, `"` + name + `"`}
		status, head, body := b.do(t, http.MethodPost, c.path, c.contentType, c.body, key...)
		if status != c.status || head.Get(server.HeaderReplayed) != "" {
			t.Errorf("%s: %d %v %s", name, status, head, body)
		}
		await(t, func() bool {
			return len(b.waits) == before+1 || !strings.Contains(c.path+c.body, "t.wait") || c.status == 400
		})
		done := len(b.waits)
		again, head2, body2 := b.do(t, http.MethodPost, c.path, c.contentType, c.body, key...)
		if again != status || body2 != body || head2.Get(server.HeaderReplayed) != "true" {
			t.Errorf("%s again: %d %v %s, before %d %s", name, again, head2, body2, status, body)
		}
		for _, field := range []string{"Content-Type", "Location", "X-Content-Type-Options"} {
			if head.Get(field) != head2.Get(field) {
				t.Errorf("%s again: %s %q, before %q", name, field, head2.Get(field), head.Get(field))
			}
		}
		if len(b.waits) != done {
			t.Errorf("%s was done twice", name)
		}
	}
	if _, _, text := b.do(t, http.MethodGet, "/v1/jobs", "", ""); strings.Count(text, `"id"`) != 2 {
		t.Errorf("%s; want 2 jobs", text)
	}
	if got := b.server.Held(); got != 0 {
		t.Errorf("%d bytes are held", got)
	}
	_, _, metrics := b.do(t, http.MethodGet, "/metrics", "", "")
	for _, want := range []string{`_requests_total{outcome="kept"} 5`, `_requests_total{outcome="replayed"} 5`, "_keys 5", "_evicted_total 0", "_bytes_max 6.7108864e+07"} {
		if !strings.Contains(metrics, "resonhost_idempotent"+want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// TestChangesOfPluginsTakeKeys sends a pause again, after the plugin was resumed.
func TestChangesOfPluginsTakeKeys(t *testing.T) {
	s := serve(t, nil)
	for _, replayed := range []string{"", "true"} {
		status, head, text := s.do(t, http.MethodPost, "/v1/plugins/hostile/pause", "", "", server.HeaderIdempotencyKey, "k")
		if status != 200 || head.Get(server.HeaderReplayed) != replayed || !strings.Contains(text, `"paused":true`) {
			t.Errorf("%d %v %s", status, head, text)
		}
		s.do(t, http.MethodPost, "/v1/plugins/hostile/resume", "", "")
	}
	if _, _, text := s.do(t, http.MethodGet, "/v1/plugins", "", ""); strings.Contains(text, `"paused":true`) {
		t.Errorf("it was paused again: %s", text)
	}
}

// TestKeysAreForOneRequest has other requests with a key that has been used.
func TestKeysAreForOneRequest(t *testing.T) {
	b := work(t, nil, false)
	b.let()
	const document = "application/json"
	send := func(path, contentType, body string, header ...string) (int, string) {
		status, _, text := b.do(t, http.MethodPost, path, contentType, body, append(header, server.HeaderIdempotencyKey, "k")...)
		return status, text
	}
	if status, text := send(waitPath, document, "1"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for name, c := range map[string]struct {
		path, contentType, body string
		header                  []string
	}{
		"body":         {waitPath, document, "2", nil},
		"path":         {"/v1/transforms/t.echo", document, "1", nil},
		"route":        {"/v1/jobs", document, "1", nil},
		"content type": {waitPath, document + ";charset=utf-8", "1", nil},
		"stream":       {waitPath, document, "1", []string{server.HeaderStream, "s"}},
		"no body":      {"/v1/plugins/t/pause", "", "", nil},
	} {
		if status, text := send(c.path, c.contentType, c.body, c.header...); status != 422 || !strings.Contains(text, `"kind":"key_reused"`) {
			t.Errorf("another %s: %d %s", name, status, text)
		}
	}
	if status, text := send(waitPath, document, "1", server.HeaderTenant, "other"); status != 200 || len(b.waits) != 2 {
		t.Errorf("another tenant: %d %s, %d tasks", status, text, len(b.waits))
	}
	if status, text := send(waitPath, document, packs(t, pack.Gzip, "1"), "Content-Encoding", "gzip"); status != 200 || text != "1\n" || len(b.waits) != 2 {
		t.Errorf("the same, packed: %d %s, %d tasks", status, text, len(b.waits))
	}
}

// TestKeysBelongToPrincipals has two callers of one tenant with the same key.
func TestKeysBelongToPrincipals(t *testing.T) {
	c := newCallers().with(t, "ann", "scopes=call tenant=t").with(t, "bob", "scopes=call tenant=t").with(t, "eve", "scopes=read")
	b := work(t, func(o *server.Options) { o.Identity = c }, false)
	b.let()
	for _, who := range []string{"ann", "bob"} {
		for _, replayed := range []string{"", "true"} {
			status, head, text := b.do(t, http.MethodPost, waitPath, "application/json", "1", "Authorization", c.headers[who], server.HeaderIdempotencyKey, "k")
			if status != 200 || head.Get(server.HeaderReplayed) != replayed {
				t.Errorf("%s: %d %v %s", who, status, head, text)
			}
		}
	}
	if status, _, text := b.do(t, http.MethodPost, waitPath, "application/json", "1", "Authorization", c.headers["eve"], server.HeaderIdempotencyKey, "k"); status != 403 {
		t.Errorf("who may not call: %d %s", status, text)
	}
	if len(b.waits) != 2 {
		t.Errorf("%d tasks", len(b.waits))
	}
}

// TestKeyInUse has a second request while the first is under way, and one whose client goes.
func TestKeyInUse(t *testing.T) {
	b := work(t, nil, false)
	send := func(ctx context.Context) (int, http.Header, string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+waitPath, strings.NewReader("1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(server.HeaderIdempotencyKey, "k")
		resp, err := b.Client().Do(r)
		if err != nil {
			return 0, nil, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header, string(text), err
	}
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, _, err := send(ctx)
		gone <- err
	}()
	<-b.waits
	if status, head, text, err := send(t.Context()); err != nil || status != 409 || head.Get("Retry-After") == "" || !strings.Contains(text, `"kind":"key_in_use"`) {
		t.Errorf("meanwhile: %d %v %s, %v", status, head, text, err)
	}
	leave()
	if err := <-gone; err == nil {
		t.Error("the client that went has an answer")
	}
	b.let() // the task itself is native code, which nothing interrupts
	await(t, func() bool {
		status, _, text, err := send(t.Context())
		return err == nil && status == 200 && text == "1\n"
	})
}

// TestAnswersThatAreNotKept has answers that depend on the moment: the request is done when it comes again.
func TestAnswersThatAreNotKept(t *testing.T) {
	c := newCallers().with(t, "ann", "scopes=call,admin rate=1/h burst=2")
	b := work(t, func(o *server.Options) { o.Identity, o.Jobs = c, jobs.Options{MaxJobs: 1} }, false)
	b.let()
	send := func(path, body string) (int, http.Header, string) {
		return b.do(t, http.MethodPost, path, "application/json", body, "Authorization", c.headers["ann"], server.HeaderIdempotencyKey, "k"+path)
	}
	const job = `{"transform": "t.echo", "input": 1}`
	over := func(id string) { // so that its task has its part of the rate
		b.job(t, 200, http.MethodGet, "/v1/jobs/"+id, "", "", "Authorization", c.headers["ann"], "Prefer", "wait=60")
	}
	first := b.job(t, 202, http.MethodPost, "/v1/jobs", "application/json", job, "Authorization", c.headers["ann"])
	over(first.ID)
	if status, _, text := send("/v1/jobs", job); status != 429 {
		t.Errorf("a job too many: %d %s", status, text)
	}
	b.do(t, http.MethodDelete, "/v1/jobs/"+first.ID+"?remove=true", "", "", "Authorization", c.headers["ann"])
	status, head, text := send("/v1/jobs", job)
	if status != 202 || head.Get(server.HeaderReplayed) != "" {
		t.Errorf("a job again: %d %s", status, text)
	}
	over(path.Base(head.Get("Location")))
	if status, _, text := send("/v1/jobs", `{"transform": "t.none", "input": 1}`); status != 422 {
		t.Errorf("another job: %d %s", status, text)
	}
	if status, _, text := send("/v1/transforms/t.echo", "1"); status != 429 {
		t.Errorf("beyond the rate: %d %s", status, text)
	}
	if _, _, text := b.do(t, http.MethodGet, "/v1/jobs", "", "", "Authorization", c.headers["ann"]); strings.Count(text, `"id"`) != 1 {
		t.Errorf("%s; want 1 job", text)
	}
	for range 2 {
		if status, head, text := send("/v1/plugins/t/rollback", ""); status != 409 || head.Get(server.HeaderReplayed) != "" {
			t.Errorf("a rollback to nothing: %d %v %s", status, head, text)
		}
	}
}

// TestLargeAnswersAreNotKept has an answer that takes more than there is room for: its request is not done
// again all the same.
func TestLargeAnswersAreNotKept(t *testing.T) {
	var log logtest.Log
	b := work(t, func(o *server.Options) {
		o.Idempotency = replay.Options{MaxBytes: replay.MinBytes, MaxKeys: 2}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}, false)
	b.let()
	long := `"` + strings.Repeat("a", 10<<10) + `"`
	if status, _, text := b.do(t, http.MethodPost, waitPath, "application/json", long, server.HeaderIdempotencyKey, "k"); status != 200 || len(text) != len(long)+1 {
		t.Errorf("%d, %d bytes", status, len(text))
	}
	if status, _, text := b.do(t, http.MethodPost, waitPath, "application/json", long, server.HeaderIdempotencyKey, "k"); status != 409 || !strings.Contains(text, "too large to be kept (an eighth of --idempotency-bytes)") {
		t.Errorf("%d %s", status, text)
	}
	for range 2 {
		b.do(t, http.MethodPost, waitPath, "application/json", "1", server.HeaderIdempotencyKey, "k1")
		b.do(t, http.MethodPost, waitPath, "application/json", "1", server.HeaderIdempotencyKey, "k2")
	}
	if len(b.waits) != 3 {
		t.Errorf("%d tasks", len(b.waits))
	}
	if !strings.Contains(log.String(), "forgotten before their age") {
		t.Errorf("logged: %s", log.String())
	}
}

// TestBadKeys has keys, and headers like them, that are refused.
func TestBadKeys(t *testing.T) {
	b := work(t, nil, false)
	b.let()
	for name, c := range map[string]struct {
		contentType string
		header      []string
		want        string
	}{
		"empty":           {"application/json", []string{server.HeaderIdempotencyKey, ""}, `Idempotency-Key: must have 1 to 255 characters, has 0`},
		"long":            {"application/json", []string{server.HeaderIdempotencyKey, strings.Repeat("k", 256)}, `must have 1 to 255 characters, has 256`},
		"two joined":      {"application/json", []string{server.HeaderIdempotencyKey, "a, b"}, `must be printable ASCII, in quotes`},
		"not closed":      {"application/json", []string{server.HeaderIdempotencyKey, `"a`}, `lacks its closing quote`},
		"of lines":        {server.MediaTypeLines, []string{server.HeaderIdempotencyKey, "a"}, `POST /v1/jobs takes them with a key`},
		"misspelt":        {"application/json", []string{"Idempotent-Key", "a"}, `is not a known header; did you mean \"Idempotency-Key\"?`},
		"of another time": {"application/json", []string{"X-Idempotency-Key", "a"}, `is not a known header; did you mean \"Idempotency-Key\"?`},
	} {
		if status, _, text := b.do(t, http.MethodPost, waitPath, c.contentType, "1", c.header...); status != 400 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+waitPath, bytes.NewReader([]byte("1")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, server.HeaderIdempotencyKey: {"a", "a"}}
	resp, err := b.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || len(b.waits) != 0 {
		t.Errorf("twice: status %d, %d tasks", resp.StatusCode, len(b.waits))
	}
	if status, _, text := b.do(t, http.MethodGet, "/v1/jobs", "", "", server.HeaderIdempotencyKey, "a"); status != 200 {
		t.Errorf("a request that changes nothing: %d %s", status, text)
	}
}

// TestReplaysArePacked has an answer that is packed for who asks again alone.
func TestReplaysArePacked(t *testing.T) {
	b := work(t, func(o *server.Options) { o.Compression = server.CompressAlways }, false)
	b.let()
	long := `"` + strings.Repeat("a", 10<<10) + `"`
	b.do(t, http.MethodPost, waitPath, "application/json", long, server.HeaderIdempotencyKey, "k", "Accept-Encoding", "identity")
	_, head, text := b.do(t, http.MethodPost, waitPath, "application/json", long, server.HeaderIdempotencyKey, "k", "Accept-Encoding", "zstd")
	if head.Get(server.HeaderReplayed) != "true" || head.Get("Content-Encoding") != "zstd" || unpacks(t, pack.Zstd, text) != long+"\n" {
		t.Errorf("%v, %d bytes", head, len(text))
	}
}

// TestAllSubmissionsTakeKeys holds the table of routes to it: who sends a request again that changes something
// need not know whether the route heeds the key.
func TestAllSubmissionsTakeKeys(t *testing.T) {
	b := work(t, nil, false)
	for _, r := range b.server.Routes() {
		if r.Method != http.MethodPost {
			continue
		}
		if !slices.ContainsFunc(r.Doc.Headers, func(p server.Parameter) bool { return p.Name == server.HeaderIdempotencyKey }) {
			t.Errorf("%s %s does not describe %s", r.Method, r.Path, server.HeaderIdempotencyKey)
		}
	}
}

// TestLoggersOfParts has an embedder that gives the keeper of answers a log of its own.
func TestLoggersOfParts(t *testing.T) {
	var all, own bytes.Buffer
	b := work(t, func(o *server.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&all, nil))
		o.Idempotency = replay.Options{MaxKeys: 1, Logger: slog.New(slog.NewTextHandler(&own, nil))}
	}, false)
	b.let()
	for _, key := range []string{"a", "b"} {
		b.do(t, http.MethodPost, waitPath, "application/json", "1", server.HeaderIdempotencyKey, key)
	}
	const told = "keys of requests are forgotten"
	if !strings.Contains(own.String(), told) || strings.Contains(all.String(), told) {
		t.Errorf("the part's log is %q, the server's %q", &own, &all)
	}
}
