package serve_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
)

// send sends a body with a header of pairs.
func (c *client) send(method, path, body string, header ...string) (int, http.Header, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.http.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.http.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// packed returns a body packed in both ways, by the name of its Content-Encoding.
func packed(t *testing.T, body string) map[string]string {
	t.Helper()
	var of bytes.Buffer
	zip := gzip.NewWriter(&of)
	if _, err := io.WriteString(zip, body); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return map[string]string{"gzip": of.String(), "zstd": string(z.EncodeAll([]byte(body), nil))}
}

// TestBodiesOfAllRoutes holds the table of routes to what a client may count on: each that takes a body takes it
// packed, within the limit for what it becomes, and refuses what it does not know.
func TestBodiesOfAllRoutes(t *testing.T) {
	c := start(t, serve.Options{}, tick.New())
	c.do(201, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	bodies := map[string]string{
		"/v1/transforms/{name}":              `{"a": {"frequency": 528}, "b": {"frequency": 352}}`,
		"/v1/jobs":                           `{"transform": "tick.connection", "input": {}}`,
		"/v1/networks":                       `{}`,
		"/v1/networks/{network}/nodes":       `{}`,
		"/v1/networks/{network}/connections": `{"a": "none", "b": "neither"}`,
	}
	for _, r := range c.server.Routes() {
		if r.Doc.Request == nil {
			continue
		}
		body, ok := bodies[r.Path]
		if !ok {
			t.Errorf("nothing here says what %s %s takes", r.Method, r.Path)
			continue
		}
		delete(bodies, r.Path)
		path := strings.NewReplacer("{name}", "tick.connection", "{network}", "n").Replace(r.Path)
		want, _, text := c.send(r.Method, path, body)
		if want == http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, want, text)
		}
		for coding, short := range packed(t, body) {
			if status, _, text := c.send(r.Method, path, short, "Content-Encoding", coding); status != want {
				t.Errorf("%s with %s: %d %s, want %d", path, coding, status, text, want)
			}
			if status, _, text := c.send(r.Method, path, "this is none of the two", "Content-Encoding", coding); status != http.StatusBadRequest || !strings.Contains(text, "the "+coding+" of the body is damaged") {
				t.Errorf("%s with no %s: %d %s", path, coding, status, text)
			}
			bomb := packed(t, strings.Repeat(" ", 9<<20))[coding]
			if status, _, text := c.send(r.Method, path, bomb, "Content-Encoding", coding); status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s with a bomb of %s: %d %s", path, coding, status, text)
			}
		}
		status, head, text := c.send(r.Method, path, body, "Content-Encoding", "br")
		if status != http.StatusUnsupportedMediaType || head.Get("Accept-Encoding") == "" {
			t.Errorf("%s with br: %d %v %s", path, status, head, text)
		}
	}
	for path := range bodies {
		t.Errorf("there is no %s any more", path)
	}
	if held := c.metric("resonhost_http_held_bytes"); held != "0" {
		t.Errorf("%s bytes are held", held)
	}
}

// metric returns the value of a metric.
func (c *client) metric(name string) string {
	c.t.Helper()
	_, _, text := c.send(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(text) {
		if of, value, _ := strings.Cut(strings.TrimSpace(line), " "); of == name {
			return value
		}
	}
	return ""
}

// TestKeysOfNetworks sends what makes something twice: it is made once.
func TestKeysOfNetworks(t *testing.T) {
	c := start(t, serve.Options{}, tick.New())
	for _, r := range c.server.Routes() {
		if r.Method == http.MethodPost && !slices.ContainsFunc(r.Doc.Headers, func(p server.Parameter) bool { return p.Name == server.HeaderIdempotencyKey }) {
			t.Errorf("%s %s does not describe %s", r.Method, r.Path, server.HeaderIdempotencyKey)
		}
	}
	for _, x := range []struct {
		path, body string
		status     int
	}{
		{"/v1/networks", `{"id": "n"}`, 201}, {"/v1/networks", ``, 201}, {"/v1/networks/n/nodes", `{"id": "a"}`, 201}, {"/v1/networks/n/nodes", `{"id": "b"}`, 201},
		{"/v1/networks/n/connections", `{"a": "a", "b": "b"}`, 201}, {"/v1/networks/n/nodes/a/stop", ``, 200},
	} {
		status, head, text := c.send(http.MethodPost, x.path, x.body, server.HeaderIdempotencyKey, `"`+strings.NewReplacer(`"`, "", "{", "", "}", "").Replace(x.path+x.body)+`"`)
		if status != x.status || head.Get(server.HeaderReplayed) != "" {
			t.Errorf("%s: %d %s", x.path, status, text)
		}
		again, head2, text2 := c.send(http.MethodPost, x.path, x.body, server.HeaderIdempotencyKey, `"`+strings.NewReplacer(`"`, "", "{", "", "}", "").Replace(x.path+x.body)+`"`)
		if again != status || text2 != text || head2.Get(server.HeaderReplayed) != "true" || head2.Get("Location") != head.Get("Location") {
			t.Errorf("%s again: %d %v %s, before %d %s", x.path, again, head2, text2, status, text)
		}
	}
	if _, _, text := c.send(http.MethodGet, "/v1/networks", ""); strings.Count(text, `"id"`) != 2 {
		t.Errorf("%s; want 2 networks", text)
	}
}
