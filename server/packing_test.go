package server_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/pack"
)

// packs returns a body packed.
func packs(t *testing.T, c pack.Coding, body string) string {
	t.Helper()
	var out bytes.Buffer
	w := pack.New().Writer(c, &out)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// unpacks is what a packed answer says.
func unpacks(t *testing.T, c pack.Coding, body string) string {
	t.Helper()
	r := pack.New().Reader(c, strings.NewReader(body), 1<<30, func(int) bool { return true })
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const echo = "/v1/transforms/hostile.echo"

// TestPackedBodies has bodies and answers packed, single ones and lines, of all routes that have some.
func TestPackedBodies(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.Compression = server.CompressAlways })
	long := strings.Repeat("some text ", 1000)
	for _, c := range []pack.Coding{pack.Gzip, pack.Zstd} {
		both := []string{"Content-Encoding", string(c), "Accept-Encoding", string(c)}
		for name, of := range map[string]struct{ path, contentType, body, want string }{
			"payload": {echo, octets, long, long},
			"JSON":    {echo, "application/json", `"` + long + `"`, `{"base64":"`},
			"lines":   {echo, server.MediaTypeLines, strings.Repeat(`"`+long+`"`+"\n", 3), `{"base64":"`},
		} {
			status, header, body := s.do(t, http.MethodPost, of.path, of.contentType, packs(t, c, of.body), both...)
			if status != http.StatusOK || header.Get("Content-Encoding") != string(c) || len(body) > len(of.body)/4 {
				t.Errorf("%s with %s: status %d, %v, %d bytes", name, c, status, header, len(body))
				continue
			}
			if got := unpacks(t, c, body); !strings.HasPrefix(got, of.want) || len(got) < len(of.body) {
				t.Errorf("%s with %s: %.100s", name, c, got)
			}
		}
		status, header, body := s.do(t, http.MethodPost, "/v1/jobs?transform=hostile.echo", server.MediaTypeLines, packs(t, c, `"a"`+"\n"), both[:2]...)
		if status != http.StatusAccepted || header.Get("Content-Encoding") != "" {
			t.Errorf("a job: status %d, %s", status, body)
		}
		status, header, body = s.do(t, http.MethodGet, "/v1/openapi.json", "", "", both[2:]...)
		if status != http.StatusOK || header.Get("Content-Encoding") != string(c) || header.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(unpacks(t, c, body), `{"components"`) {
			t.Errorf("the document: status %d, %v", status, header)
		}
	}
	await(t, func() bool { return s.server.Held() == 0 }) // answers come before their handlers end
}

// TestUnpackedAnswers has answers that are not packed: short ones, those to who does not accept it, and by
// default those to this machine.
func TestUnpackedAnswers(t *testing.T) {
	long := strings.Repeat("some text ", 1000)
	for name, c := range map[string]struct {
		when         server.Compression
		accept, body string
		want         string
	}{
		"always":            {server.CompressAlways, "gzip", long, "gzip"},
		"short":             {server.CompressAlways, "gzip", "short", ""},
		"not accepted":      {server.CompressAlways, "br", long, ""},
		"never":             {server.CompressNever, "gzip", long, ""},
		"from this machine": {server.CompressRemote, "gzip", long, ""},
	} {
		s := serve(t, func(_ *host.Config, o *server.Options) { o.Compression = c.when })
		status, header, body := s.do(t, http.MethodPost, echo, octets, c.body, "Accept-Encoding", c.accept)
		if status != http.StatusOK || header.Get("Content-Encoding") != c.want || c.want == "" && body != c.body {
			t.Errorf("%s: status %d, %v", name, status, header)
		}
	}
}

// TestPackedBombs has bodies that are within the limits as they come, and not once they are unpacked.
func TestPackedBombs(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.MaxBody = 64 << 10 })
	for _, c := range []pack.Coding{pack.Gzip, pack.Zstd} {
		bomb := packs(t, c, strings.Repeat("a", 1<<20)) // which arrives with the header: nothing of it is left unread
		for name, of := range map[string]struct {
			contentType, body string
			status            int
			want              string
		}{
			"a body":    {octets, bomb, 413, "the body is longer than 65536 bytes"},
			"lines":     {server.MediaTypeLines, bomb, 200, `"kind":"invalid_argument"`},
			"damaged":   {octets, "this is no " + string(c), 400, "the " + string(c) + " of the body is damaged"},
			"cut off":   {octets, packs(t, c, "some text")[:10], 400, "the " + string(c) + " of the body is cut off"},
			"bad lines": {server.MediaTypeLines, "this is no " + string(c), 200, "the " + string(c) + " of the body is damaged"},
		} {
			status, _, body := s.do(t, http.MethodPost, echo, of.contentType, of.body, "Content-Encoding", string(c))
			if status != of.status || !strings.Contains(body, of.want) || len(body) > 4<<10 {
				t.Errorf("%s with %s: status %d, %.500s", name, c, status, body)
			}
		}
	}
	await(t, func() bool { return s.server.Held() == 0 }) // answers come before their handlers end
}

// TestBombsLeaveNoGarbage has bodies that are too long once they are unpacked, one after the other. What is
// thrown away of one is memory for the next.
func TestBombsLeaveNoGarbage(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) { o.MaxBody = 8 << 20 })
	bomb := packs(t, pack.Gzip, strings.Repeat(" ", 9<<20))
	send := func() {
		status, _, body := s.do(t, http.MethodPost, echo, octets, bomb, "Content-Encoding", "gzip")
		if status != http.StatusRequestEntityTooLarge {
			t.Fatalf("status %d, %s", status, body)
		}
	}
	send() // which fills the pool
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const bombs = 8
	for range bombs {
		send()
	}
	runtime.ReadMemStats(&after)
	// The race detector has pools forget a quarter of what they are given.
	if each, most := (after.TotalAlloc-before.TotalAlloc)/bombs, uint64(4<<20); each > most {
		t.Errorf("a body of more than 8 MiB takes %d bytes, want %d at most", each, most)
	}
}
