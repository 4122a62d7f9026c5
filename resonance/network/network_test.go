package network_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Fprintln(os.Stderr, runCrashing(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// native is the plugin "tick" with something put before its calls, and what they
// return.
type native struct {
	*guest.Plugin

	before func(transform uint32) error
	after  func(transform uint32, frame []byte) []byte
}

const (
	nodeTransform = iota
	networkTransform
)

func (p *native) Run(transform uint32, frame []byte) ([]byte, error) {
	if p.before != nil {
		if err := p.before(transform); err != nil {
			return nil, err
		}
	}
	out, err := p.Plugin.Run(transform, frame)
	if p.after != nil && err == nil {
		out = p.after(transform, out)
	}
	return out, err
}

// inline starts a host that runs p, natively; plugin "tick" as it is for nil.
func inline(tb testing.TB, p *native) *host.Host {
	tb.Helper()
	if p == nil {
		p = &native{}
	}
	p.Plugin = ticks.New()
	return hosted.Start(tb, host.Config{Mode: host.ModeInline, Native: []host.Native{p}})
}

// open makes a network, which the test closes before its host.
func open(tb testing.TB, cfg network.Config) *network.Network {
	tb.Helper()
	n, err := network.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return n
}

func create(tb testing.TB, n *network.Network, specs ...network.NodeSpec) {
	tb.Helper()
	for _, spec := range specs {
		if _, err := n.CreateNode(spec); err != nil {
			tb.Fatal(err)
		}
	}
}

func run(tb testing.TB, n *network.Network) {
	tb.Helper()
	if err := n.Start(); err != nil {
		tb.Fatal(err)
	}
}

// strengths are those of all nodes by ID.
func strengths(n *network.Network) map[string]float64 {
	all := make(map[string]float64)
	for node := range n.Nodes() {
		all[node.ID] = node.Strength
	}
	return all
}

const eps = 1e-9

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= eps) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

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

func TestNodesAreToldApart(t *testing.T) {
	bus := event.New(1 << 15)
	n := open(t, network.Config{Host: inline(t, nil), Capacity: 4000, ChunkNodes: 100, Events: bus})
	create(t, n, network.NodeSpec{ID: "node-7"})
	var full, exists atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[string]bool)
	for range 8 {
		all.Go(func() {
			for i := range 600 {
				spec := network.NodeSpec{}
				if i%2 == 1 {
					spec.ID = "mine-" + strconv.Itoa(i)
				}
				id, err := n.CreateNode(spec)
				switch {
				case errors.Is(err, network.ErrFull):
					full.Add(1)
				case errors.Is(err, network.ErrExists):
					exists.Add(1)
				case err != nil:
					t.Error(err)
				default:
					mu.Lock()
					if ids[id] {
						t.Errorf("%s twice", id)
					}
					ids[id] = true
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if n.Len() != len(ids)+1 || int64(len(ids))+full.Load()+exists.Load() != 8*600 || exists.Load() == 0 {
		t.Errorf("%d nodes, %d made, %d beyond the capacity, %d there already", n.Len(), len(ids), full.Load(), exists.Load())
	}
	index := make(map[int]bool)
	for node := range n.Nodes() {
		if index[node.Index] || node.Position != tick.PositionOf(node.Index) {
			t.Errorf("node %+v has another's place", node)
		}
		index[node.Index] = true
	}
	if got := len(bus.History(event.KindNodeCreated)); got != n.Len() {
		t.Errorf("%d events for %d nodes", got, n.Len())
	}
}

func TestConnections(t *testing.T) {
	bus := event.New(0)
	n := open(t, network.Config{Host: inline(t, nil), Events: bus})
	create(t, n, network.NodeSpec{ID: "a"}, network.NodeSpec{ID: "b", Frequency: 200, Strength: 1}, network.NodeSpec{ID: "c"})
	c, err := n.Connect(t.Context(), "b", "a")
	if err != nil {
		t.Fatal(err)
	}
	want := ticks.Connect(&tick.ConnectionRequest{
		A: tick.End{Frequency: 200, Strength: 1, Position: tick.PositionOf(1)}, B: tick.End{Frequency: 100},
	})
	if c != (network.Connection{A: "b", B: "a", Strength: want.Strength, Quality: want.Quality}) {
		t.Errorf("connection %+v, want %+v", c, want)
	}
	for _, ends := range [][2]string{{"a", "b"}, {"a", "c"}} {
		if _, err := n.Connect(t.Context(), ends[0], ends[1]); err != nil {
			t.Fatal(err)
		}
	}
	list, err := n.Connections("a")
	if err != nil || len(list) != 2 || list[0].B != "b" || list[1].B != "c" || n.Stats().Connections != 2 {
		t.Errorf("connections %+v, err %v, %d of them", list, err, n.Stats().Connections)
	}
	if got := bus.History(event.KindConnectionEstablished); len(got) != 3 {
		t.Errorf("events %v", got)
	}
	if err := n.RemoveNode("a"); err != nil {
		t.Fatal(err)
	}
	if list, err := n.Connections("b"); err != nil || len(list) != 0 || n.Stats().Connections != 0 {
		t.Errorf("connections %v, err %v", list, err)
	}
}

// TestConnectOfWhatHasChanged changes nodes while their connection is computed.
func TestConnectOfWhatHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*network.Network, *network.Snapshot) error
		again  bool
		want   error
	}{
		"nothing": {change: func(*network.Network, *network.Snapshot) error { return nil }},
		"another node": {change: func(n *network.Network, _ *network.Snapshot) error {
			err := n.RemoveNode("b")
			_, other := n.CreateNode(network.NodeSpec{ID: "b", Frequency: 1, Strength: 1})
			return errors.Join(err, other)
		}, again: true},
		"another network": {change: func(n *network.Network, s *network.Snapshot) error {
			s.Nodes[1].Strength = 1
			return n.Restore(s)
		}, again: true},
		"no node": {change: func(n *network.Network, _ *network.Snapshot) error { return n.RemoveNode("b") }, want: network.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			var n *network.Network
			var s *network.Snapshot
			calls := 0
			p := &native{before: func(uint32) error {
				if calls++; calls == 1 {
					return c.change(n, s)
				}
				return nil
			}}
			n = open(t, network.Config{Host: inline(t, p)})
			create(t, n, network.NodeSpec{ID: "a"}, network.NodeSpec{ID: "b"})
			s = n.Snapshot()
			got, err := n.Connect(t.Context(), "a", "b")
			if !errors.Is(err, c.want) {
				t.Fatalf("err %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			if again := calls > 1; again != c.again {
				t.Errorf("computed %d times", calls)
			}
			if want, err := n.Connect(t.Context(), "a", "b"); got != want || err != nil {
				t.Errorf("connection %+v, of the nodes that there are %+v, err %v", got, want, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil), Capacity: 100})
	create(t, n, network.NodeSpec{ID: "a"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	connect := func(a, b string) error {
		_, err := n.Connect(ctx, a, b)
		return err
	}
	node := func(spec network.NodeSpec) error {
		_, err := n.CreateNode(spec)
		return err
	}
	_, missing := n.Node("x")
	_, unconnected := n.Connections("x")
	for _, c := range []struct {
		err  error
		want string
		is   error
	}{
		{node(network.NodeSpec{ID: "a"}), "node a: there is such a node already", network.ErrExists},
		{node(network.NodeSpec{ID: "é"}), "id: must be printable ASCII", nil},
		{node(network.NodeSpec{ID: "."}), "id: must not be . or ..", nil},
		{node(network.NodeSpec{ID: ".."}), "id: must not be . or ..", nil},
		{node(network.NodeSpec{Frequency: -1}), "frequency: must be above 0 and at most 1e6", nil},
		{node(network.NodeSpec{Strength: math.NaN()}), "resonance_strength: must be between 0 and 1", nil},
		{node(network.NodeSpec{State: "asleep"}), `state: must be "resonating" or "stopped"`, nil},
		{node(network.NodeSpec{Period: time.Microsecond}), "period: must be 1ms to 1h", nil},
		{node(network.NodeSpec{Patterns: []string{"golden_ratio_harmonics", "nope"}}), `harmonic_patterns[1]: the network has no pattern "nope"`, nil},
		{missing, `node "x": there is no such node`, network.ErrNotFound},
		{unconnected, `node "x": there is no such node`, network.ErrNotFound},
		{n.StopNode("x"), `node "x": there is no such node`, network.ErrNotFound},
		{n.ResumeNode("x"), `node "x": there is no such node`, network.ErrNotFound},
		{n.RemoveNode("x"), `node "x": there is no such node`, network.ErrNotFound},
		{connect("a", "a"), "b: must be another node than a", nil},
		{connect("a", "x"), `node "x": there is no such node`, network.ErrNotFound},
		{connect("x", "a"), `node "x": there is no such node`, network.ErrNotFound},
		{n.SetField("No", tick.Field{}), `fields: "No" is no name: must be 1 to 64 lower-case letters, digits and '_', a letter first`, nil},
		{n.SetField("f", tick.Field{Strength: math.Inf(1)}), "fields.f.field_strength: must be between -1e9 and 1e9", nil},
		{n.SetPattern("p", tick.Pattern{Phase: 360}), "patterns.p.current_phase: must be from 0 to below 360", nil},
		{n.SetPattern("p", tick.Pattern{Strength: 1.5}), "patterns.p.harmonic_strength: must be between 0 and 1", nil},
	} {
		if c.err == nil || c.err.Error() != c.want || c.is != nil && !errors.Is(c.err, c.is) {
			t.Errorf("err %v, want %s", c.err, c.want)
		}
	}
	for i := range network.MaxPeriods {
		err := node(network.NodeSpec{Period: time.Duration(i+20) * time.Millisecond})
		if last := i == network.MaxPeriods-1; last != errors.Is(err, network.ErrFull) {
			t.Errorf("period %d: err %v", i, err)
		}
	}
	create(t, n, network.NodeSpec{ID: "b"})
	if err := connect("a", "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want the context's", err)
	}
}

func TestConfig(t *testing.T) {
	_, err := network.New(network.Config{NodePeriod: 1, NetworkPeriod: 2 * time.Hour, Capacity: -1, ChunkNodes: 1 << 30})
	want := `network configuration: Host: must be set
NodePeriod: must be 1ms to 1h
NetworkPeriod: must be 1ms to 1h
Capacity: must be 1 to 16777216, is -1
ChunkNodes: must be 1 to 1048576, is 1073741824`
	if err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
}

func TestStart(t *testing.T) {
	h := inline(t, nil)
	bare, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{guest.New(`{"name": "tick", "version": "1.0.0",
		"transforms": [{"name": "tick.node", "input": "a/b", "output": "c/d"}]}`, func(*guest.Task) error { return nil })}})
	if err != nil {
		t.Fatal(err)
	}
	n := open(t, network.Config{Host: bare})
	if err := n.Start(); !errors.Is(err, host.ErrNotStarted) {
		t.Errorf("err %v, want that the host is not started", err)
	}
	if err := bare.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bare.Close(context.Background()) })
	if err := n.Start(); err == nil || !strings.HasPrefix(err.Error(), "network: transform tick.node takes a/b and gives c/d, must take application/") {
		t.Errorf("err %v, want that the transform is another", err)
	}
	n = open(t, network.Config{Host: h})
	run(t, n)
	if err := n.Start(); err == nil {
		t.Error("started twice")
	}
	for range 2 {
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := n.Start(); !errors.Is(err, network.ErrClosed) {
		t.Errorf("err %v, want ErrClosed", err)
	}
}

func TestCloseInterrupts(t *testing.T) {
	h := hosted.Start(t, host.Config{Plugins: []host.Source{{Name: "tick", WASM: guesttest.Build(t, guesttest.Tick)}}, Workers: 1})
	n := open(t, network.Config{Host: h, NodePeriod: time.Millisecond})
	create(t, n, make([]network.NodeSpec, 100)...)
	run(t, n)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if err := n.Close(ctx); err != nil && !errors.Is(err, cause) {
		t.Errorf("err %v, want the cause if any", err)
	}
}

// TestHammer does everything at once.
func TestHammer(t *testing.T) {
	bus := event.New(0)
	h := hosted.Start(t, host.Config{Plugins: []host.Source{{Name: "tick", WASM: guesttest.Build(t, guesttest.Tick)}}})
	var logged strings.Builder
	n := open(t, network.Config{
		Host: h, NodePeriod: time.Millisecond, NetworkPeriod: time.Millisecond, ChunkNodes: 16, Events: bus, Logger: logger(&logged),
	})
	bus.Handle(16, func(context.Context, event.Event) {})
	run(t, n)
	expected := func(err error) {
		if err != nil && !errors.Is(err, network.ErrNotFound) && !errors.Is(err, network.ErrExists) {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				id := strconv.Itoa(i%40 + g%2*40)
				_, err := n.CreateNode(network.NodeSpec{
					ID: id, Period: time.Duration(1+i%3) * time.Millisecond, Patterns: []string{"golden_ratio_harmonics", "compassion_harmonics"}[:i%3],
				})
				expected(err)
				expected(n.StopNode(id))
				expected(n.ResumeNode(id))
				if i%3 == g%3 {
					expected(n.RemoveNode(id))
				}
				if i%20 == 0 {
					_, err := n.Connect(t.Context(), id, "7")
					if !errors.As(err, new(*abi.FieldError)) {
						expected(err)
					}
					expected(n.SetPattern("p"+id, tick.Pattern{}))
				}
				if i == 100 && g < 2 {
					expected(n.Restore(n.Snapshot()))
				}
				for node := range n.Nodes() {
					if !(node.Strength >= 0 && node.Strength <= 1) {
						t.Errorf("node %+v", node)
					}
				}
				_, _ = n.State(), n.Stats()
			}
		})
	}
	all.Wait()
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := n.Stats(); s.Ticks == 0 {
		t.Errorf("stats %+v", s)
	}
	for line := range strings.Lines(logged.String()) {
		late := strings.Contains(line, "still under way") || strings.Contains(line, "deadline") // the machine is slow
		if strings.Contains(line, "level=WARN") && !late {
			t.Errorf("logged %s", line)
		}
	}
	if err := bus.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStartStopStress(t *testing.T) {
	h := inline(t, nil)
	for i := range 200 {
		n := open(t, network.Config{Host: h, NodePeriod: time.Millisecond})
		create(t, n, network.NodeSpec{})
		var both sync.WaitGroup
		both.Go(func() {
			if err := n.Start(); err != nil && !errors.Is(err, network.ErrClosed) {
				t.Error(err)
			}
		})
		if i%2 == 0 {
			both.Wait()
		}
		both.Go(func() {
			if err := n.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
	}
}

func ExampleNetwork() {
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{ticks.New()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := h.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	n, err := network.New(network.Config{Host: h})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := n.CreateNode(network.NodeSpec{Frequency: 432, Patterns: []string{"fibonacci_harmonics"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	node, err := n.Node(id)
	fmt.Println(node.ID, node.Frequency, node.State, err)
	fmt.Println(n.Start(), n.Close(ctx), h.Close(ctx))
	// Output:
	// node-0 432 resonating <nil>
	// <nil> <nil> <nil>
}

// TestNamesAreFoundAtOnce has so many names taken that it lasts for ever to look at them
// each time.
func TestNamesAreFoundAtOnce(t *testing.T) {
	const count = 30_000
	n := open(t, network.Config{Host: inline(t, nil)})
	for i := range count {
		create(t, n, network.NodeSpec{ID: "node-" + strconv.Itoa(count+i)})
	}
	for i := range count {
		if id, err := n.CreateNode(network.NodeSpec{}); err != nil || id != "node-"+strconv.Itoa(2*count+i) {
			t.Fatalf("node %s, err %v", id, err)
		}
	}
}
