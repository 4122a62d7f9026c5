package network_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/network"
)

// told closes a subscription and returns what it holds.
func told(t *testing.T, s *event.Subscription) (list []event.Body) {
	t.Helper()
	s.Close()
	for {
		e, err := s.Next(t.Context())
		if err != nil {
			return list
		}
		list = append(list, e.Body)
	}
}

func TestOnlyWhatTicksIsActivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.New(0)
		n := open(t, network.Config{Host: inline(t, nil), Events: bus})
		activated := func(want int) {
			t.Helper()
			if got := len(bus.History(event.KindNetworkActivated)); got != want {
				t.Errorf("activated %d times, want %d", got, want)
			}
		}
		restore := func() {
			t.Helper()
			if err := n.Restore(n.Snapshot()); err != nil {
				t.Fatal(err)
			}
		}
		restore()
		activated(0)
		run(t, n)
		activated(1)
		restore()
		activated(2)
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		restore()
		activated(2)
	})
}

// TestNothingIsToldOfTheReplaced restores another network while a tick is under way.
func TestNothingIsToldOfTheReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &native{before: func(uint32) error { time.Sleep(5 * time.Millisecond); return nil }}
		bus := event.New(0)
		sub := bus.Subscribe(0, event.KindNodesProgressed, event.KindNetworkActivated, event.KindTickCompleted)
		n := open(t, network.Config{Host: inline(t, p), Events: bus, NetworkPeriod: time.Hour})
		empty := n.Snapshot()
		create(t, n, network.NodeSpec{ID: "old", Strength: 1})
		run(t, n)
		time.Sleep(12 * time.Millisecond)
		if err := n.Restore(empty); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		want := []event.Body{event.NetworkActivated{Nodes: 1}, event.NetworkActivated{}}
		if got := told(t, sub); !slices.EqualFunc(got, want, func(a, b event.Body) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("told %+v, want %+v", got, want)
		}
	})
}

// TestTheLastEventSaysWhatANodeIs stops and resumes a node at once, many times.
func TestTheLastEventSaysWhatANodeIs(t *testing.T) {
	bus := event.New(-1)
	n := open(t, network.Config{Host: inline(t, nil), Events: bus})
	create(t, n, network.NodeSpec{ID: "a"})
	for range 5000 {
		sub := bus.Subscribe(0, event.KindNodeChanged)
		var both sync.WaitGroup
		both.Go(func() { _ = n.StopNode("a") })
		both.Go(func() { _ = n.ResumeNode("a") })
		both.Wait()
		node, err := n.Node("a")
		if err != nil {
			t.Fatal(err)
		}
		list := told(t, sub) // one of the two has changed it
		if last := list[len(list)-1].(event.NodeChanged).Change; (last == event.NodeStopped) != (node.State == "stopped") {
			t.Fatalf("the node is %s, and the last event says %s", node.State, last)
		}
	}
}
