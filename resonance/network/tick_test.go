package network_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

// TestTicksAreTheTransforms advances nodes in chunks of three and the network, and the
// same by the transforms at once.
func TestTicksAreTheTransforms(t *testing.T) {
	const count, periods = 20, 57
	patterns := slices.Sorted(maps.Keys(network.Initial().Patterns))
	var specs []network.NodeSpec
	r := tick.NodesRequest{Patterns: make(map[string]float64)}
	for i := range count {
		spec := network.NodeSpec{
			ID: "n" + strconv.Itoa(i), Frequency: 100 + 37*float64(i), Strength: float64(i) / count,
			Patterns: []string{patterns[i%len(patterns)], patterns[0]}[:i%3],
		}
		if i%7 == 3 {
			spec.State = tick.Stopped
		}
		specs = append(specs, spec)
		r.Nodes = append(r.Nodes, tick.Node{
			ID: spec.ID, Frequency: spec.Frequency, Strength: spec.Strength, State: spec.State, Patterns: spec.Patterns,
		})
	}
	synctest.Test(t, func(t *testing.T) {
		// The network ticks in the middle between nodes.
		n := open(t, network.Config{Host: inline(t, nil), ChunkNodes: 3, NodePeriod: 10 * time.Millisecond, NetworkPeriod: 35 * time.Millisecond})
		create(t, n, specs...)
		run(t, n)
		time.Sleep(periods*10*time.Millisecond + time.Millisecond)
		synctest.Wait()
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}

		reference := tick.NetworkRequest{Network: network.Initial()}
		state := reference.State()
		for ms := 5; ms <= periods*10; ms += 5 {
			if ms%10 == 0 {
				for i, name := range patterns {
					r.Patterns[name] = state.Patterns[i].Strength
				}
				r.NowMS = float64(ms)
				var res tick.NodesResult
				ticks.AdvanceNodes(r.Arrays(), &res)
				for i := range r.Nodes {
					r.Nodes[i].Strength = res.Strength[i]
				}
				for i := range patterns {
					state.Patterns[i].Strength = res.Pattern[i]
				}
			}
			if ms%35 == 0 {
				state.NowMS = float64(ms)
				ticks.AdvanceNetwork(state)
			}
		}
		got := strengths(n)
		for _, node := range r.Nodes {
			near(t, node.ID, got[node.ID], node.Strength)
		}
		want, err := reference.Respond(state)
		if err != nil {
			t.Fatal(err)
		}
		now := n.State()
		for name, p := range want.Network.Patterns {
			near(t, name, now.Patterns[name].Strength, p.Strength)
			near(t, name+"'s phase", now.Patterns[name].Phase, p.Phase)
		}
		for name, f := range want.Network.Fields {
			near(t, name, now.Fields[name].Strength, f.Strength)
		}
		near(t, "coherence", now.Metrics.NetworkCoherence, want.Network.Metrics.NetworkCoherence)
		s := n.Stats()
		if s.Ticks != periods+periods*10/35 || s.Coalesced != 0 || s.Failed != 0 || s.NowMS != periods*10 || s.Lag.Sum != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestSandboxAgrees has the compiled plugin do what the native one does.
func TestSandboxAgrees(t *testing.T) {
	binary := guesttest.Build(t, guesttest.Tick)
	var got [2]map[string]float64
	var state [2]tick.Network
	for i, mode := range []host.Mode{host.ModeInline, host.ModeSandbox} {
		synctest.Test(t, func(t *testing.T) {
			h := hosted.Start(t, host.Config{Mode: mode, Native: []host.Native{ticks.New()}, Plugins: []host.Source{{Name: "tick", WASM: binary}}})
			n := open(t, network.Config{Host: h, ChunkNodes: 7})
			for k := range 30 {
				create(t, n, network.NodeSpec{
					Frequency: 100 + float64(k), Period: time.Duration(5+k%2*3) * time.Millisecond, Patterns: []string{"fibonacci_harmonics"},
				})
			}
			run(t, n)
			time.Sleep(301 * time.Millisecond)
			synctest.Wait()
			if err := n.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			got[i], state[i] = strengths(n), n.State()
			if s := n.Stats(); s.Failed != 0 || s.Ticks != 60+37+3 {
				t.Errorf("stats %+v", s)
			}
		})
	}
	for id, want := range got[0] {
		near(t, id, got[1][id], want)
	}
	for name, want := range state[0].Patterns {
		near(t, name, state[1].Patterns[name].Strength, want.Strength)
	}
}

func TestLateTicksCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := &native{before: func(transform uint32) error {
			if transform == nodeTransform {
				if calls++; calls == 2 {
					time.Sleep(45 * time.Millisecond) // of the tick at 20 ms, until 65
				}
			}
			return nil
		}}
		bus := event.New(0)
		sub := bus.Subscribe(0, event.KindTickCompleted)
		n := open(t, network.Config{Host: inline(t, p), Events: bus, NetworkPeriod: time.Hour})
		create(t, n, network.NodeSpec{})
		run(t, n)
		time.Sleep(91 * time.Millisecond)
		synctest.Wait()
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub.Close()
		var got []string
		for {
			e, err := sub.Next(t.Context())
			if err != nil {
				break
			}
			c := e.Body.(event.TickCompleted)
			got = append(got, fmt.Sprintf("%v lag %v took %v coalesced %d", c.NowMS, c.Lag, c.Took, c.Coalesced))
		}
		want := []string{
			"10 lag 0s took 0s coalesced 0",
			"20 lag 0s took 45ms coalesced 0",
			"50 lag 35ms took 0s coalesced 2", // for those at 30 and 40
			"60 lag 5ms took 0s coalesced 0",  // made up for
			"70 lag 0s took 0s coalesced 0",
			"80 lag 0s took 0s coalesced 0",
			"90 lag 0s took 0s coalesced 0",
		}
		if !slices.Equal(got, want) {
			t.Errorf("ticks\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if s := n.Stats(); s.Ticks != 7 || s.Coalesced != 2 || s.Lag.Sum != 40*time.Millisecond {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestAFailedChunkKeepsItsNodes fails one of two chunks once, in all the ways there
// are.
func TestAFailedChunkKeepsItsNodes(t *testing.T) {
	answer := func(change func(*tick.NodesResult)) func([]byte) []byte {
		return func(frame []byte) []byte {
			items, err := abi.ReadOutput(frame)
			if err != nil {
				panic(err)
			}
			item, err := items.Next()
			if err != nil {
				panic(err)
			}
			var res tick.NodesResult
			if err := res.UnmarshalBinary(item.Payload); err != nil {
				panic(err)
			}
			change(&res)
			payload, err := res.AppendBinary(nil)
			if err != nil {
				panic(err)
			}
			return abi.AppendOutput(nil, []abi.Result{{Payload: payload}})
		}
	}
	for name, c := range map[string]struct {
		before error
		after  func([]byte) []byte
		want   string
	}{
		"an error":       {before: errors.New("not today"), want: "not today"},
		"no record":      {after: func([]byte) []byte { return abi.AppendOutput(nil, []abi.Result{{}}) }, want: "record: must have 16 bytes"},
		"a strength":     {after: answer(func(r *tick.NodesResult) { r.Strength[0] = 1.5 }), want: "nodes[0].resonance_strength: must be between 0 and 1"},
		"another number": {after: answer(func(r *tick.NodesResult) { r.Strength = r.Strength[:1] }), want: "of other nodes"},
		"more patterns":  {after: answer(func(r *tick.NodesResult) { r.Pattern = append(r.Pattern, 0) }), want: "of other nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := &native{
					before: func(uint32) error {
						if calls++; calls == 3 {
							return c.before
						}
						return nil
					},
					after: func(_ uint32, frame []byte) []byte {
						if calls == 3 && c.after != nil {
							return c.after(frame)
						}
						return frame
					},
				}
				var logged strings.Builder
				n := open(t, network.Config{Host: inline(t, p), ChunkNodes: 2, NetworkPeriod: time.Hour, Logger: logger(&logged)})
				create(t, n, make([]network.NodeSpec, 4)...)
				run(t, n)
				time.Sleep(31 * time.Millisecond)
				synctest.Wait()
				if err := n.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				// The first chunk lacks the second of three ticks.
				step := func(ms float64) float64 { return 0.01 * (0.5*math.Sin(ms/1000*tick.Phi) + 0.5) }
				got := strengths(n)
				for i := range 4 {
					want := step(10) + step(30)
					if i >= 2 {
						want += step(20)
					}
					near(t, "node-"+strconv.Itoa(i), got["node-"+strconv.Itoa(i)], want)
				}
				if s := n.Stats(); s.Ticks != 3 || s.Failed != 1 || s.FailedTasks != 1 {
					t.Errorf("stats %+v", s)
				}
				lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
				if len(lines) != 2 || !strings.Contains(lines[0], c.want) || !strings.Contains(lines[1], "ticks succeed again") {
					t.Errorf("logged %q", lines)
				}
			})
		})
	}
}

// TestChangesDuringATick changes nodes while a task is out for them.
func TestChangesDuringATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &native{before: func(uint32) error {
			time.Sleep(5 * time.Millisecond)
			return nil
		}}
		n := open(t, network.Config{Host: inline(t, p), NetworkPeriod: time.Hour})
		for _, id := range []string{"stays", "stops", "goes"} {
			create(t, n, network.NodeSpec{ID: id, Strength: 0.5})
		}
		run(t, n)
		time.Sleep(12 * time.Millisecond) // two into the first tick
		if err := errors.Join(n.StopNode("stops"), n.RemoveNode("goes")); err != nil {
			t.Fatal(err)
		}
		create(t, n, network.NodeSpec{ID: "comes", Strength: 0.25}, network.NodeSpec{ID: "comes too", Strength: 0.125})
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		got := strengths(n)
		if len(got) != 4 || got["stays"] <= 0.5 || got["stops"] != 0.5 || got["comes"] != 0.25 || got["comes too"] != 0.125 {
			t.Errorf("strengths %v, want that only what stayed has moved", got)
		}
		if s := n.Stats(); s.Nodes != 4 || s.Active != 3 {
			t.Errorf("stats %+v", s)
		}
		if err := n.ResumeNode("stops"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		for id, before := range got {
			if now := strengths(n)[id]; now <= before {
				t.Errorf("%s is still %v", id, now)
			}
		}
	})
}

// TestSetDuringANetworkTick sets a pattern and a field while a task is out for them,
// and has nodes raise another.
func TestSetDuringANetworkTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &native{before: func(transform uint32) error {
			if transform == networkTransform {
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		}}
		n := open(t, network.Config{Host: inline(t, p), NetworkPeriod: 10 * time.Millisecond, NodePeriod: time.Hour})
		run(t, n)
		time.Sleep(12 * time.Millisecond)
		err := errors.Join(
			n.SetField("harmonic_field", tick.Field{Strength: 0.75}), n.SetField("new_field", tick.Field{Strength: 0.5}),
			n.SetPattern("fibonacci_harmonics", tick.Pattern{Strength: 0.25, State: tick.Paused}), n.SetPattern("new_harmonics", tick.Pattern{Strength: 0.125}),
		)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Millisecond)
		synctest.Wait()
		s := n.State()
		if s.Fields["harmonic_field"].Strength != 0.75 || s.Fields["new_field"].Strength != 0.5 ||
			s.Patterns["fibonacci_harmonics"].Strength != 0.25 || s.Patterns["new_harmonics"].Strength != 0.125 {
			t.Errorf("state %+v, want what was set", s)
		}
		if s.Fields["universal_field"].TotalResonances != 1 || s.Patterns["universal_harmonics"].TotalCycles != 1 {
			t.Errorf("state %+v, want one tick", s)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		s = n.State()
		if s.Fields["new_field"].TotalResonances != 1 || s.Patterns["new_harmonics"].TotalCycles != 1 || s.Patterns["fibonacci_harmonics"].TotalCycles != 0 {
			t.Errorf("state %+v, want that what is new and active has ticked once", s)
		}
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.New(0)
		sub := bus.Subscribe(0, event.KindNodesProgressed)
		n := open(t, network.Config{Host: inline(t, nil), Events: bus, ChunkNodes: 2})
		create(t, n, network.NodeSpec{ID: "a", Strength: 1}, network.NodeSpec{ID: "b", Strength: 0.55}, network.NodeSpec{ID: "c", Strength: 1})
		run(t, n)
		time.Sleep(11 * time.Millisecond)
		synctest.Wait()
		for _, id := range []string{"a", "c"} {
			e, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Body.(event.NodesProgressed); got.NowMS != 10 || !reflect.DeepEqual(got.Nodes, []event.Progress{{ID: id, Strength: 1}}) {
				t.Errorf("progress %+v, want %s's", got, id)
			}
		}
		sub.Close()
	})
}
