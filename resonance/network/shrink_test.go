package network_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// tasks are what ticks have sent.
type tasks struct {
	mu              sync.Mutex // guards the rest
	nodes, patterns []int
}

// take returns them, and begins anew.
func (s *tasks) take() (nodes, patterns []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes, patterns = s.nodes, s.patterns
	s.nodes, s.patterns = nil, nil
	return nodes, patterns
}

// watch has the tasks of n noted, each of which takes so long.
func watch(n *network.Network, takes time.Duration) *tasks {
	seen := new(tasks)
	n.SetRunner(1, &runner{run: func(_ context.Context, input []byte) error {
		var a tick.Nodes
		if err := a.UnmarshalBinary(input); err != nil {
			return err
		}
		seen.mu.Lock()
		seen.nodes, seen.patterns = append(seen.nodes, len(a.Strength)), append(seen.patterns, len(a.Pattern))
		seen.mu.Unlock()
		time.Sleep(takes)
		return nil
	}})
	return seen
}

func TestPeriodsGoWithTheirNodes(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil)})
	for i := range 3 * network.MaxPeriods {
		create(t, n, network.NodeSpec{ID: "a", Period: time.Duration(i+1) * time.Millisecond})
		if err := n.RemoveNode("a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoppedNodesResumeOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, network.Config{Host: inline(t, nil), NetworkPeriod: time.Hour})
		seen := watch(n, 0)
		create(t, n, network.NodeSpec{ID: "a", State: tick.Stopped})
		run(t, n)
		time.Sleep(105 * time.Millisecond)
		if err := n.ResumeNode("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Millisecond)
		synctest.Wait()
		tasks, _ := seen.take()
		if s := n.Stats(); len(tasks) != 1 || s.NowMS != 110 || s.Coalesced != 0 || s.Lag.Sum != 0 {
			t.Errorf("%d tasks, stats %+v", len(tasks), s)
		}
	})
}

// TestChunksShrink removes most of many nodes, with patterns of their own.
func TestChunksShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 10, NetworkPeriod: time.Hour})
		seen := watch(n, 0)
		for i := range 200 {
			pattern := "p" + strconv.Itoa(i)
			if err := n.SetPattern(pattern, tick.Pattern{}); err != nil {
				t.Fatal(err)
			}
			create(t, n, network.NodeSpec{ID: strconv.Itoa(i), Patterns: []string{pattern}})
		}
		ticked := func(nodes, patterns []int) {
			t.Helper()
			seen.take()
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			if n, p := seen.take(); !slices.Equal(n, nodes) || !slices.Equal(p, patterns) {
				t.Errorf("tasks of %v nodes with %v patterns, want %v with %v", n, p, nodes, patterns)
			}
		}
		run(t, n)
		time.Sleep(5 * time.Millisecond)
		all := slices.Repeat([]int{10}, 20)
		ticked(all, all)
		for i := range 200 {
			if i%20 != 0 {
				if err := n.RemoveNode(strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		ones := slices.Repeat([]int{1}, 10)
		ticked(ones, ones) // and then they are put together
		ticked([]int{10}, []int{10})
		for node := range n.Nodes() {
			if want := []string{"p" + node.ID}; !slices.Equal(node.Patterns, want) {
				t.Errorf("node %s drives %v", node.ID, node.Patterns)
			}
			if s := n.State().Patterns["p"+node.ID].Strength; s <= 0 {
				t.Errorf("pattern of node %s has strength %v", node.ID, s)
			}
		}
	})
}

// TestEachNodeTicksOnce removes nodes during ticks, which moves others, and changes them
// between ticks.
func TestEachNodeTicksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 100 * time.Millisecond
		n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 4, NodePeriod: period, NetworkPeriod: time.Hour})
		watch(n, time.Millisecond)
		random := rand.New(rand.NewPCG(1, 2))
		want, stopped := make(map[string]float64), make(map[string]bool)
		var ids []string
		remove := func() {
			at := random.IntN(len(ids))
			if err := n.RemoveNode(ids[at]); err != nil {
				t.Fatal(err)
			}
			delete(want, ids[at])
			ids = slices.Delete(ids, at, at+1)
		}
		run(t, n)
		began := time.Now()
		until := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))) }
		for i := range 60 {
			for range random.IntN(20) {
				id, err := n.CreateNode(network.NodeSpec{Patterns: []string{"universal_harmonics"}[:random.IntN(2)]})
				if err != nil {
					t.Fatal(err)
				}
				ids, want[id] = append(ids, id), 0
			}
			for _, id := range ids {
				if random.IntN(5) == 0 {
					change := n.StopNode
					if stopped[id] = !stopped[id]; !stopped[id] {
						change = n.ResumeNode
					}
					if err := change(id); err != nil {
						t.Fatal(err)
					}
				}
			}
			due := time.Duration(i+1) * period
			until(due + 500*time.Microsecond) // in the middle of the first task
			for len(ids) > 0 && random.IntN(12) > 0 {
				remove()
				time.Sleep(100 * time.Microsecond)
			}
			until(due + period*4/5)
			synctest.Wait()
			got := strengths(n)
			if len(got) != len(ids) {
				t.Fatalf("%d nodes, want %d", len(got), len(ids))
			}
			for _, id := range ids {
				if !stopped[id] {
					want[id] += 0.01 * (0.5*math.Sin(due.Seconds()*tick.Phi) + 0.5)
				}
				near(t, "at "+due.String()+" node "+id, got[id], want[id])
			}
			if t.Failed() {
				return
			}
		}
	})
}
