package network_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// runner does tasks in the host's stead.
type runner struct {
	run func(ctx context.Context, input []byte) error // before the task is done

	calls, grown atomic.Int64 // outputs, and those of them that dst had no room for
}

func (r *runner) RunAppend(ctx context.Context, _ string, dst, input []byte) ([]byte, error) {
	if err := r.run(ctx, input); err != nil {
		return nil, err
	}
	var nodes tick.Nodes
	if err := nodes.UnmarshalBinary(input); err != nil {
		return nil, err
	}
	var res tick.NodesResult
	ticks.AdvanceNodes(&nodes, &res)
	output, err := res.AppendBinary(dst)
	r.calls.Add(1)
	if len(output) > cap(dst) {
		r.grown.Add(1)
	}
	return output, err
}

// step is by how much a tick raises the strength of a node of the default frequency.
func step(ms float64) float64 { return 0.01 * (0.5*math.Sin(ms/1000*tick.Phi) + 0.5) }

// TestASlowChunkHoldsUpItselfAlone has one of three chunks take 305 ms once.
func TestASlowChunkHoldsUpItselfAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var logged strings.Builder
		n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 1, NetworkPeriod: time.Hour, Logger: logger(&logged)})
		n.SetRunner(2, &runner{run: func(_ context.Context, input []byte) error {
			var a tick.Nodes
			if err := a.UnmarshalBinary(input); err != nil {
				return err
			}
			if a.Strength[0] == 0.5 && calls.Add(1) == 1 {
				time.Sleep(305 * time.Millisecond) // of the tick at 10 ms
			}
			return nil
		}})
		create(t, n, network.NodeSpec{ID: "slow", Strength: 0.5}, network.NodeSpec{ID: "b"}, network.NodeSpec{ID: "c"})
		run(t, n)
		time.Sleep(301 * time.Millisecond)
		synctest.Wait()
		// The others wait until 60 ms; the tick at 50, one of those they have missed, is made
		// up for.
		if s := n.Stats(); s.Ticks != 26 || s.FailedTasks != 26 || s.Coalesced != 3 || s.Lag.Count != 27 || s.Lag.Sum != 40*time.Millisecond {
			t.Errorf("while it lasts: stats %+v", s)
		}
		want := step(10)
		for ms := 50.0; ms <= 300; ms += 10 {
			want += step(ms)
		}
		got := strengths(n)
		near(t, "b", got["b"], want)
		near(t, "c", got["c"], want)
		if got["slow"] != 0.5 {
			t.Errorf("slow is %v, want what it was", got["slow"])
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		near(t, "slow", strengths(n)["slow"], 0.5+step(10)+step(320)+step(330)+step(340)+step(350))
		if got := logged.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "an earlier tick of the nodes is still under way") {
			t.Errorf("logged %q", got)
		}
	})
}

// TestATickDoesNotWaitForEver has a host whose tasks never come to an end.
func TestATickDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		n := open(t, network.Config{Host: inline(t, nil), NetworkPeriod: time.Hour, Logger: logger(&logged)})
		n.SetRunner(2, &runner{run: func(ctx context.Context, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		create(t, n, network.NodeSpec{})
		run(t, n)
		time.Sleep(3011 * time.Millisecond)
		synctest.Wait()
		// Half a second each.
		if s := n.Stats(); s.Failed != 6 || s.Ticks != 6 {
			t.Errorf("stats %+v", s)
		}
		if got := logged.String(); !strings.Contains(got, "context deadline exceeded") {
			t.Errorf("logged %q", got)
		}
	})
}

// TestADispatcherForAShareOfTheWork has rounds that one dispatcher does alone, and others.
func TestADispatcherForAShareOfTheWork(t *testing.T) {
	for _, c := range []struct {
		name         string
		takes        time.Duration // a chunk of three
		period       time.Duration
		first, later int // how many tasks are out at once
	}{
		{"little", 300 * time.Microsecond, 10 * time.Millisecond, 2, 1},
		{"much", 400 * time.Microsecond, 10 * time.Millisecond, 2, 2},
		{"much of a short period", 100 * time.Microsecond, 2 * time.Millisecond, 2, 2},
		{"seldom", 300 * time.Microsecond, 100 * time.Millisecond, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex // guards the rest
				var out, most int
				count := func(by int) {
					mu.Lock()
					defer mu.Unlock()
					out += by
					most = max(most, out)
				}
				highest := func() int {
					mu.Lock()
					defer mu.Unlock()
					was := most
					most = 0
					return was
				}
				n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 1, NodePeriod: c.period, NetworkPeriod: time.Hour})
				n.SetRunner(2, &runner{run: func(context.Context, []byte) error {
					count(1)
					defer count(-1)
					time.Sleep(c.takes)
					return nil
				}})
				create(t, n, network.NodeSpec{}, network.NodeSpec{}, network.NodeSpec{})
				run(t, n)
				time.Sleep(c.period + c.period/2)
				synctest.Wait()
				if got := highest(); got != c.first {
					t.Errorf("%d tasks at once of chunks that are new, want %d", got, c.first)
				}
				time.Sleep(3 * c.period)
				synctest.Wait()
				if got := highest(); got != c.later {
					t.Errorf("%d tasks at once, want %d", got, c.later)
				}
				if s := n.Stats(); s.Ticks != 4 || s.Coalesced != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

// TestAQuickChunkBecomesSlow has the dispatcher that was to do all three chunks wait for
// the first of them: the other is woken when the next tick is due.
func TestAQuickChunkBecomesSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 1, NetworkPeriod: time.Hour})
		n.SetRunner(2, &runner{run: func(_ context.Context, input []byte) error {
			var a tick.Nodes
			if err := a.UnmarshalBinary(input); err != nil {
				return err
			}
			if a.NowMS == 30 && a.Strength[0] > 0.5 {
				time.Sleep(305 * time.Millisecond)
			}
			return nil
		}})
		create(t, n, network.NodeSpec{ID: "slow", Strength: 0.5}, network.NodeSpec{ID: "b"}, network.NodeSpec{ID: "c"})
		began, want := time.Now(), 0.0
		run(t, n)
		for _, c := range []struct {
			until time.Duration
			ticks []float64 // since then, of b and c
		}{
			{35 * time.Millisecond, []float64{10, 20}},
			{41 * time.Millisecond, []float64{30}},
			{79 * time.Millisecond, nil},
			{81 * time.Millisecond, []float64{70, 80}}, // goes on without it; the others are lost
			{91 * time.Millisecond, []float64{90}},
		} {
			time.Sleep(time.Until(began.Add(c.until)))
			synctest.Wait()
			for _, ms := range c.ticks {
				want += step(ms)
			}
			got := strengths(n)
			near(t, fmt.Sprintf("b after %v", c.until), got["b"], want)
			near(t, fmt.Sprintf("c after %v", c.until), got["c"], want)
			near(t, fmt.Sprintf("slow after %v", c.until), got["slow"], 0.5+step(10)+step(20))
		}
		if s := n.Stats(); s.Coalesced != 3 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestOutputsLieInTheSameMemory has a dispatcher give the memory of an output for the next.
func TestOutputsLieInTheSameMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := open(t, network.Config{Host: inline(t, nil), NetworkPeriod: time.Hour})
		r := &runner{run: func(context.Context, []byte) error { return nil }}
		n.SetRunner(1, r)
		create(t, n, network.NodeSpec{}, network.NodeSpec{})
		run(t, n)
		time.Sleep(45 * time.Millisecond)
		synctest.Wait()
		if r.calls.Load() != 4 || r.grown.Load() != 1 {
			t.Errorf("of %d outputs %d had no room", r.calls.Load(), r.grown.Load())
		}
	})
}
