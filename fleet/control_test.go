package fleet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// bucketOf is a bucket of the fleet, for a client that is none of the fleet's.
func bucketOf(tb testing.TB, js jetstream.JetStream, name string) jetstream.KeyValue {
	tb.Helper()
	kv, err := js.KeyValue(tb.Context(), "RESONHOST_default_"+name)
	if err != nil {
		tb.Fatal(err)
	}
	return kv
}

// TestPrune has files that no record names. They go with a push, unless there is a record that cannot be read, or somebody is
// about to name them.
func TestPrune(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	c := control(t, f)
	_, js := jet(t, urls)
	store, err := js.ObjectStore(t.Context(), "RESONHOST_default_FILES")
	if err != nil {
		t.Fatal(err)
	}
	there := func(name string) bool {
		t.Helper()
		_, err := store.GetInfo(t.Context(), name)
		if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	again := func(tag string) *fleet.Wanted {
		t.Helper()
		w := push(t, c, guesttest.Version{Tag: tag}, time.Hour)
		if _, err := c.Rollback(t.Context(), "swap"); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if _, err := store.PutBytes(t.Context(), "orphan", []byte("x")); err != nil {
		t.Fatal(err)
	}
	again("v1")
	if !there("orphan") {
		t.Error("an object that is new is gone")
	}
	c.KeepOrphans(time.Nanosecond)
	wanted := bucketOf(t, js, "WANTED")
	if _, err := wanted.Put(t.Context(), "plugin.newer", []byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	again("v2")
	if !there("orphan") {
		t.Error("an object is gone that may be of a record of a newer program")
	}
	if err := wanted.Purge(t.Context(), "plugin.newer"); err != nil {
		t.Fatal(err)
	}
	old := again("v3").Rollout.Release.Files["swap.wasm"].SHA256
	if there("orphan") || !there(old) {
		t.Errorf("the orphan is there: %t, a file of a record is there: %t", there("orphan"), there(old))
	}
	before, err := store.GetInfo(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	again("v3")
	after, err := store.GetInfo(t.Context(), old)
	if err != nil || !after.ModTime.After(before.ModTime) || after.Digest != before.Digest {
		t.Errorf("an old object that is pushed again has the time %v, and had %v: error %v", after.ModTime, before.ModTime, err)
	}
	again("v4") // whose push still finds the record of v3
	again("v5")
	if there(old) {
		t.Error("a file that no record names any more is there")
	}
}

// TestStop stops roll-outs whose record changes all the time. Each is stopped at once, and nothing else is.
func TestStop(t *testing.T) {
	urls := natstest.Start(t).URL()
	c := control(t, open(t, small(urls, "a")))
	_, js := jet(t, urls)
	wanted := bucketOf(t, js, "WANTED")
	for _, tag := range []string{"v1", "v2", "v3", "v4", "v5", "v6"} {
		w := push(t, c, guesttest.Version{Tag: tag}, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			for ctx.Err() == nil {
				e, err := wanted.Get(ctx, "plugin.swap")
				if err != nil || !strings.Contains(string(e.Value()), `"state":"rolling"`) {
					continue
				}
				_, _ = wanted.Update(ctx, "plugin.swap", e.Value(), e.Revision()) // which may come late
			}
		})
		got, err := c.Rollback(t.Context(), "swap")
		cancel()
		group.Wait()
		if err != nil || got.Rollout.ID != w.Rollout.ID || got.Rollout.State != fleet.RolloutStopped {
			t.Fatalf("%+v, error %v", got, err)
		}
	}
}

// TestOrderLost has the connection break with each order, before its acknowledgement has come. The order holds, and is not given twice.
func TestOrderLost(t *testing.T) {
	s := natstest.Start(t)
	a := join(t, s.URL(), "a")
	addr, lose := losing(t, strings.TrimPrefix(s.URL(), "nats://"), "$KV.RESONHOST_default_WANTED.plugin.swap")
	c := control(t, open(t, small("nats://"+addr, "operator")))
	for _, tag := range []string{"v2", "v3", "v4"} {
		lose()
		push(t, c, guesttest.Version{Tag: tag}, time.Millisecond)
		over(t, c)
		serves(t, tag, a)
	}
	lose()
	w, err := c.Rollback(t.Context(), "swap")
	if err != nil || w.Current.Version != "v3" || w.Previous != nil {
		t.Errorf("%+v, error %v", w, err)
	}
	push(t, c, guesttest.Version{Tag: "v5"}, time.Hour)
	lose()
	if w, err = c.Rollback(t.Context(), "swap"); err != nil || w.Current.Version != "v3" || w.Rollout.State != fleet.RolloutStopped {
		t.Errorf("%+v, error %v", w, err)
	}
	serves(t, "v3", a)
}

// TestNewerHost has a host of a newer program in a roll-out, whose signs of life nobody else can read. It is waited for, and the log is
// told of it once.
func TestNewerHost(t *testing.T) {
	urls := natstest.Start(t).URL()
	a := join(t, urls, "a")
	_, js := jet(t, urls)
	hosts, wanted := bucketOf(t, js, "HOSTS"), bucketOf(t, js, "WANTED")
	change := func(from, to string) {
		t.Helper()
		eventually(t, to, func() bool {
			e, err := wanted.Get(t.Context(), "plugin.swap")
			if err != nil || !strings.Contains(string(e.Value()), from) {
				return false
			}
			_, err = wanted.Update(t.Context(), "plugin.swap", []byte(strings.Replace(string(e.Value()), from, to, 1)), e.Revision())
			return err == nil
		})
	}
	place := func(step string) string {
		return `"newer":{"host":"b","step":"` + step + `","since":"2026-01-01T00:00:00Z"}`
	}
	if _, err := hosts.Put(t.Context(), "newer", []byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	change(`"places":{`, `"places":{`+place("trying")+`,`)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 15 { // signs of life are kept for 2 s
		<-tick.C
		if _, err := hosts.Put(t.Context(), "newer", []byte(`{"format":99}`)); err != nil {
			t.Fatal(err)
		}
	}
	if w, err := a.control.Plugin(t.Context(), "swap"); err != nil || w.Rollout.State != fleet.RolloutRolling || len(w.Rollout.Places) != 2 {
		t.Errorf("%+v, error %v", w, err)
	}
	change(place("trying"), place("good"))
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	if n := a.log.count("key=newer"); n != 1 {
		t.Errorf("the log was told %d times", n)
	}
	gone := func() bool {
		list, err := a.control.Hosts(t.Context())
		return err == nil && !slices.ContainsFunc(list, func(h fleet.HostInfo) bool { return h.Instance == "newer" })
	}
	eventually(t, "its end", gone)
	if _, err := hosts.Put(t.Context(), "newer", []byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	if list, err := a.control.Hosts(t.Context()); err != nil || a.log.count("key=newer") != 2 {
		t.Errorf("%+v, error %v, and the log was told %d times", list, err, a.log.count("key=newer"))
	}
}

// TestBuckets opens fleets whose buckets are not as they have to be, or have no room.
func TestBuckets(t *testing.T) {
	url := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 512 << 20 }).URL()
	_, js := jet(t, url)
	const edit = ": change it (nats stream edit), or take another name for the fleet"
	opened := func(name string) error {
		t.Helper()
		_, err := open(t, fleet.Config{URLs: url, Fleet: name, TaskBytes: 1 << 20, ResultBytes: 1 << 20}).Control(t.Context())
		return err
	}
	for name, c := range map[string]struct {
		cfg  jetstream.KeyValueConfig
		want string
	}{
		"ttl":    {jetstream.KeyValueConfig{Bucket: "WANTED", TTL: time.Hour}, "stream KV_RESONHOST_ttl_WANTED: max_age is 1h0m0s, and must be unlimited" + edit},
		"memory": {jetstream.KeyValueConfig{Bucket: "HOSTS", TTL: 20 * time.Second, Storage: jetstream.MemoryStorage}, "stream KV_RESONHOST_memory_HOSTS: storage is Memory, and must be File" + edit},
		"size":   {jetstream.KeyValueConfig{Bucket: "WANTED", MaxValueSize: 100}, "stream KV_RESONHOST_size_WANTED: max_msg_size is 100, and must be unlimited, or at least 61440" + edit},
	} {
		c.cfg.Bucket = "RESONHOST_" + name + "_" + c.cfg.Bucket
		if _, err := js.CreateKeyValue(t.Context(), c.cfg); err != nil {
			t.Fatal(err)
		}
		if err := opened(name); err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "RESONHOST_files_FILES", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := opened("files"); err == nil || err.Error() != "stream OBJ_RESONHOST_files_FILES: max_age is 1h0m0s, and must be unlimited"+edit {
		t.Errorf("error %v", err)
	}
	if err := opened("full"); err == nil || !strings.Contains(err.Error(), "there is no room for 1073741824 bytes on 1 servers: the streams of a fleet reserve 1076101120 bytes together") {
		t.Errorf("error %v", err)
	}
}

// TestMustExist looks at a fleet that is not there. Nothing is made.
func TestMustExist(t *testing.T) {
	url := natstest.Start(t).URL()
	cfg := small(url, "")
	cfg.MustExist = true
	if _, err := fleet.Open(t.Context(), cfg); !errors.Is(err, fleet.ErrNoFleet) {
		t.Errorf("error %v", err)
	}
	_, js := jet(t, url)
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		t.Errorf("the stream %s is there", name)
	}
	f := open(t, small(url, "a")) // without the buckets
	looks := open(t, cfg)
	if _, err := looks.Control(t.Context()); !errors.Is(err, fleet.ErrNoFleet) {
		t.Errorf("error %v", err)
	}
	control(t, f)
	control(t, looks)
}

// TestClosed closes a connection while what is wanted is read. The error says so.
func TestClosed(t *testing.T) {
	url := natstest.Start(t).URL()
	for range 10 {
		f := open(t, small(url, "a"))
		c := control(t, f)
		began, ended := make(chan struct{}), make(chan error)
		go func() {
			_, err := c.Plugins(t.Context())
			close(began)
			for err == nil {
				_, err = c.Plugins(t.Context())
			}
			ended <- err
		}()
		<-began
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; errors.Unwrap(err) == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("error %v", err)
		}
	}
}

// losing stands between a client and the server at to. After lose, the first that the client says with the text still reaches the server,
// and the connection ends before an answer does.
func losing(tb testing.TB, to, text string) (addr string, lose func()) {
	tb.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	armed := make(chan struct{}, 1)
	var group sync.WaitGroup
	serve := func(down net.Conn) {
		defer down.Close()
		up, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
		if err != nil {
			return
		}
		defer up.Close()
		group.Go(func() { // until up or down is closed
			_, _ = io.Copy(down, up)
			_ = down.Close()
		})
		buf := make([]byte, 1<<20)
		for {
			n, err := down.Read(buf)
			if err != nil {
				return
			}
			loses := false
			if strings.Contains(string(buf[:n]), "PUB "+text) {
				select {
				case <-armed:
					loses = true
					_ = down.Close()
				default:
				}
			}
			if _, err := up.Write(buf[:n]); err != nil || loses {
				return
			}
		}
	}
	group.Go(func() { // until the listener is closed
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { serve(down) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	return l.Addr().String(), func() { armed <- struct{}{} }
}
