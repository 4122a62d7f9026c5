package network_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
)

func logger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestInitial(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(guesttest.Root(), "testdata", "vectors", "tick-network.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ After tick.Network }
	first, _, _ := bytes.Cut(b, []byte("\n"))
	if err := json.Unmarshal(first, &line); err != nil {
		t.Fatal(err)
	}
	if got := network.Initial(); !reflect.DeepEqual(got, line.After) {
		t.Errorf("initial state %+v, want %+v", got, line.After)
	}
}

// TestSnapshot saves a network in the middle of its life, and has what was restored
// come to the same end.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inline(t, nil)
		// Between the snapshot and the comparison no tick of the network is due together
		// with one of nodes that drive patterns: which is first is left open.
		cfg := network.Config{Host: h, ChunkNodes: 3, NetworkPeriod: 50 * time.Millisecond}
		n := open(t, cfg)
		for i := range 10 {
			create(t, n, network.NodeSpec{
				Frequency: 100 + float64(i), Period: time.Duration(4+16*(i%2)) * time.Millisecond,
				Patterns: []string{"universal_harmonics"}[:i%2], State: []tick.NodeState{tick.Resonating, tick.Stopped}[i/9],
			})
		}
		if err := n.RemoveNode("node-4"); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Connect(t.Context(), "node-3", "node-1"); err != nil {
			t.Fatal(err)
		}
		run(t, n)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		text, err := json.Marshal(n.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		var s network.Snapshot
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		cfg.ChunkNodes = 0
		again := open(t, cfg)
		if err := again.Restore(&s); err != nil {
			t.Fatal(err)
		}
		if got := again.Snapshot(); !reflect.DeepEqual(*got, s) {
			t.Errorf("restored %+v, want %+v", got, s)
		}
		run(t, again)
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		a, b := n.Snapshot(), again.Snapshot()
		if a.NowMS != 196 || b.NowMS != 196 || len(a.Nodes) != 9 || !reflect.DeepEqual(a, b) {
			t.Errorf("after the same time %+v, and restored %+v", a, b)
		}
		// Over one that ticks, which has other nodes.
		create(t, again, network.NodeSpec{ID: "other"})
		if err := again.Restore(&s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if b := again.Snapshot(); !reflect.DeepEqual(a, b) {
			t.Errorf("restored while it ticked %+v, want %+v", b, a)
		}
		if id, err := again.CreateNode(network.NodeSpec{}); id != "node-10" || err != nil {
			t.Errorf("the next node is %s, err %v", id, err)
		}
	})
}

func snapshot(tb testing.TB) *network.Snapshot {
	tb.Helper()
	n := open(tb, network.Config{Host: inline(tb, nil)})
	create(tb, n, network.NodeSpec{ID: "a"}, network.NodeSpec{ID: "b", Patterns: []string{"universal_harmonics"}})
	if _, err := n.Connect(tb.Context(), "a", "b"); err != nil {
		tb.Fatal(err)
	}
	return n.Snapshot()
}

func TestRestoreRefuses(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil), Capacity: 2})
	create(t, n, network.NodeSpec{ID: "mine"})
	for _, c := range []struct {
		change func(*network.Snapshot)
		want   string
	}{
		{func(s *network.Snapshot) { s.Version = 2 }, "snapshot: version: must be 1, is 2"},
		{func(s *network.Snapshot) { s.NowMS = math.NaN() }, "snapshot: now_ms: must be between 0 and 4.32e15"},
		{func(s *network.Snapshot) { s.Created = -1 }, "snapshot: created: must be between 0 and 2^53-1"},
		{func(s *network.Snapshot) { s.Nodes = append(s.Nodes, s.Nodes...) }, "snapshot: network is full: 4 nodes, and it has room for 2"},
		{func(s *network.Snapshot) { s.Nodes[1].ID = "a" }, `snapshot: nodes[1]: node "a": there is such a node already`},
		{func(s *network.Snapshot) { s.Nodes[1].ID = "" }, "snapshot: nodes[1]: id: must have 1 to 128 bytes"},
		{func(s *network.Snapshot) { s.Nodes[1].Index = 2 }, "snapshot: nodes[1]: index: must be from 0 to below created"},
		{func(s *network.Snapshot) { s.Nodes[1].Period = -1 }, "snapshot: nodes[1]: period: must be 1ms to 1h"},
		{func(s *network.Snapshot) { delete(s.Network.Patterns, "universal_harmonics") }, `snapshot: nodes[1]: harmonic_patterns[0]: the network has no pattern "universal_harmonics"`},
		{func(s *network.Snapshot) { s.Network.Metrics.FieldStrength = 2 }, "snapshot: metrics.fieldStrength: must be between -1e9 and 1"},
		{func(s *network.Snapshot) { s.Connections[0].A = "c" }, `snapshot: connections[0]: node "c": there is no such node`},
		{func(s *network.Snapshot) { s.Connections[0].A = "b" }, "snapshot: connections[0]: b: must be another node than a"},
		{func(s *network.Snapshot) { s.Connections[0].Quality = 2 }, "snapshot: connections[0]: connection_quality: must be between 0 and 1"},
	} {
		s := snapshot(t)
		c.change(s)
		if err := n.Restore(s); err == nil || err.Error() != c.want {
			t.Errorf("err %v, want %s", err, c.want)
		}
	}
	if err := n.Restore(nil); err == nil || err.Error() != "snapshot: is nil" {
		t.Errorf("err %v of no snapshot", err)
	}
	if _, err := n.Node("mine"); err != nil || n.Len() != 1 {
		t.Errorf("a snapshot that was refused changed the network: err %v", err)
	}
	s := snapshot(t)
	s.Nodes = append(s.Nodes, s.Nodes[0])
	if err := n.Restore(s); !errors.Is(err, network.ErrFull) {
		t.Errorf("err %v, want ErrFull", err)
	}
}

// TestTheLastNode has a network that can count no further.
func TestTheLastNode(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil)})
	s := snapshot(t)
	s.Created = tick.MaxCount - 1
	if err := n.Restore(s); err != nil {
		t.Fatal(err)
	}
	create(t, n, network.NodeSpec{})
	if err := n.Restore(n.Snapshot()); err != nil {
		t.Errorf("its own snapshot: %v", err)
	}
	if _, err := n.CreateNode(network.NodeSpec{}); !errors.Is(err, network.ErrFull) {
		t.Errorf("err %v, want ErrFull", err)
	}
}

func FuzzRestore(f *testing.F) {
	n := open(f, network.Config{Host: inline(f, nil), Capacity: 100})
	text, err := json.Marshal(snapshot(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var s network.Snapshot
		if json.Unmarshal(text, &s) != nil || n.Restore(&s) != nil {
			return
		}
		first := n.Snapshot()
		if err := n.Restore(first); err != nil {
			t.Fatalf("its own snapshot: %v", err)
		}
		if second := n.Snapshot(); !reflect.DeepEqual(first, second) {
			t.Errorf("snapshot %+v, and restored %+v", first, second)
		}
	})
}
