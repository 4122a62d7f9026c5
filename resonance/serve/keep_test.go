package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/logtest"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// life is a process that serves networks of a store, until it ends.
type life struct {
	*client

	log logtest.Log
	end func() // which saves, and closes the host
}

// live begins a life. known is nil for a server that asks nobody who they are.
func live(t *testing.T, store state.Store, o serve.Options, known *auth.Identity, plugins ...host.Native) *life {
	t.Helper()
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: plugins, State: store, StateInterval: 100 * time.Millisecond})
	l := &life{}
	o.Logger = slog.New(slog.NewTextHandler(&l.log, nil))
	opts := server.Options{TrustTenant: known == nil}
	if known != nil {
		o.Principals, opts.Identity = known.Named, known
	}
	s, err := serve.New(h, o)
	if err == nil {
		err = s.Resume(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Routes, opts.Collectors = s.Routes(), s.Collectors()
	web, err := server.New(h, resonance.Codecs(), opts)
	if err != nil {
		t.Fatal(err)
	}
	l.client = &client{t, httptest.NewServer(web.Handler()), s, web, ""}
	l.end = sync.OnceFunc(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		l.http.Close()
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.end)
	return l
}

func count(t *testing.T, store state.Store) (n int) {
	t.Helper()
	if err := store.List(t.Context(), state.Filter{}, func(state.Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// await waits until f holds, as the saving of a service has its own goroutine.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for tries := time.NewTicker(time.Millisecond); !f(); {
		select {
		case <-tries.C:
		case <-t.Context().Done():
			t.Fatal(what)
		}
	}
}

// TestNetworksOutlive has the networks of two tenants come back with what they were, and go on.
func TestNetworksOutlive(t *testing.T) {
	store := state.NewMemory()
	o := serve.Options{}
	a := live(t, store, o, nil, tick.New())
	acme, other := a.as("acme"), a.as("other")
	var made serve.Network
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n", "node_period": "7ms", "network_period": "20ms"}`, &made)
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "gone"}`, nil)
	other.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks/n/nodes", `{"id": "still", "state": "stopped", "resonance_strength": 0.5, "harmonic_patterns": ["golden_ratio_harmonics"]}`, nil)
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks/n/nodes", `{}`, nil)
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks/n/connections", `{"a": "still", "b": "node-1"}`, nil)
	acme.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/gone", "", nil)
	var still serve.Node
	acme.do(http.StatusOK, http.MethodGet, "/v1/networks/n/nodes/still", "", &still)
	a.end()

	b := live(t, store, o, nil, tick.New())
	acme, other = b.as("acme"), b.as("other")
	var now serve.Network
	acme.do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", &now)
	if !now.Created.Equal(made.Created) || now.Nodes != 2 || now.Active != 1 || now.Connections != 1 {
		t.Errorf("%+v, was %+v", now, made)
	}
	var again, moving serve.Node
	acme.do(http.StatusOK, http.MethodGet, "/v1/networks/n/nodes/still", "", &again)
	if x, y := text(t, still), text(t, again); x != y {
		t.Errorf("node %s, was %s", y, x)
	}
	if acme.do(http.StatusOK, http.MethodGet, "/v1/networks/n/nodes/node-1", "", &moving); moving.PeriodS != 0.007 {
		t.Errorf("%+v", moving)
	}
	other.do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", &now)
	acme.do(http.StatusNotFound, http.MethodGet, "/v1/networks/gone", "", nil)
	await(t, "no ticks", func() bool {
		acme.do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", &now)
		return now.Ticks > 5 && now.NowMS > 0
	})
	acme.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/n", "", nil)
	other.do(http.StatusNoContent, http.MethodDelete, "/v1/networks/n", "", nil)
	await(t, "records are left", func() bool { return count(t, store) == 0 })
	// A name is free at once, whatever becomes of the network before in the store.
	acme.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	b.end()
	live(t, store, o, nil, tick.New()).as("acme").do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", &now)
	if now.Nodes != 0 {
		t.Errorf("%+v", now)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnserved has networks in the store that cannot be served. The others are.
func TestUnserved(t *testing.T) {
	store := state.NewMemory()
	a := live(t, store, serve.Options{}, nil, tick.New())
	for _, id := range []string{"broken", "late", "good", "large"} {
		a.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "`+id+`"}`, nil)
		a.do(http.StatusCreated, http.MethodPost, "/v1/networks/"+id+"/nodes", `{}`, nil)
	}
	a.do(http.StatusCreated, http.MethodPost, "/v1/networks/large/nodes", `{}`, nil)
	a.end()
	at := state.Key{Kind: state.KindNetwork, Name: "broken/1/n0"}
	late := state.Record{Key: state.Key{Kind: state.KindNetwork, Name: "late"}, Format: 99, Changed: time.UnixMilli(1), Data: []byte("?")}
	stray := state.Record{Key: state.Key{Kind: state.KindNetwork, Name: "never/1/n0"}, Changed: time.UnixMilli(1)}
	if err := store.Save(t.Context(), []state.Change{{Record: state.Record{Key: at}, Delete: true}, {Record: late}, {Record: stray}}); err != nil {
		t.Fatal(err)
	}
	before := count(t, store)
	b := live(t, store, serve.Options{MaxNodes: 1}, nil, tick.New())
	b.do(http.StatusOK, http.MethodGet, "/v1/networks/good", "", nil)
	for _, id := range []string{"broken", "late", "large"} {
		b.do(http.StatusNotFound, http.MethodGet, "/v1/networks/"+id, "", nil)
		b.do(http.StatusConflict, http.MethodPost, "/v1/networks", `{"id": "`+id+`"}`, nil)
		if strings.Count(b.log.String(), "network="+id) != 1 {
			t.Errorf("%s is not told once", id)
		}
	}
	b.end()
	if after := count(t, store); after != before-1 { // the stray
		t.Errorf("%d records, were %d", after, before)
	}
}

// TestWrongKey has a store whose networks all have another key: nothing is served, and nothing is
// touched.
func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	open := func(keys string) *bolt.Store {
		cipher, err := state.ParseKeys([]byte(keys))
		if err != nil {
			t.Fatal(err)
		}
		store, err := bolt.Open(t.Context(), dir, bolt.Options{Codec: state.Codec{Cipher: cipher}})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	right := state.NewKey()
	store := open(right)
	a := live(t, store, serve.Options{}, nil, tick.New())
	a.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "sealed"}`, nil)
	a.end()
	before := count(t, store)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(state.NewKey())
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{tick.New()}, State: store})
	s, err := serve.New(h, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resume(t.Context()); !errors.Is(err, state.ErrKey) || !strings.Contains(err.Error(), "--state-key") {
		t.Errorf("error %v, want %v", err, state.ErrKey)
	}
	if err := errors.Join(s.Close(t.Context()), h.Close(t.Context()), store.Close()); err != nil {
		t.Error(err)
	}
	store = open(right)
	defer func() { _ = store.Close() }()
	if after := count(t, store); after != before {
		t.Errorf("%d records, were %d", after, before)
	}
	b := live(t, store, serve.Options{}, nil, tick.New())
	b.do(http.StatusOK, http.MethodGet, "/v1/networks/sealed", "", nil)
	b.end()
}

// TestWhoOutlives has a network come back for those who may have it tick, by their names.
func TestWhoOutlives(t *testing.T) {
	store := state.NewMemory()
	o := serve.Options{}
	token, hash := auth.NewToken()
	second, secondHash := auth.NewToken()
	known := func(lines ...string) *auth.Identity {
		i := auth.New(auth.Options{})
		if _, err := i.SetTokens([]byte(strings.Join(lines, "\n"))); err != nil {
			t.Fatal(err)
		}
		return i
	}
	do := func(l *life, status int, token, method, path string) (n serve.Network) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "/v1/networks"+path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		l.server.Handler().ServeHTTP(w, r)
		if w.Code != status {
			t.Fatalf("%d %s, want %d", w.Code, w.Body, status)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	a := live(t, store, o, known("ann "+hash+" scopes=call tenant=t"), tick.New())
	id := do(a, 201, token, http.MethodPost, "").ID
	a.end()

	b := live(t, store, o, known("ann "+hash+" scopes=call tenant=t"), tick.New())
	await(t, "no ticks of hers", func() bool { return b.service.Stats().Ticks > 0 })
	b.end()

	// Nobody is known who may, and then somebody else comes.
	c := live(t, store, o, known("ann "+hash+" scopes=call tenant=elsewhere", "bob "+secondHash+" scopes=call tenant=t"), tick.New())
	if s := c.service.Stats(); s.Ticks != 0 || s.Lag.Count != 0 {
		t.Errorf("it ticks for nobody: %+v", s)
	}
	do(c, 200, second, http.MethodGet, "/"+id)
	await(t, "no ticks of his", func() bool { return c.service.Stats().Ticks > 0 })
	c.end()

	// A server that asks nobody who they are serves all.
	d := live(t, store, o, nil, tick.New())
	await(t, "no ticks of anybody", func() bool { return d.service.Stats().Ticks > 0 })
}

// TestResumeWithoutPlugin has a network wait for the plugin.
func TestResumeWithoutPlugin(t *testing.T) {
	store := state.NewMemory()
	a := live(t, store, serve.Options{}, nil, tick.New())
	a.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	a.end()
	b := live(t, store, serve.Options{}, nil, cascade.New())
	b.do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", nil)
	if strings.Count(b.log.String(), "does not tick yet") != 1 || b.service.Stats().Ticks != 0 {
		t.Errorf("%s", b.log.String())
	}
	b.end()
	c := live(t, store, serve.Options{}, nil, tick.New())
	await(t, "no ticks", func() bool { return c.service.Stats().Ticks > 0 })
}

// away is a store that cannot be reached for a while.
type away struct {
	state.Store

	gone  atomic.Bool
	saves atomic.Int64
}

var errAway = errors.New("away")

func (a *away) Save(ctx context.Context, changes []state.Change) error {
	a.saves.Add(1)
	if a.gone.Load() {
		return errAway
	}
	return a.Store.Save(ctx, changes)
}

// TestStoreAway has a store go away and come back. Networks tick meanwhile, and are saved then.
func TestStoreAway(t *testing.T) {
	store := &away{Store: state.NewMemory()}
	store.gone.Store(true)
	l := live(t, store, serve.Options{}, nil, tick.New())
	l.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	await(t, "no tries", func() bool { return store.saves.Load() > 3 })
	l.do(http.StatusCreated, http.MethodPost, "/v1/networks/n/nodes", `{}`, nil)
	store.gone.Store(false)
	await(t, "not saved", func() bool { return strings.Count(l.log.String(), "networks are saved again") == 1 })
	if n := strings.Count(l.log.String(), "networks are not saved"); n != 1 {
		t.Errorf("told %d times", n)
	}
	l.end()
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := k.Load(t.Context()); err != nil || len(kept.Snapshot.Nodes) != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
	last := live(t, store, serve.Options{}, nil, tick.New())
	store.gone.Store(true)
	if err := last.service.Close(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("err %v of the last save", err)
	}
	store.gone.Store(false) // the host saves, too
}

// stuck is a store whose first save ends with its context alone.
type stuck struct {
	state.Store

	begun chan struct{}
	once  sync.Once
	over  atomic.Bool
}

func (s *stuck) Save(ctx context.Context, changes []state.Change) error {
	first := false
	s.once.Do(func() { first = true })
	if !first {
		return s.Store.Save(ctx, changes)
	}
	close(s.begun)
	<-ctx.Done()
	s.over.Store(true)
	return context.Cause(ctx)
}

// TestASaveHoldsUpNoTick has a network tick, and take a node, while the store does not answer a save.
func TestASaveHoldsUpNoTick(t *testing.T) {
	store := &stuck{Store: state.NewMemory(), begun: make(chan struct{})}
	l := live(t, store, serve.Options{}, nil, tick.New())
	l.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	<-store.begun
	l.do(http.StatusCreated, http.MethodPost, "/v1/networks/n/nodes", `{"period": "5ms"}`, nil)
	var n serve.Network
	await(t, "it does not tick", func() bool {
		l.do(http.StatusOK, http.MethodGet, "/v1/networks/n", "", &n)
		return n.Ticks >= 5
	})
	if store.over.Load() {
		t.Error("the save has ended meanwhile")
	}
}

// TestCloseCutsSavingShort has a server close while it saves: the last save has what that one had.
func TestCloseCutsSavingShort(t *testing.T) {
	store := &stuck{Store: state.NewMemory(), begun: make(chan struct{})}
	l := live(t, store, serve.Options{}, nil, tick.New())
	l.do(http.StatusCreated, http.MethodPost, "/v1/networks", `{"id": "n"}`, nil)
	<-store.begun
	l.end()
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(t.Context()); err != nil {
		t.Error(err)
	}
}
