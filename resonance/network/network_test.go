package network_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

const eps = 1e-9

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
