package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/outbound"
)

// extism is the guest "extism" as the plugin "x", with a companion file.
func extism(tb testing.TB, companion string) host.Source {
	tb.Helper()
	return host.Source{Name: "x", WASM: guesttest.HandWritten(tb, "extism"), Companion: []byte(companion)}
}

// tag is a version of it, of which x.config answers "tag" with the tag.
func tag(tb testing.TB, version string) host.Source {
	tb.Helper()
	return extism(tb, "version: "+version+"\nconfig: {tag: "+version+"}")
}

// fetchNothing answers every request with nothing.
func fetchNothing(context.Context, host.FetchRequest) (host.FetchResponse, error) {
	return host.FetchResponse{}, nil
}

// TestExtismEndsAlone has tasks that are submitted together, of which each ends its instance.
func TestExtismEndsAlone(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{
		"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "fresh": host.IsolationFresh, "shared": host.IsolationShared,
	} {
		h := hosted.Start(t, host.Config{Plugins: []host.Source{extism(t, "")}, Workers: 1, Defaults: host.PluginConfig{Isolation: isolation}})
		for i, r := range h.RunBatch(t.Context(), "x.done", [][]byte{[]byte("a"), []byte("b"), []byte("c")}) {
			if want := string(rune('a' + i)); r.Err != nil || string(r.Output) != want {
				t.Errorf("%s: task %d answers %q, err %v", name, i, r.Output, r.Err)
			}
		}
	}
}

// TestExtismFailsAlone has tasks of one frame, of which those fail that a function of the host's ends.
func TestExtismFailsAlone(t *testing.T) {
	for name, isolation := range map[string]host.Isolation{"frame": host.IsolationFrame, "shared": host.IsolationShared} {
		h := hosted.Start(t, host.Config{
			Plugins: []host.Source{extism(t, "max_variable_bytes: 20")}, Workers: 1, Defaults: host.PluginConfig{Isolation: isolation},
		})
		long := strings.Repeat("x", 100)
		for i, r := range h.RunBatch(t.Context(), "x.fill", [][]byte{[]byte("a"), []byte(long), []byte("b"), []byte(long)}) {
			want, kind := []string{"a", "", "b", ""}[i], host.Kind("")
			if want == "" {
				kind = host.KindFailed
			}
			if e := (*host.Error)(nil); errors.As(r.Err, &e) != (kind != "") || e != nil && (e.Kind != kind || !strings.HasPrefix(e.Message, "the variables are full: ")) || string(r.Output) != want {
				t.Errorf("%s: task %d answers %q, err %v", name, i, r.Output, r.Err)
			}
		}
		for i, r := range h.RunBatch(t.Context(), "x.http", [][]byte{[]byte("{}"), []byte("{}")}) {
			if host.KindOf(r.Err) != host.KindFailed {
				t.Errorf("%s: request %d: %v", name, i, r.Err)
			}
		}
	}
}

// TestExtismDenial has guests take what Extism's alone could get, see TestKindDenial.
func TestExtismDenial(t *testing.T) {
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{extism(t, "max_variable_bytes: 1000"), handWritten(t, "leak")}, Workers: 3, MemoryBudget: 256 << 20,
		Defaults: host.PluginConfig{RunTimeout: time.Minute, BreakAfter: -1, MaxOutput: 1 << 20, MaxInstances: 2},
	})
	long := []byte(strings.Repeat("x", 2000))
	attack(t, h, []attacker{
		{"x.grow", long, host.KindOutOfMemory}, {"x.growkernel", long, host.KindOutOfMemory},
		{"x.hugeoutput", long, host.KindABI}, {"x.wildoutput", long, host.KindABI}, {"x.wildroot", long, host.KindTrap},
		{"x.wildkey", long, host.KindABI}, {"x.spoilhost", long, host.KindABI},
		{"x.fill", long, host.KindFailed}, {"x.http", long, host.KindFailed},
	})
}

// TestExtismSwaps swaps under load, and has no task fail and no stream lose its variables.
func TestExtismSwaps(t *testing.T) {
	h := hosted.Start(t, host.Config{Plugins: []host.Source{tag(t, "v1")}, CacheDir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			s := h.Stream(fmt.Sprint(i))
			for n := 1; ctx.Err() == nil; n++ {
				if out, err := h.Run(t.Context(), "x.config", []byte("tag")); err != nil || out[0] != 'v' {
					t.Errorf("%q, %v", out, err)
					return
				}
				if n < 1000 {
					if out, err := s.Run(t.Context(), "x.count", nil); err != nil || string(out) != fmt.Sprintf("%03d", n) {
						t.Errorf("task %d of a stream: %q, %v", n, out, err)
						return
					}
				}
			}
		})
	}
	for i := range 50 {
		deploy(t, h, tag(t, []string{"v2", "v3"}[i%2]), host.DeploySwapped)
	}
	cancel()
	callers.Wait()
}

// TestExtismCanary has a canary rolled back whose tasks fail.
func TestExtismCanary(t *testing.T) {
	h := hosted.Start(t, host.Config{Plugins: []host.Source{extism(t, "version: v1")}, Defaults: host.PluginConfig{Canary: 0.5, CanaryTime: time.Hour, StateRule: host.StateReset}})
	deploy(t, h, extism(t, "version: v2\nmax_variable_bytes: 20"), host.DeployCanary)
	until(t, "the canary is rolled back", func() bool {
		if out, err := h.Run(t.Context(), "x.fill", []byte("a long variable, too long")); err != nil || string(out) != "a long variable, too long" {
			t.Fatalf("%q, %v", out, err)
		}
		return h.Plugins()[0].Canary == nil
	})
	if p := h.Plugins()[0]; p.Version != "v1" || p.Kind != "extism" || p.Failure == nil {
		t.Errorf("%+v", p)
	}
}

// TestExtismFetches has a plugin send requests by package outbound.
func TestExtismFetches(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprint(w, "hello ", r.Method)
	}))
	t.Cleanup(s.Close)
	client := outbound.New(outbound.Config{Private: []string{"127.0.0.1"}})
	t.Cleanup(client.Close)
	h := hosted.Start(t, host.Config{
		Plugins: []host.Source{
			extism(t, "allowed_hosts: ['127.0.0.1']"),
			{Name: "y", WASM: guesttest.HandWritten(t, "extism"), Companion: []byte("allowed_hosts: ['127.0.0.1', localhost]")},
		},
		Fetch: client.Fetch, Defaults: host.PluginConfig{RunTimeout: time.Minute},
		Overrides: map[string]host.PluginConfig{"x": {Grants: []host.Grant{host.GrantNetwork}}},
	})
	request := []byte(`{"url": "` + s.URL + `"}`)
	if out, err := h.Run(t.Context(), "x.post", request); err != nil || string(out) != "hello GET" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := h.Run(t.Context(), "y.http", request); host.KindOf(err) != host.KindFailed || !strings.Contains(err.Error(), "http_request: the plugin is not granted the network (its setting grant, PluginConfig.Grants)") {
		t.Errorf("without the grant: %v", err)
	}
	local := []byte(strings.Replace(string(request), "127.0.0.1", "localhost", 1))
	if _, err := h.Run(t.Context(), "x.http", local); host.KindOf(err) != host.KindFailed || !strings.Contains(err.Error(), `the host "localhost" is not allowed`) {
		t.Errorf("to a host that its list does not have: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Run(ctx, "x.http", []byte(`{"url": "`+s.URL+`/hang"}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a response that does not come: %v", err)
	}
}

// TestWatchManifest has manifests of Extism's in a plugin directory.
func TestWatchManifest(t *testing.T) {
	dir := t.TempDir()
	wasm := guesttest.HandWritten(t, "extism")
	save(t, dir, "guest.wasm", wasm)
	save(t, dir, "package.json", []byte(`{"name": "x", "scripts": {"wasm": "y"}}`))
	manifest := func(member string) {
		save(t, dir, "x.json", []byte(`{"wasm": [{"path": "guest.wasm"}]`+member+`}`))
	}
	manifest(`, "config": {"tag": "v1"}`)
	w := watch(t, dir, "", nil)
	w.await(event.PluginReady)
	if all := w.Plugins(); len(all) != 1 || all[0].Name != "x" || all[0].Kind != "extism" {
		t.Fatalf("%+v", all)
	}
	serves := func(want string) {
		t.Helper()
		if out, err := w.Run(t.Context(), "x.config", []byte("tag")); err != nil || string(out) != want {
			t.Errorf("%q, %v, want %q", out, err, want)
		}
	}
	serves("v1")
	manifest(`, "config": {"tag": "v2"}`)
	w.await(event.PluginSwapped)
	serves("v2")
	save(t, dir, "guest.wasm", append(wasm[:len(wasm):len(wasm)], "\x00\x02\x01x"...)) // with a custom section
	w.await(event.PluginSwapped)
	serves("v2")
	manifest(`, "allowed_paths": {"/": "/"}`)
	if e := w.await(event.PluginRefused); !strings.Contains(e.Detail, "x.json: allowed_paths: a plugin of this host has no files") {
		t.Errorf("%+v", e)
	}
	save(t, dir, "x.wasm", wasm)
	manifest("")
	if e := w.await(event.PluginRefused); !strings.Contains(e.Detail, "it does not name x.wasm, which would be a plugin of the same name") {
		t.Errorf("%+v", e)
	}
	serves("v2")
}

// TestUnacceptedManifest has a manifest take no file from a plugin that is accepted.
func TestUnacceptedManifest(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "x.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1"}))
	save(t, dir, "x.json", []byte(`{"wasm": 1}`))
	save(t, dir, "z.json", []byte(`{"wasm": [{"path": "x.wasm"}]}`))
	w := watch(t, dir, "", func(c *host.Config) {
		c.Accept = func(_ context.Context, s host.Source) error {
			if s.Name != "x" || s.Companion != nil {
				return errors.New("not accepted")
			}
			return nil
		}
	})
	if e := w.await(event.PluginRefused); e.Plugin != "z" || !strings.Contains(e.Detail, "z.json: a manifest of Extism's is no plugin where plugins have to be accepted") {
		t.Errorf("%+v", e)
	}
	w.await(event.PluginReady)
	if out, err := w.Run(t.Context(), "swap", nil); err != nil || string(out) != guesttest.SwapTag("v1") {
		t.Errorf("%q, err %v", out, err)
	}
}

// TestBlindManifest has a host start without the files that a manifest may name which it cannot read.
func TestBlindManifest(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "m.json", []byte(`{"memory": {"max_pages": 1}, "wasm": [`))
	save(t, dir, "impl.wasm", guesttest.HandWritten(t, "upper"))
	log := new(bytes.Buffer)
	h := hosted.Start(t, host.Config{PluginDir: dir, StartPartly: true, Plugins: []host.Source{handWritten(t, "hostile")}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	for _, p := range h.Plugins() {
		if p.Source == "impl" && p.Hash != "" {
			t.Errorf("it serves: %+v", p)
		}
	}
	if !strings.Contains(log.String(), "impl.wasm: it is not known which files a manifest names, and this may be one: mend m.json, or take it away") {
		t.Errorf("the log has no reason:\n%s", log)
	}
	// Where nothing can be read the error says why.
	h, err := host.New(host.Config{PluginDir: dir, StartPartly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "plugin m: read "+dir+"/m.json: document: is cut off, behind byte 38") {
		t.Errorf("err %v", err)
	}
}

// TestReadManifest has a manifest read by its name.
func TestReadManifest(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "a.wasm", guesttest.HandWritten(t, "extism"))
	for doc, want := range map[string]string{
		`{"wasm": [{"path": "a.wasm"}], "config": {"a": "b"}}`: "",
		`{"wasm": [{"path": "b.wasm"}]}`:                       `m.json: wasm[0].path: there is no file "b.wasm"`,
		`{"wasm": [{"path": "a.wasm", "hash": "abc"}]}`:        "m.json: wasm[0].hash: is abc, and the SHA-256 of the binary is ",
		`{"name": "m"}`: "m",
		`{"wasm": [{"path": "a.wasm"}], "allowed_host": ["*"]}`:              "allowed_host",
		`{"wasm": [{"url": "https://example.com/a.wasm", "method": "GET"}]}`: "m.json: wasm[0].url: a host takes plugins from its directory alone",
		`{"wasm": [{"path": "a.wasm", "name": "main"}, {"path": "a.wasm"}]}`: "m.json: wasm: names 2 modules, and this host links none to another",
	} {
		save(t, dir, "m.json", []byte(doc))
		s, err := host.ReadSource(t.Context(), dir+"/m.json", 1<<20)
		if want == "" && (err != nil || s.Name != "m" || !strings.Contains(string(s.Companion), `"config":{"a":"b"}`)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v, want %s", doc, s.Name, err, want)
		}
	}
}
