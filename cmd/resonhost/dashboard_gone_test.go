package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// testGone takes the server away from a page that is open, and brings it back.
func testGone(t *testing.T, d *dashboardTest) {
	b := newTab(d.browser, t, d.relay.addr(), 1280, 900, "light")
	b.open("#/")
	b.awaitText("#foot", "Live")
	d.relay.cut(true)
	b.awaitText("#banner", "No answer from the server since")
	b.awaitText("#banner", "Next attempt in")
	b.awaitText("#foot", "No answer")
	b.await(`getComputedStyle(document.querySelector('main .page')).filter.includes('grayscale')`)
	b.shot("gone")
	// Each page that is opened now says so too, and is not empty.
	for _, page := range []struct{ name, hash, title string }{
		{"plugins", "#/plugins", "Plugins"}, {"transforms", "#/transforms", "Transforms"}, {"transform", "#/transforms/cascade", "cascade"},
		{"networks", "#/network", "Networks"}, {"jobs", "#/jobs", "Jobs"}, {"events", "#/events", "Events"}, {"logs", "#/logs", "Logs"},
	} {
		b.eval0(`location.hash = ` + quoted(page.hash))
		b.awaitText("h1", page.title)
		b.awaitText("#banner", "No answer from the server since")
		b.await(`document.querySelector('main .page').innerText.trim().length > 20`)
		b.shot("gone-" + page.name)
	}
	// One whose module has to come from the server comes with the server.
	b.eval0(`location.hash = "#/network"`)
	b.awaitText(".empty-title", "This page could not be loaded")
	d.relay.cut(false)
	b.click("#banner button", "Try now")
	b.awaitText("#foot", "Live")
	b.awaitText("h2", "A new network")
	b.await(`document.getElementById('banner').textContent === '' && !document.body.classList.contains('stale')`)
	// It comes again by itself, too, and so does what shows a transform's results. The page keeps what was typed.
	b.open("#/")
	b.awaitText("#foot", "Live")
	d.relay.cut(true)
	b.awaitText("#foot", "No answer")
	b.eval0(`location.hash = "#/transforms/cascade"`)
	b.awaitText("h1", "cascade")
	b.await(`document.querySelector('button.primary') !== null`)
	b.fill("#document", `{"phiValue": 1.25}`) // the form comes with the view
	d.relay.cut(false)
	b.awaitText("#foot", "Live")
	b.await(`document.querySelector('[id="in.phiValue"]')?.value === '1.25'`)
	b.click("button.primary", "Run")
	b.await(`document.querySelector('section svg') !== null`)
}

// testStrangeAnswer has something else answer once in the server's stead, as a proxy may. The page says
// what is wrong to who looks at its console, and goes on.
func testStrangeAnswer(t *testing.T, d *dashboardTest) {
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.addr})
	to.FlushInterval = -1
	var once sync.Once
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strange := false
		if r.URL.Path == "/v1/stats" {
			once.Do(func() { strange = true })
		}
		if strange {
			_, _ = io.WriteString(w, "{}") // it arrives, or the page's wait fails
			return
		}
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	b := newTab(d.browser, t, web.Listener.Addr().String(), 1280, 900, "light")
	b.open("#/")
	b.awaitText("#foot", "Live")
	b.await(`resonhost.live.samples.length > 0`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) == 0 {
		t.Error("the console has nothing of it")
	}
	b.faults = nil
}

// relay passes connections on, until it is cut.
type relay struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	gone  bool                  // guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, to: to, conns: make(map[net.Conn]struct{})}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.pass(in) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		r.cut(true)
		serving.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

// cut ends all connections, and those that come, until it is called with false.
func (r *relay) cut(gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = gone
	for conn := range r.conns {
		if gone {
			conn.Close()
		}
	}
}

// keep reports whether a connection may be there.
func (r *relay) keep(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.gone {
		r.conns[conn] = struct{}{}
	}
	return !r.gone
}

func (r *relay) pass(in net.Conn) {
	defer in.Close()
	if !r.keep(in) {
		return
	}
	out, err := new(net.Dialer).Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(in, out)
		in.Close()
	})
	io.Copy(out, in)
	out.Close()
	back.Wait()
	r.mu.Lock()
	delete(r.conns, in)
	r.mu.Unlock()
}
