package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names are what the tests' resolver knows.
var names = map[string][]netip.Addr{
	"a.test":        {netip.MustParseAddr("127.0.0.1")},
	"sneaky.b.test": {netip.MustParseAddr("127.0.0.1")},
	"mapped.b.test": {netip.MustParseAddr("::ffff:127.0.0.1")},
	"local.b.test":  {netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("169.254.169.254")},
	"none.b.test":   {},
}

// start starts a server, and returns a client that finds it by the names above and its port.
func start(t *testing.T, cfg outbound.Config) (*outbound.Client, string) {
	t.Helper()
	hang := make(chan struct{})
	port := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; path {
		case "/redirect":
			http.Redirect(w, r, strings.ReplaceAll(r.URL.Query().Get("to"), "PORT", port), http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, 2000))
		case "/headers":
			for i := range 200 {
				w.Header().Set(fmt.Sprintf("X-%d", i), "y")
			}
		case "/longheader":
			w.Header().Set("X-Long", strings.Repeat("y", 200_000))
		case "/slow", "/slowbody":
			if path == "/slowbody" {
				_, _ = w.Write([]byte("begun"))
				w.(http.Flusher).Flush()
			}
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		default:
			w.Header().Add("X-Two", "a")
			w.Header().Add("X-Two", "b")
			w.WriteHeader(http.StatusTeapot)
			body := make([]byte, 100)
			n, _ := r.Body.Read(body)
			_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, path, r.Header.Get("X-Mine"), r.Header.Get("Proxy-Authorization"), body[:n])
		}
	}))
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port = at.Port()
	cfg.Resolve = func(_ context.Context, name string) ([]netip.Addr, error) {
		if addrs, ok := names[name]; ok {
			return addrs, nil
		}
		return nil, fmt.Errorf("no such name %s", name)
	}
	c := outbound.New(cfg)
	t.Cleanup(func() {
		close(hang)
		c.Close()
		s.Close()
	})
	return c, port
}

func TestFetch(t *testing.T) {
	c, port := start(t, outbound.Config{Private: []string{"a.test"}, MaxBytes: math.MaxInt64})
	got, err := c.Fetch(t.Context(), host.FetchRequest{
		Method: "post", URL: "http://A.test:" + port + "/x", AllowedHosts: []string{"a.test"}, Body: []byte("body"),
		Header: map[string]string{"X-Mine": "mine", "Proxy-Authorization": "secret", "Transfer-Encoding": "chunked", "Upgrade": "h2c"},
	})
	if err != nil || got.Status != http.StatusTeapot || string(got.Body) != "POST /x mine  body" || got.Header["x-two"] != "a,b" {
		t.Errorf("%+v %s, err %v", got, got.Body, err)
	}
}

func TestRefused(t *testing.T) {
	c, port := start(t, outbound.Config{MaxBytes: 1000, Timeout: time.Minute, Private: []string{"A.test"}})
	at := ":" + port
	for _, test := range []struct {
		name, url string
		hosts     []string
		want      string
		is        error
	}{
		{"none is allowed", "http://a.test" + at, nil, `the host "a.test" is not allowed: the plugin's allowed hosts are []`, outbound.ErrNotAllowed},
		{"another is", "http://a.test" + at, []string{"b.test", "[", "x*"}, `the host "a.test" is not allowed`, outbound.ErrNotAllowed},
		{"a name that leads to loopback", "http://sneaky.b.test" + at, []string{"*.b.test"}, "the address 127.0.0.1 of \"sneaky.b.test\" is not allowed", outbound.ErrNotAllowed},
		{"mapped", "http://mapped.b.test" + at, []string{"*"}, "the address 127.0.0.1 of", outbound.ErrNotAllowed},
		{"private", "http://local.b.test" + at, []string{"*"}, "the address 169.254.169.254 of", outbound.ErrNotAllowed},
		{"an address", "http://127.0.0.1" + at, []string{"*"}, "the address 127.0.0.1 of", outbound.ErrNotAllowed},
		{"another form of it", "http://[::1]" + at, []string{"*"}, "the address ::1 of", outbound.ErrNotAllowed},
		{"a private host that is listed literally", "http://sneaky.b.test" + at, []string{"sneaky.b.test"}, "and the host is none of the operator's private hosts", outbound.ErrNotAllowed},
		{"an address that is listed literally", "http://127.0.0.1" + at, []string{"127.0.0.1"}, "the address 127.0.0.1 of", outbound.ErrNotAllowed},
		{"a private host of the operator's alone", "http://a.test" + at, []string{"b.test"}, `the host "a.test" is not allowed`, outbound.ErrNotAllowed},
		{"a pattern for a host", "http://*.b.test" + at, []string{"*.b.test"}, `"*.b.test" is no name of a host`, nil},
		{"many patterns", "http://a.test" + at, slices.Repeat([]string{strings.Repeat("x", 1000)}, 100), `x" "` + strings.Repeat("x", 100) + `"] and 95 more`, outbound.ErrNotAllowed},
		{"no address", "http://none.b.test" + at, []string{"*"}, `"none.b.test" has no address`, nil},
		{"no name", "http://c.test" + at, []string{"*"}, "no such name c.test", nil},
		{"a file", "file:///etc/passwd", []string{"*"}, `the scheme "file" is not allowed`, outbound.ErrNotAllowed},
		{"no host", "http:///x", []string{"*"}, "it names no host", nil},
		{"no URL", "http://a b", []string{"*"}, "invalid character", nil},
		{"redirected to another", "http://a.test" + at + "/redirect?to=http://127.0.0.1:PORT/", []string{"a.test"}, `the host "127.0.0.1" is not allowed`, outbound.ErrNotAllowed},
		{"redirected to loopback", "http://a.test" + at + "/redirect?to=http://sneaky.b.test:PORT/", []string{"a.test", "*.b.test"}, "the address 127.0.0.1 of", outbound.ErrNotAllowed},
		{"redirected to a file", "http://a.test" + at + "/redirect?to=file:///etc/passwd", []string{"a.test"}, `the scheme "file" is not allowed`, outbound.ErrNotAllowed},
		{"redirected for ever", "http://a.test" + at + "/loop", []string{"a.test"}, "is redirected more than 10 times", nil},
		{"too large", "http://a.test" + at + "/large", []string{"a.test"}, "the response is too large: more than 1000 bytes", outbound.ErrTooLarge},
		{"too many headers", "http://a.test" + at + "/headers", []string{"a.test"}, "the number of the response's headers is too large", outbound.ErrTooLarge},
		{"too long a header", "http://a.test" + at + "/longheader", []string{"a.test"}, "server response headers exceeded", nil},
	} {
		_, err := c.Fetch(t.Context(), host.FetchRequest{Method: "GET", URL: test.url, AllowedHosts: test.hosts})
		if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := c.Fetch(t.Context(), host.FetchRequest{Method: "connect", URL: "http://a.test", AllowedHosts: []string{"*"}}); !errors.Is(err, outbound.ErrNotAllowed) {
		t.Errorf("CONNECT: %v", err)
	}
	if _, err := c.Fetch(t.Context(), host.FetchRequest{Method: "GET", URL: "http://a.test" + at + "/large", AllowedHosts: []string{"a.test"}, MaxBytes: 100}); err == nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("the plugin's own limit: %v", err)
	}
}

// TestPrivate has a host be private by the operator's list alone, and no request use a connection
// that one of another host has opened.
func TestPrivate(t *testing.T) {
	c, port := start(t, outbound.Config{Private: []string{"a.*"}})
	r := host.FetchRequest{Method: "GET", URL: "http://a.test:" + port, AllowedHosts: []string{"*"}}
	if _, err := c.Fetch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.URL, r.AllowedHosts = "http://127.0.0.1:"+port, []string{"127.0.0.1"}
	if _, err := c.Fetch(t.Context(), r); !errors.Is(err, outbound.ErrNotAllowed) {
		t.Errorf("an address that the plugin alone lists: %v", err)
	}
}

// TestNoRedirects has a redirect be the response.
func TestNoRedirects(t *testing.T) {
	c, port := start(t, outbound.Config{Private: []string{"a.test"}, MaxRedirects: -1})
	got, err := c.Fetch(t.Context(), host.FetchRequest{Method: "GET", URL: "http://a.test:" + port + "/loop", AllowedHosts: []string{"a.test"}})
	if err != nil || got.Status != http.StatusFound || got.Header["location"] != "/loop" {
		t.Errorf("%+v, err %v", got, err)
	}
}

func TestSlow(t *testing.T) {
	c, port := start(t, outbound.Config{Timeout: 20 * time.Millisecond, Private: []string{"*"}})
	for _, path := range []string{"/slow", "/slowbody"} {
		_, err := c.Fetch(t.Context(), host.FetchRequest{Method: "GET", URL: "http://a.test:" + port + path, AllowedHosts: []string{"a.test"}})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "takes longer than 20ms") {
			t.Errorf("%s: %v", path, err)
		}
	}
	cause := errors.New("the task is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := c.Fetch(ctx, host.FetchRequest{Method: "GET", URL: "http://a.test:" + port + "/slow", AllowedHosts: []string{"a.test"}}); !errors.Is(err, cause) {
		t.Errorf("a task that has ended: %v", err)
	}
}

// recorder is a transport that keeps what it is given to send.
type recorder struct {
	next http.RoundTripper
	seen *[]string
}

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	*r.seen = append(*r.seen, req.URL.Path)
	req = req.Clone(req.Context())
	req.Header.Set("X-Mine", "wrapped")
	return r.next.RoundTrip(req)
}

// TestWrap has each request that is sent pass through the embedder's transport, and none that is refused.
func TestWrap(t *testing.T) {
	var seen []string
	c, port := start(t, outbound.Config{
		Private: []string{"a.test"},
		Wrap:    func(next http.RoundTripper) http.RoundTripper { return recorder{next, &seen} },
	})
	base := "http://a.test:" + port
	got, err := c.Fetch(t.Context(), host.FetchRequest{
		Method: "GET", URL: base + "/redirect?to=/end", Header: map[string]string{"X-Mine": "plugin"}, AllowedHosts: []string{"*.test"},
	})
	if err != nil || string(got.Body) != "GET /end wrapped  " {
		t.Errorf("%q, %v", got.Body, err)
	}
	for _, url := range []string{"http://c.example:" + port, base + "/redirect?to=http://c.example/"} {
		if _, err := c.Fetch(t.Context(), host.FetchRequest{Method: "GET", URL: url, AllowedHosts: []string{"*.test"}}); !errors.Is(err, outbound.ErrNotAllowed) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if want := []string{"/redirect", "/end", "/redirect"}; !slices.Equal(seen, want) {
		t.Errorf("sent %q, want %q", seen, want)
	}
}
