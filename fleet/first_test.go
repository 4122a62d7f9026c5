package fleet_test

import (
	"errors"
	"testing"
	"time"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// tryFirst has two hosts try the first roll-out of a plugin that one of them has of its own.
func tryFirst(t *testing.T) (a, b *node) {
	t.Helper()
	urls := natstest.Start(t).URL()
	a = join(t, urls, "a")
	b = join(t, urls, "b", func(c *host.Config) { c.Plugins, c.StartEmpty = nil, true })
	if _, _, err := a.control.Push(t.Context(), swap(t, guesttest.Version{Tag: "v2"}), fleet.PushOptions{Share: 1, Watch: time.Hour}); err != nil {
		t.Fatal(err)
	}
	serves(t, "v2", a, b)
	return a, b
}

// TestFirstStopped stops the first roll-out of a plugin that hosts have of their own, and that one has not.
func TestFirstStopped(t *testing.T) {
	a, b := tryFirst(t)
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	serves(t, "v1", a)
	serves(t, "", b)
}

// TestFirstForgotten deletes the record of a first roll-out that hosts try. They go back all the same.
func TestFirstForgotten(t *testing.T) {
	a, b := tryFirst(t)
	if _, err := a.control.Remove(t.Context(), "swap"); !errors.Is(err, fleet.ErrRolling) {
		t.Errorf("error %v", err)
	}
	if _, err := a.control.Remove(t.Context(), "swop"); !errors.Is(err, fleet.ErrNotPushed) {
		t.Errorf("error %v", err)
	}
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	if w, err := a.control.Remove(t.Context(), "swap"); err != nil || w.Current != nil {
		t.Errorf("%+v, error %v", w, err)
	}
	if _, err := a.control.Plugin(t.Context(), "swap"); !errors.Is(err, fleet.ErrNotPushed) {
		t.Errorf("error %v", err)
	}
	serves(t, "v1", a)
	serves(t, "", b)
	push(t, a.control, guesttest.Version{Tag: "v3"}, time.Millisecond)
	if w := over(t, a.control); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	serves(t, "v3", a, b)
}

// TestFirstKept stops the first roll-out of what hosts have of their own. They keep it, also if the fleet's record is deleted later.
func TestFirstKept(t *testing.T) {
	urls := natstest.Start(t).URL()
	a, b := join(t, urls, "a"), join(t, urls, "b")
	hash := func(tag string) string {
		s := swap(t, guesttest.Version{Tag: tag})
		return s.Hash()
	}
	before := func(n *node) string { return n.host.Plugins()[0].Previous }
	if _, _, err := a.control.Push(t.Context(), swap(t, guesttest.Version{Tag: "v1"}), fleet.PushOptions{Share: 1, Watch: time.Hour}); err != nil {
		t.Fatal(err)
	}
	const tries = "the host tries a release of the fleet"
	eventually(t, "all hosts", func() bool { return a.log.count(tries) == 1 && b.log.count(tries) == 1 })
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	push(t, a.control, guesttest.Version{Tag: "v2"}, time.Millisecond)
	over(t, a.control)
	serves(t, "v2", a, b)
	for _, n := range []*node{a, b} {
		eventually(t, "what is wanted", func() bool { return n.log.count("a roll-out of the fleet is done") == 1 })
		if s := n.member.Stats(); before(n) != hash("v1") || s.Back != 0 || s.Behind != 0 {
			t.Errorf("it had %s before, %+v", before(n), s)
		}
	}

	_, js := jet(t, urls)
	kv, err := js.KeyValue(t.Context(), "RESONHOST_default_WANTED")
	if err == nil {
		err = kv.Purge(t.Context(), "plugin.swap")
	}
	if err != nil {
		t.Fatal(err)
	}
	push(t, a.control, guesttest.Version{Tag: "v3"}, time.Hour)
	eventually(t, "a host that tries v3", func() bool { return a.version() == "v3" || b.version() == "v3" })
	if _, err := a.control.Rollback(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one host that has gone back", func() bool { return a.member.Stats().Back+b.member.Stats().Back == 1 })
	serves(t, "v2", a, b)
}
