package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// readTo reads from a connection up to the end of what is wanted.
func readTo(t *testing.T, r *bufio.Reader, end string) {
	t.Helper()
	for got := ""; !strings.HasSuffix(got, end); {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q, err %v, want %q", got, err, end)
		}
		got += string(b)
	}
}

// TestBrokenOffLines has clients who close their side in the middle of a body: the lines that came
// whole are answered, and the last line says where the body ended.
func TestBrokenOffLines(t *testing.T) {
	for _, c := range []struct{ name, header, body, want string }{
		{"within a line", "Content-Length: 100", "\"1\"\n\"2\"\n\"3", "the body broke off within line 3"},
		{"before a line", "Content-Length: 100", "\"1\"\n\"2\"\n", "the body broke off before line 3"},
		{"within a chunk", "Transfer-Encoding: chunked", "ff\r\n\"1\"\n\"2\"\n\"3", "the body broke off within line 3"},
		{"between chunks", "Transfer-Encoding: chunked", "8\r\n\"1\"\n\"2\"\n\r\n", "the body broke off before line 3"},
		{"no chunk", "Transfer-Encoding: chunked", "9\r\n\"1\"\n\"2\"\n\"\r\nnonsense\r\n", "the body broke off within line 3: invalid byte in chunk length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := make(chan struct{})
			s := serve(t, withNative(wait))
			conn := s.dial(t)
			fmt.Fprintf(conn, "POST /v1/transforms/n.wait HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n%s\r\n\r\n%s", c.header, c.body)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if c.name != "no chunk" {
				readTo(t, r, "1\r\n \r\n") // the server has seen that there is no more
				if err := r.UnreadByte(); err != nil {
					t.Fatal(err)
				}
			}
			close(wait)
			rest, err := io.ReadAll(r)
			got := strings.NewReplacer("\r\n", "").Replace(string(rest))
			want := fmt.Sprintf(`{"error":{"status":400,"detail":%q,"kind":"invalid_argument","transform":"n.wait","line":3}}`+"\n", c.want)
			if err != nil || !strings.Contains(got, "\"waited 1\"\n") || !strings.Contains(got, "\"waited 2\"\n") || !strings.Contains(got, want) || !strings.HasSuffix(got, "\n0") {
				t.Errorf("%q, err %v, want both answers and %s", rest, err, want)
			}
		})
	}
}

// TestBrokenOffAndGone has a client who first closes its side in the middle of a body, and then goes.
func TestBrokenOffAndGone(t *testing.T) {
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Overrides["hostile"] = host.PluginConfig{RunTimeout: time.Hour}
	})
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/hostile.spin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n{\"base64\": \"IQ==\"}\n")
	await(t, func() bool { return s.host.Stats().Active == 1 })
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	readTo(t, bufio.NewReader(conn), "1\r\n \r\n")
	if s.host.Stats().Active != 1 {
		t.Error("its task has ended with its side of the connection")
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	await(t, func() bool { return s.host.Stats().Active == 0 })
}

// TestStalledLineSparesOthers has a line that does not go on behind one whose task goes on for
// longer. What the client sends later is no request.
func TestStalledLineSparesOthers(t *testing.T) {
	wait := make(chan struct{})
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(wait)(cfg, o)
		o.StallTimeout = 100 * time.Millisecond
	})
	conn := s.dial(t)
	fmt.Fprint(conn, "POST /v1/transforms/n.wait HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 200\r\n\r\n\"1\"\n\"2")
	await(t, func() bool { return s.host.Stats().Active == 1 })
	await(t, func() bool { return !reading() }) // the line is late
	close(wait)
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if want := "\"waited 1\"\n{\"error\":{\"status\":504,\"detail\":\"line 2 did not go on by 65536 bytes within 100ms (StallTimeout)\",\"kind\":\"timeout\",\"transform\":\"n.wait\",\"line\":2}}\n"; err != nil || string(body) != want {
		t.Errorf("%q, err %v, want %q", body, err, want)
	}
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") // it may be closed by now
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("the rest of the body was answered: %q", rest)
	}
}
