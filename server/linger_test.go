package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// TestAnswerBeforeTheBody has clients who send all of a body that is refused before they read, and
// one who waits for the answer in the middle of it.
func TestAnswerBeforeTheBody(t *testing.T) {
	const size = 48 << 20 // more than the kernel takes for both sides
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.MaxBody = 1 << 10
	})
	piece := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, path, header, before, after string
		size, status                      int
	}{
		{"known length", "n.blow", fmt.Sprintf("Content-Length: %d", size), "", "", size, 413},
		{"chunked", "n.blow", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n", size), "\r\n0\r\n\r\n", size, 413},
		{"no such transform", "none", fmt.Sprintf("Content-Length: %d", size), "", "", size, 404},
		{"waits", "n.blow", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n", 2<<10), "", 2 << 10, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.dial(t)
			fmt.Fprintf(conn, "POST /v1/transforms/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n%s\r\n\r\n%s", c.path, c.header, c.before)
			for left := c.size; left > 0; left -= len(piece) {
				if _, err := io.WriteString(conn, piece[:min(left, len(piece))]); err != nil {
					t.Fatalf("with %d bytes left to send: %v", left, err)
				}
			}
			if _, err := io.WriteString(conn, c.after); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.status || !answer.Close {
				t.Errorf("status %d, close %v, %s, err %v", answer.StatusCode, answer.Close, body, err)
			}
		})
	}
}
