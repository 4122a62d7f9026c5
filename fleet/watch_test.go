package fleet_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestDrainMeanwhile drains a host while it deploys a release. It takes no frames at once.
func TestDrainMeanwhile(t *testing.T) {
	slow := swap(t, guesttest.Version{Tag: "v2"})
	hash, begun, goOn := slow.Hash(), make(chan struct{}, 1), make(chan struct{})
	a := join(t, natstest.Start(t).URL(), "a", func(c *host.Config) {
		c.Accept = func(ctx context.Context, s host.Source) error {
			if s.Hash() == hash {
				begun <- struct{}{}
				select {
				case <-goOn:
				case <-ctx.Done():
				}
			}
			return ctx.Err()
		}
	})
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	<-begun
	for _, drained := range []bool{true, false} {
		if err := a.control.Drain(t.Context(), "a", drained); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a host that has heard of it", func() bool { return a.worker.Draining() == drained })
	}
	close(goOn)
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
}

// TestReadsFail has the server away. Hosts count that they cannot read what is wanted, and the log is told once each way.
func TestReadsFail(t *testing.T) {
	server := natstest.Start(t)
	a := join(t, server.URL(), "a")
	server.Stop()
	const lost, again = "what the fleet wants cannot be read; it is tried again", "what the fleet wants is read again"
	eventually(t, "failures", func() bool { return a.log.count(lost) > 0 && a.member.Stats().ReadsFailed > 3 })
	server.Restart()
	eventually(t, "an end of it", func() bool { return a.log.count(again) > 0 })
	if a.log.count(lost) != 1 || a.log.count(again) != 1 {
		t.Errorf("the log was told %d and %d times", a.log.count(lost), a.log.count(again))
	}
	push(t, control(t, open(t, small(server.URL(), "operator"))), guesttest.Version{Tag: "v2"}, time.Millisecond)
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
}

// TestReadsHostsOnce has three roll-outs under way. A host reads which hosts there are once for all of them, and not at all without one.
func TestReadsHostsOnce(t *testing.T) {
	urls := natstest.Start(t).URL()
	f := open(t, small(urls, "a"))
	c := control(t, f)
	h := hosted.Start(t, host.Config{StartEmpty: true, Workers: 1})
	m := c.NewMember(h, f.NewWorker(h, fleet.WorkerOptions{}))
	conn, _ := jet(t, urls)
	var reads atomic.Int32
	if _, err := conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED.KV_RESONHOST_default_HOSTS.>", func(*nats.Msg) { reads.Add(1) }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	look := func(want int32) {
		t.Helper()
		if err := m.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Hosts(t.Context()); err != nil { // the server tells of reads in their order
			t.Fatal(err)
		}
		eventually(t, "reads", func() bool { return reads.Load() >= want })
		if n := reads.Load(); n != want {
			t.Errorf("%d reads, want %d", n, want)
		}
	}
	look(1)
	for _, name := range []string{"x", "y", "z"} {
		if _, _, err := c.Push(t.Context(), host.Source{Name: name, WASM: []byte{0}}, fleet.PushOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	look(3)
}
