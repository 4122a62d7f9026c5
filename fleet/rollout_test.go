package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// swap is a version of the plugin swap, whose transform answers with its tag.
func swap(tb testing.TB, v guesttest.Version) host.Source {
	tb.Helper()
	return host.Source{Name: "swap", WASM: guesttest.Swap(tb, v)}
}

// node is a host of a fleet, its own connection included.
type node struct {
	fleet   *fleet.Fleet
	control *fleet.Control
	host    *host.Host
	worker  *fleet.Worker
	member  *fleet.Member
	log     *logged
}

// close closes the node in good order.
func (n *node) close(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(n.worker.Close(context.Background()), n.member.Close(context.Background())); err != nil {
		tb.Error(err)
	}
}

// join starts a host of a fleet that has version v1 of its own.
func join(tb testing.TB, urls, name string, change ...func(*host.Config)) *node {
	tb.Helper()
	return joinAs(tb, small(urls, name), change...)
}

// joinAs is join over a connection of that configuration.
func joinAs(tb testing.TB, conn fleet.Config, change ...func(*host.Config)) *node {
	tb.Helper()
	cfg := host.Config{Plugins: []host.Source{swap(tb, guesttest.Version{Tag: "v1"})}, Workers: 2, Defaults: host.PluginConfig{BreakAfter: -1}}
	for _, f := range change {
		f(&cfg)
	}
	n := &node{log: &logged{}, host: hosted.Start(tb, cfg)}
	conn.Logger = n.log.logger()
	n.fleet = open(tb, conn)
	n.control = control(tb, n.fleet)
	n.worker = n.fleet.NewWorker(n.host, fleet.WorkerOptions{})
	n.member = n.control.NewMember(n.host, n.worker)
	tb.Cleanup(func() { n.close(tb) })
	if err := n.member.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := n.worker.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return n
}

func control(tb testing.TB, f *fleet.Fleet) *fleet.Control {
	tb.Helper()
	c, err := f.Control(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// version is which version of swap a node serves, with "canary" behind it if there is one.
func (n *node) version() string {
	for _, p := range n.host.Plugins() {
		if p.Source == "swap" && p.Canary != nil {
			return p.Version + " canary"
		}
		if p.Source == "swap" {
			return p.Version
		}
	}
	return ""
}

// push begins a roll-out of a release that is watched for no longer than need be.
func push(tb testing.TB, c *fleet.Control, v guesttest.Version, watch time.Duration) *fleet.Wanted {
	tb.Helper()
	w, begun, err := c.Push(tb.Context(), swap(tb, v), fleet.PushOptions{Watch: watch})
	if err != nil || !begun {
		tb.Fatalf("begun %t, error %v", begun, err)
	}
	return w
}

// over waits until a roll-out of swap has ended, and returns it.
func over(tb testing.TB, c *fleet.Control) (w *fleet.Wanted) {
	tb.Helper()
	eventually(tb, "the end of a roll-out", func() bool {
		var err error
		w, err = c.Plugin(tb.Context(), "swap")
		return err == nil && w.Rollout.State != fleet.RolloutRolling
	})
	return w
}

// serves waits until nodes serve a version.
func serves(tb testing.TB, version string, nodes ...*node) {
	tb.Helper()
	for _, n := range nodes {
		eventually(tb, "version "+version, func() bool { return n.version() == version })
	}
}

// TestPush rolls a version out while three hosts work. No task is lost, and all hosts end on the version.
func TestPush(t *testing.T) {
	urls := natstest.Start(t).URL()
	var nodes []*node
	for _, name := range []string{"a", "b", "c"} {
		cfg := small(urls, name)
		cfg.AckWait = 5 * time.Second // for which a host with much to do is not taken for gone
		nodes = append(nodes, joinAs(t, cfg))
	}
	c := nodes[0].control
	s := submit(t, nodes[0].fleet, "")
	client := nodes[0].fleet.Client("", host.PriorityNormal)
	w := push(t, c, guesttest.Version{Tag: "v2"}, 50*time.Millisecond)
	if w.Rollout.State != fleet.RolloutRolling || w.Current != nil {
		t.Errorf("%+v", w)
	}
	ended := make(chan *fleet.Wanted)
	go func() { ended <- over(t, c) }()
	outputs, frames := map[string]int{}, 0
	for w = nil; w == nil; {
		select {
		case w = <-ended:
		default:
		}
		n := send(t, s, client.Frames("swap", slices.Repeat([]fleet.Task{{Input: []byte("x")}}, 200))...)
		for range n {
			r, err := s.Next(t.Context())
			if err != nil || r.Err != nil {
				t.Fatal(err, r.Err)
			}
			for _, o := range r.Answer.Outcomes {
				if o.Failure != nil {
					t.Fatalf("a task failed: %+v", o.Failure)
				}
				outputs[string(o.Output)]++
			}
		}
		frames += n
	}
	if w.Rollout.State != fleet.RolloutDone || w.Current == nil || w.Current.Version != "v2" || len(w.Rollout.Places) != 3 {
		t.Fatalf("%+v", w)
	}
	for tag := range outputs {
		if tag != guesttest.SwapTag("v1") && tag != guesttest.SwapTag("v2") {
			t.Errorf("an output %q", tag)
		}
	}
	serves(t, "v2", nodes...)
	eventually(t, "all answers counted", func() bool {
		answered := uint64(0)
		for _, n := range nodes {
			answered += n.worker.Stats().Answered
		}
		return answered == uint64(frames)
	})
	for _, n := range nodes {
		if m := n.member.Stats(); m.Deployed != 1 || m.Refused+m.Back+m.Garbled != 0 || m.Behind != 0 {
			t.Errorf("%+v", m)
		}
	}
	if _, begun, err := c.Push(t.Context(), swap(t, guesttest.Version{Tag: "v2"}), fleet.PushOptions{}); begun || err != nil {
		t.Errorf("the same again: begun %t, error %v", begun, err)
	}
}

// TestPushBroken rolls out a version that is refused. The first host says why, and no other tries it.
func TestPushBroken(t *testing.T) {
	urls := natstest.Start(t).URL()
	nodes := []*node{join(t, urls, "a"), join(t, urls, "b"), join(t, urls, "c")}
	c := nodes[0].control
	push(t, c, guesttest.Version{Tag: "v2", SelfTest: "other"}, time.Millisecond)
	w := over(t, c)
	if w.Rollout.State != fleet.RolloutStopped || len(w.Rollout.Places) != 1 || w.Current != nil {
		t.Fatalf("%+v", w)
	}
	for _, p := range w.Rollout.Places {
		if !strings.HasPrefix(w.Rollout.Reason, "host "+p.Host+": plugin swap: self-test 0 \"tag\"") {
			t.Errorf("reason %q", w.Rollout.Reason)
		}
	}
	serves(t, "v1", nodes...)
	refused := uint64(0)
	for _, n := range nodes {
		refused += n.member.Stats().Refused
	}
	if refused != 1 {
		t.Errorf("%d hosts refused it", refused)
	}
	for _, n := range nodes {
		eventually(t, "a host that is not behind", func() bool { return n.member.Stats().Behind == 0 })
	}
	push(t, c, guesttest.Version{Tag: "v3"}, time.Millisecond)
	if w := over(t, c); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	serves(t, "v3", nodes...)
}

// TestPushFaults rolls out a version whose tasks trap, with canaries and without. The hosts go back.
func TestPushFaults(t *testing.T) {
	for name, canary := range map[string]float64{"watched": 0, "canary": 0.5} {
		t.Run(name, func(t *testing.T) {
			urls := natstest.Start(t).URL()
			with := func(c *host.Config) { c.Defaults.Canary, c.Defaults.CanaryTime = canary, 50*time.Millisecond }
			nodes := []*node{join(t, urls, "a", with), join(t, urls, "b", with)}
			c := nodes[0].control
			push(t, c, guesttest.Version{Tag: "v2"}, time.Millisecond)
			client := nodes[0].fleet.Client("", host.PriorityNormal)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					client.RunBatch(ctx, "swap", [][]byte{[]byte("!"), []byte("x")})
				}
			}()
			defer func() {
				cancel()
				<-ended
			}()
			if w := over(t, c); w.Rollout.State != fleet.RolloutDone {
				t.Fatalf("%+v", w)
			}
			serves(t, "v2", nodes...)
			push(t, c, guesttest.Version{Tag: "v3", Mode: 't'}, time.Minute)
			w := over(t, c)
			if w.Rollout.State != fleet.RolloutStopped || w.Current.Version != "v2" {
				t.Fatalf("%+v", w)
			}
			if want := map[string]string{"watched": "tasks failed by its fault", "canary": "rolled back"}[name]; !strings.Contains(w.Rollout.Reason, want) {
				t.Errorf("reason %q", w.Rollout.Reason)
			}
			serves(t, "v2", nodes...)
			eventually(t, "one host that has gone back", func() bool { // with a canary, v2 has served throughout
				return nodes[0].member.Stats().Back+nodes[1].member.Stats().Back == 1
			})
		})
	}
}

// TestAway has a host away, and another join late. Both serve what is wanted before they take a frame.
func TestAway(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	b.close(t)
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone || len(w.Rollout.Places) != 1 {
		t.Fatalf("%+v", w)
	}
	canaries := func(c *host.Config) { c.Defaults.Canary = 0.5 } // which others have been
	if b := join(t, urls, "b", canaries); b.version() != "v2" {
		t.Errorf("a host that was away serves %s", b.version())
	}
	none := func(c *host.Config) { c.Plugins, c.StartEmpty = nil, true }
	if n := join(t, urls, "d", none); n.version() != "v2" {
		t.Errorf("a host without a plugin serves %q", n.version())
	}
}

// TestRollback goes back to the version before, and no further.
func TestRollback(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	for _, tag := range []string{"v2", "v3"} {
		push(t, a.control, guesttest.Version{Tag: tag}, time.Millisecond)
		over(t, a.control)
		serves(t, tag, a, b)
	}
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	serves(t, "v2", a, b)
	_, err := a.control.Rollback(t.Context(), "swap")
	if !errors.Is(err, fleet.ErrNoPrevious) || err.Error() != "plugin swap: there is no version before, or the fleet is back at it already: push the file of the one that you want" {
		t.Errorf("error %v", err)
	}
	if _, err := a.control.Rollback(t.Context(), "other"); !errors.Is(err, fleet.ErrNotPushed) {
		t.Errorf("error %v", err)
	}
	push(t, a.control, guesttest.Version{Tag: "v4"}, time.Hour)
	eventually(t, "a host that tries v4", func() bool { return a.version() == "v4" || b.version() == "v4" })
	_, begun, err := a.control.Push(t.Context(), swap(t, guesttest.Version{Tag: "v5"}), fleet.PushOptions{})
	if begun || !errors.Is(err, fleet.ErrRolling) {
		t.Errorf("two at once: begun %t, error %v", begun, err)
	}
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	serves(t, "v2", a, b)
}

// TestHostGone has a host end that tries a release. The others stop the roll-out.
func TestHostGone(t *testing.T) {
	urls := natstest.Start(t).URL()
	a := join(t, urls, "a", func(c *host.Config) { c.Plugins, c.StartEmpty = nil, true })
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Hour)
	serves(t, "v2", a)
	b := join(t, urls, "b")
	a.host.Plugins() // it lives, and
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	_ = a.worker.Close(cut)
	if err := a.fleet.Close(); err != nil { // is heard of no more
		t.Fatal(err)
	}
	w := over(t, b.control)
	if w.Rollout.State != fleet.RolloutStopped || w.Rollout.Reason != "host a has gone while it tried the release: see why it ended, and push again" {
		t.Errorf("%+v", w)
	}
	serves(t, "v1", b)
	eventually(t, "one host", func() bool {
		hosts, err := b.control.Hosts(t.Context())
		return err == nil && len(hosts) == 1 && hosts[0].Host == "b"
	})
	if err := a.member.Close(t.Context()); err == nil {
		t.Error("a host that is cut off says that it has gone")
	}
}

// TestSignMissed has a read of all signs of life miss some, as it does if they are stored anew meanwhile. Each host is found all the same,
// and none that has gone.
func TestSignMissed(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	hosts, err := b.control.Hosts(t.Context())
	if err != nil || len(hosts) != 2 {
		t.Fatalf("%v, error %v", hosts, err)
	}
	for n := range hosts {
		if got, err := b.control.Complete(t.Context(), hosts[:n:n]...); err != nil || len(got) != 2 || got[0].Instance == got[1].Instance {
			t.Errorf("of %d that were read: %v, error %v", n, got, err)
		}
	}
	a.close(t)
	if got, err := b.control.Complete(t.Context()); err != nil || len(got) != 1 || got[0].Host != "b" {
		t.Errorf("%v, error %v", got, err)
	}
}

// TestLeaves closes a host in good order that tries a release. The roll-out goes on without it.
func TestLeaves(t *testing.T) {
	urls := natstest.Start(t).URL()
	a := join(t, urls, "a")
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Hour)
	serves(t, "v2", a)
	b := join(t, urls, "b")
	a.close(t)
	eventually(t, "a place of b's", func() bool {
		w, err := b.control.Plugin(t.Context(), "swap")
		if err != nil || w.Rollout.State != fleet.RolloutRolling {
			t.Fatalf("%+v, error %v", w, err)
		}
		return len(w.Rollout.Places) == 1 && b.version() == "v2"
	})
}

// TestObjects has an object with other bytes than its digest says. It is refused and asked for again.
func TestObjects(t *testing.T) {
	urls := natstest.Start(t).URL()
	a := join(t, urls, "a")
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	w := over(t, a.control)
	_, js := jet(t, urls)
	store, err := js.ObjectStore(t.Context(), "RESONHOST_default_FILES")
	if err != nil {
		t.Fatal(err)
	}
	good, name := guesttest.Swap(t, guesttest.Version{Tag: "v2"}), w.Current.Files["swap.wasm"].SHA256
	spoil := func(data []byte) {
		t.Helper()
		if _, err := store.PutBytes(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	evil := guesttest.Swap(t, guesttest.Version{Tag: "v6"})
	for what, data := range map[string][]byte{"another digest": evil, "not the": append(slices.Clone(good), 0)} {
		spoil(data)
		n := join(t, urls, "b")
		if s := n.member.Stats(); n.version() != "v1" || s.FetchedAgain != 4 || s.Refused != 1 || s.Behind != 1 || n.log.count("the host does not serve what the fleet wants") != 1 {
			t.Errorf("%s: version %s, %+v", what, n.version(), s)
		}
		eventually(t, "what is wrong, in the list", func() bool {
			hosts, err := a.control.Hosts(t.Context())
			return err == nil && slices.ContainsFunc(hosts, func(h fleet.HostInfo) bool {
				return h.Host == "b" && len(h.Plugins) == 1 && strings.Contains(h.Plugins[0].Failure, what) && strings.Contains(h.Plugins[0].Failure, "push the file again")
			})
		})
		spoil(good)
		serves(t, "v2", n)
		eventually(t, "no fault", func() bool { return n.member.Stats().Behind == 0 })
		n.close(t)
	}
	if err := store.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	push(t, a.control, guesttest.Version{Tag: "v7"}, time.Millisecond)
	over(t, a.control)
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an object that is not there", func() bool { return a.log.count("is not there: push the file again") > 0 })
	push(t, a.control, guesttest.Version{Tag: "v7"}, time.Millisecond)
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
}

// TestGarbled has entries that no program of a fleet has written. They are counted, and told once; the others are heeded.
func TestGarbled(t *testing.T) {
	urls := natstest.Start(t).URL()
	a := join(t, urls, "a")
	_, js := jet(t, urls)
	put := func(bucket, key, value string) {
		t.Helper()
		kv, err := js.KeyValue(t.Context(), "RESONHOST_default_"+bucket)
		if err == nil {
			_, err = kv.Put(t.Context(), key, []byte(value))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("WANTED", "plugin.other", `{"format":1,`)
	put("WANTED", "plugin.newer", `{"format":99}`)
	put("WANTED", "drain.=", "1")
	put("WANTED", "something", "1")
	put("HOSTS", "x", `{"format":1,"host":"\u0000"}`)
	for _, key := range []string{"plugin.other", "plugin.newer", "drain.=", "something"} {
		eventually(t, key, func() bool {
			return a.log.count("bucket=RESONHOST_default_WANTED key="+key) > 0 || a.log.count("key=\""+key+"\"") > 0
		})
	}
	if _, err := a.control.Plugin(t.Context(), "newer"); err == nil || !strings.Contains(err.Error(), "it has format 99, and this program reads 1: use a newer version of resonhost") {
		t.Errorf("error %v", err)
	}
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	put("HOSTS", "y", "no JSON")
	hosts, err := a.control.Hosts(t.Context())
	if err != nil || !slices.ContainsFunc(hosts, func(h fleet.HostInfo) bool { return h.Instance == "y" && h.Unreadable != "" }) {
		t.Errorf("%+v, error %v", hosts, err)
	}
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone { // once their time is over
		t.Errorf("%+v", w)
	}
	if hosts, err = a.control.Hosts(t.Context()); err != nil || len(hosts) != 1 || hosts[0].Host != "a" {
		t.Errorf("%+v, error %v", hosts, err)
	}
	if n := a.log.count("an entry of the fleet is refused"); n > 7 {
		t.Errorf("the log was told %d times", n)
	}
	if s := a.member.Stats(); s.Garbled < 5 {
		t.Errorf("%+v", s)
	}
}

// TestDrain drains one of two hosts. It ends what it has, takes nothing until it may, and so does a host that takes its name.
func TestDrain(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	if err := a.control.Drain(t.Context(), "c", true); !errors.Is(err, fleet.ErrNoHost) || err.Error() != `there is no such host: "c"; there are: a, b` {
		t.Errorf("error %v", err)
	}
	drained := func(want bool) {
		t.Helper()
		eventually(t, fmt.Sprint("drained: ", want), func() bool {
			hosts, err := a.control.Hosts(t.Context())
			return err == nil && len(hosts) == 2 && !hosts[0].Draining && hosts[1].Drained() == want
		})
	}
	if err := a.control.Drain(t.Context(), "b", true); err != nil {
		t.Fatal(err)
	}
	drained(true)
	before := b.worker.Stats().Taken
	s := submit(t, a.fleet, "")
	client := a.fleet.Client("", host.PriorityNormal)
	n := send(t, s, client.Frames("swap", inputs(2000, 10))...)
	replies(t, s, n)
	for range 20 {
		if _, err := client.Run(t.Context(), "swap", nil); err != nil {
			t.Fatal(err)
		}
	}
	if st := b.worker.Stats(); st.Taken != before || st.Calls != 0 {
		t.Errorf("a host that is drained: %+v", st)
	}
	b.close(t)
	b = join(t, urls, "b")
	drained(true)
	if names, err := a.control.Drained(t.Context()); err != nil || !slices.Equal(names, []string{"b"}) {
		t.Errorf("%q, error %v", names, err)
	}
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond) // which does not wait for it
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone || len(w.Rollout.Places) != 1 {
		t.Errorf("%+v", w)
	}
	serves(t, "v2", b)
	if err := a.control.Drain(t.Context(), "b", false); err != nil {
		t.Fatal(err)
	}
	drained(false)
	a.close(t)
	f := open(t, small(urls, "client"))
	if _, err := f.Client("", host.PriorityNormal).Run(t.Context(), "swap", nil); err != nil {
		t.Error(err)
	}
}

// TestPushRefused pushes what cannot be pushed.
func TestPushRefused(t *testing.T) {
	c := control(t, open(t, small(natstest.Start(t).URL(), "a")))
	for _, test := range []struct {
		source host.Source
		opts   fleet.PushOptions
		want   string
	}{
		{host.Source{Name: "a b", WASM: []byte{0}}, fleet.PushOptions{}, `name: "a b" must be 1 to 128 letters, digits, _, - and single dots inside: rename the file`},
		{host.Source{Name: "a", WASM: []byte{0}}, fleet.PushOptions{Share: 2, Watch: -1, MaxErrors: 2}, "Share: must be above 0, and at most 1\nWatch: must be 1ms to 24h0m0s\nMaxErrors: must be at most 1"},
		{host.Source{Name: "a"}, fleet.PushOptions{}, "hash: must be a SHA-256 in hexadecimal"},
		{host.Source{Name: "a", WASM: make([]byte, fleet.MaxRelease+1)}, fleet.PushOptions{}, "files.a.wasm: has 134217729 bytes, and may have 134217728"},
	} {
		_, begun, err := c.Push(t.Context(), test.source, test.opts)
		if field := (*abi.FieldError)(nil); begun || !errors.As(err, &field) || err.Error() != test.want {
			t.Errorf("begun %t, error %v", begun, err)
		}
	}
}

// TestPushCluster rolls out on three servers, one of which ends meanwhile.
func TestPushCluster(t *testing.T) {
	servers := natstest.StartCluster(t, 3)
	f := open(t, fleet.Config{URLs: servers.URL(), Replicas: 3, AckWait: 5 * time.Second, TaskBytes: 64 << 20, ResultBytes: 64 << 20})
	_, js := jet(t, servers.URL())
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "RESONHOST_default_WANTED"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Control(t.Context()); err == nil || !strings.Contains(err.Error(), "the number of replicas is 1, and must be at least 3") {
		t.Errorf("error %v", err)
	}
	if err := js.DeleteKeyValue(t.Context(), "RESONHOST_default_WANTED"); err != nil {
		t.Fatal(err)
	}
	c := control(t, f)
	a, b := join(t, servers.URL(), "a"), join(t, servers.URL(), "b")
	push(t, c, guesttest.Version{Tag: "v2"}, time.Second)
	servers.Servers[0].Stop()
	if w := over(t, c); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	serves(t, "v2", a, b)
	servers.Servers[0].Restart()
	for _, name := range []string{"KV_RESONHOST_default_WANTED", "KV_RESONHOST_default_HOSTS", "OBJ_RESONHOST_default_FILES"} {
		eventually(t, name, func() bool {
			s, err := js.Stream(t.Context(), name)
			return err == nil && s.CachedInfo().Config.Replicas == 3 && s.CachedInfo().Config.Storage == jetstream.FileStorage
		})
	}
}
