package fleet_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// lacking starts a host of a fleet that rolls version v2 out, of which the files cannot be read: the bucket of objects is not there.
// mend makes it anew.
func lacking(t *testing.T, urls string) (n *node, mend func()) {
	t.Helper()
	n = &node{log: &logged{}, host: hosted.Start(t, host.Config{Plugins: []host.Source{swap(t, guesttest.Version{Tag: "v1"})}, Workers: 2})}
	conn := small(urls, "a")
	conn.Logger = n.log.logger()
	n.fleet = open(t, conn)
	n.control = control(t, n.fleet)
	n.worker = n.fleet.NewWorker(n.host, fleet.WorkerOptions{})
	n.member = n.control.NewMember(n.host, n.worker)
	t.Cleanup(func() { n.close(t) })
	w := push(t, n.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	_, js := jet(t, urls)
	const bucket = "RESONHOST_default_FILES"
	if err := js.DeleteObjectStore(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.member.Start(t.Context()), n.worker.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	return n, func() {
		t.Helper()
		store, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: bucket})
		if err == nil {
			_, err = store.PutBytes(t.Context(), w.Rollout.Release.Files["swap.wasm"].SHA256, guesttest.Swap(t, guesttest.Version{Tag: "v2"}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnread has a host that cannot read a release's files. That is no fault of the release: the host tries it again.
func TestUnread(t *testing.T) {
	n, mend := lacking(t, natstest.Start(t).URL())
	eventually(t, "a host that tries it again", func() bool { return n.member.Stats().Refused > 1 })
	if w, err := n.control.Plugin(t.Context(), "swap"); err != nil || w.Rollout.State != fleet.RolloutRolling {
		t.Errorf("%+v, error %v", w, err)
	}
	if s := n.member.Stats(); s.Behind != 1 || n.log.count("the host does not serve what the fleet wants; it is tried again") != 1 {
		t.Errorf("%+v", s)
	}
	mend()
	if w := over(t, n.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	serves(t, "v2", n)
	if s := n.member.Stats(); s.Behind != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLeavesUntried closes a host that has a place in a roll-out and does not try the release yet. It gives the place back.
func TestLeavesUntried(t *testing.T) {
	urls := natstest.Start(t).URL()
	n, _ := lacking(t, urls)
	c := control(t, open(t, small(urls, "operator")))
	places := func() int {
		w, err := c.Plugin(t.Context(), "swap")
		if err != nil || w.Rollout.State != fleet.RolloutRolling {
			t.Fatalf("%+v, error %v", w, err)
		}
		return len(w.Rollout.Places)
	}
	eventually(t, "a place", func() bool { return places() == 1 })
	n.close(t)
	if places() != 0 {
		t.Error("a host that is closed has a place")
	}
}

// TestClosedWorker has a host take no place in a roll-out once its worker is closed.
func TestClosedWorker(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	if err := a.worker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	push(t, b.control, guesttest.Version{Tag: "v2"}, time.Second)
	eventually(t, "a host that has found it good", func() bool {
		w, err := b.control.Plugin(t.Context(), "swap")
		return err == nil && w.Rollout.Good() == 1
	})
	a.close(t)
	if w := over(t, b.control); w.Rollout.State != fleet.RolloutDone || len(w.Rollout.Places) != 1 {
		t.Errorf("%+v", w)
	}
}

// TestEndedStart ends a member while it starts. Others are told that it has gone, by each call of Close.
func TestEndedStart(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	c := control(t, f)
	h := hosted.Start(t, host.Config{Plugins: []host.Source{swap(t, guesttest.Version{Tag: "v1"})}, Workers: 2})
	a := c.NewMember(h, f.NewWorker(h, fleet.WorkerOptions{}))
	b := join(t, urls, "b")
	push(t, b.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	over(t, b.control)
	_, js := jet(t, urls)
	if err := js.DeleteObjectStore(t.Context(), "RESONHOST_default_FILES"); err != nil { // so that Start takes a while
		t.Fatal(err)
	}
	here := func() bool {
		hosts, err := b.control.Hosts(t.Context())
		return err == nil && len(hosts) == 2
	}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error)
	go func() { started <- a.Start(ctx) }()
	eventually(t, "a sign of life", here)
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	closed := make(chan error)
	for range 2 {
		go func() { closed <- a.Close(context.Background()) }()
	}
	if err := <-closed; err != nil || here() {
		t.Errorf("a host that has gone is there, error %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
