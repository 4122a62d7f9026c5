package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// serving is a `resonhost run` that a test talks to, in this process or in another.
type serving struct {
	addr string
	logs *bufio.Reader
	// ended says what the command ended with, once its log has.
	ended func() any
}

// await reads the log up to a line that matches.
func (s *serving) await(t *testing.T, pattern string) []string {
	t.Helper()
	for re := regexp.MustCompile(pattern); ; {
		line, err := s.logs.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ends without %s: %v", pattern, s.ended())
		}
		if m := re.FindStringSubmatch(line); m != nil {
			return m
		}
	}
}

func (s *serving) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func (s *serving) post(t *testing.T, transform, mediaType string, body io.Reader) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+s.addr+"/v1/transforms/"+transform, mediaType, body)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// untilBusy waits until a task runs.
func (s *serving) untilBusy(t *testing.T) {
	t.Helper()
	for busy := false; !busy; {
		_, metrics := s.get(t, "/metrics")
		busy = strings.Contains(metrics, "resonance_worker_active 1\n")
	}
}

// underWay begins a request, whose handler has asked for the body by then. Answer sends that and
// checks that it is answered well.
func (s *serving) underWay(t *testing.T) (answer func()) {
	t.Helper()
	const body = `{"awarenessLevel": 0.5}`
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /v1/transforms/cascade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	answers := bufio.NewReader(conn)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := answers.ReadString('\n'); err != nil || line != want {
			t.Fatalf("%q, want %q; err %v", line, want, err)
		}
	}
	return func() {
		t.Helper()
		fmt.Fprint(conn, body)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if code, text := read(t, resp); code != http.StatusOK || !strings.Contains(text, `"harmonicScore"`) {
			t.Errorf("the request under way: %d %s", code, text)
		}
		conn.Close()
	}
}

func read(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
