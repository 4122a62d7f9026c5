package network_test

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
	"github.com/resonhost/resonhost/state/redis"
)

var update = flag.Bool("update", false, "write golden files")

func keep(tb testing.TB, store state.Store, tenant, name string) *network.Keeper {
	tb.Helper()
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Tenant: tenant, Name: name, MaxNodes: 100_000})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func save(tb testing.TB, k *network.Keeper, n *network.Network, meta string) {
	tb.Helper()
	if err := k.Save(context.Background(), n, []byte(meta)); err != nil {
		tb.Fatal(err)
	}
}

// same loads by a keeper that knows nothing, and compares.
func same(tb testing.TB, store state.Store, tenant, name string, n *network.Network, meta string) *network.Kept {
	tb.Helper()
	kept, err := keep(tb, store, tenant, name).Load(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	if want := n.Snapshot(); !reflect.DeepEqual(kept.Snapshot, want) || string(kept.Meta) != meta {
		tb.Errorf("loaded %.2000v %q, want %.2000v %q", *kept.Snapshot, kept.Meta, *want, meta)
	}
	return kept
}

// names are those of all records of a store.
func names(tb testing.TB, store state.Store) (list []string) {
	tb.Helper()
	if err := store.List(context.Background(), state.Filter{}, func(r state.Record) error {
		list = append(list, r.Key.Name)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return list
}

func closing[S state.Store](tb testing.TB, s S, err error) state.Store {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// TestKeeper saves and loads what a network has, as that changes, in each of the stores.
func TestKeeper(t *testing.T) {
	inFile, err := bolt.Open(t.Context(), t.TempDir(), bolt.Options{})
	file := closing(t, inFile, err)
	inRedis, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + redistest.Start(t).Addr})
	server := closing(t, inRedis, err)
	for name, store := range map[string]state.Store{"memory": state.NewMemory(), "bolt": file, "redis": server} {
		t.Run(name, func(t *testing.T) {
			n := open(t, network.Config{Host: inline(t, nil)})
			k := keep(t, store, "acme", "a")
			if _, err := k.Load(t.Context()); !errors.Is(err, state.ErrNotFound) {
				t.Errorf("err %v", err)
			}
			save(t, k, n, "")
			same(t, store, "acme", "a", n, "")
			many := func() {
				for i := range 9000 { // more than one part
					create(t, n, network.NodeSpec{
						Frequency: float64(1 + i), Strength: float64(i%101) / 100, Period: time.Duration(2+i%3) * time.Millisecond,
						Patterns: []string{"universal_harmonics", "golden_ratio_harmonics"}[:i%3], State: []tick.NodeState{tick.Resonating, tick.Stopped}[i%2],
					})
				}
			}
			many()
			if _, err := n.Connect(t.Context(), "node-1", "node-8888"); err != nil {
				t.Fatal(err)
			}
			if err := n.SetField("mine", tick.Field{State: tick.Paused, Strength: -3, TotalResonances: 5}); err != nil {
				t.Fatal(err)
			}
			save(t, k, n, "of acme's")
			same(t, store, "acme", "a", n, "of acme's")
			if err := n.RemoveNode("node-17"); err != nil {
				t.Fatal(err)
			}
			save(t, k, n, "x")
			same(t, store, "acme", "a", n, "x")
			before := len(names(t, store))
			again := keep(t, store, "acme", "a") // which has not loaded
			save(t, again, n, "y")
			same(t, store, "acme", "a", n, "y")
			if after := len(names(t, store)); after != before {
				t.Errorf("%d records, and %d after the same was saved", before, after)
			}
			other := open(t, network.Config{Host: inline(t, nil)})
			save(t, keep(t, store, "acme", "a.b"), other, "")
			save(t, keep(t, store, "else", "a"), other, "")
			found, damaged, err := network.Keepers(t.Context(), network.KeeperConfig{Store: store})
			if err != nil || damaged != 0 || len(found) != 3 || found[0].Name() != "a" || found[1].Name() != "a.b" || found[2].Tenant() != "else" {
				t.Errorf("found %v, %d damaged, %v", found, damaged, err)
			}
			if err := found[0].Delete(t.Context()); err != nil {
				t.Error(err)
			}
			same(t, store, "acme", "a.b", other, "")
			if left := names(t, store); len(left) != 2 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// dying is a store that takes so many changes and then none any more, as a process that is killed.
type dying struct {
	state.Store

	left int
}

var errDead = errors.New("dead")

func (d *dying) Save(ctx context.Context, changes []state.Change) error {
	for i := range changes {
		if d.left == 0 {
			return errDead
		}
		d.left--
		if err := d.Store.Save(ctx, changes[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// TestKeeperDies ends a save after each of its changes. What is stored is then the network before,
// or the one after, whole, and the next save leaves nothing over.
func TestKeeperDies(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil)})
	for i := range 9000 {
		create(t, n, network.NodeSpec{Frequency: float64(1 + i)})
	}
	before := n.Snapshot()
	after := n.Snapshot()
	after.Network.Metrics.FieldStrength = 0.5
	for i := range after.Nodes {
		after.Nodes[i].Strength, after.Nodes[i].Frequency = 0.5, 7
	}
	for left, done := 0, false; !done; left++ {
		store := &dying{state.NewMemory(), -1}
		if err := n.Restore(before); err != nil {
			t.Fatal(err)
		}
		k := keep(t, store, "", "a")
		save(t, k, n, "before")
		all := len(names(t, store))
		if err := n.Restore(after); err != nil {
			t.Fatal(err)
		}
		store.left = left
		err := k.Save(t.Context(), n, []byte("after"))
		if done = err == nil; !done && !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		store.left = -1
		next := keep(t, store, "", "a")
		kept, err := next.Load(t.Context())
		if err != nil {
			t.Fatalf("dead after %d changes: %v", left, err)
		}
		want := map[string]*network.Snapshot{"before": before, "after": after}[string(kept.Meta)]
		if !reflect.DeepEqual(kept.Snapshot, want) {
			t.Errorf("dead after %d changes: not the network %s", left, kept.Meta)
		}
		for _, k := range []*network.Keeper{k, next} { // one goes on, or another process does
			save(t, k, n, "after")
			same(t, store, "", "a", n, "after")
		}
		if got := names(t, store); len(got) != all {
			t.Errorf("dead after %d changes: %v are left", left, got)
		}
	}
}

// TestKeeperSavesWhatChanged counts the bytes of saves.
func TestKeeperSavesWhatChanged(t *testing.T) {
	store := &counting{Store: state.NewMemory()}
	n := open(t, network.Config{Host: inline(t, nil)})
	for range 9000 {
		create(t, n, network.NodeSpec{})
	}
	k := keep(t, store, "", "a")
	save(t, k, n, "")
	first := store.bytes
	save(t, k, n, "")
	if again := store.bytes - first; first < 200_000 || again > 2000 {
		t.Errorf("%d bytes, and %d when nothing had changed", first, again)
	}
}

type counting struct {
	state.Store

	bytes int
}

func (c *counting) Save(ctx context.Context, changes []state.Change) error {
	for i := range changes {
		c.bytes += len(changes[i].Data)
	}
	return c.Store.Save(ctx, changes)
}

// TestResume has a network go on after its process was away: in the phase of each period, by a
// clock that went on, and with one tick for those that were missed.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := state.NewMemory()
		cfg := network.Config{Host: inline(t, nil), NodePeriod: 10 * time.Millisecond, NetworkPeriod: 70 * time.Millisecond}
		n := open(t, cfg)
		create(t, n, network.NodeSpec{ID: "a"}, network.NodeSpec{ID: "slow", Period: 40 * time.Millisecond})
		run(t, n)
		time.Sleep(95 * time.Millisecond)
		synctest.Wait()
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		save(t, keep(t, store, "", "n"), n, "")
		time.Sleep(1000 * time.Millisecond) // the clock is at 1095
		kept := same(t, store, "", "n", n, "")
		again := open(t, cfg)
		if err := again.Resume(kept.Snapshot, kept.At); err != nil {
			t.Fatal(err)
		}
		save(t, keep(t, store, "", "n"), again, "") // which does not count as time that it ticked
		kept = same(t, store, "", "n", again, "")
		if kept.Snapshot.NowMS != 90 || time.Since(kept.At) != 1005*time.Millisecond {
			t.Errorf("clock %v, %v ago", kept.Snapshot.NowMS, time.Since(kept.At))
		}
		run(t, again)
		synctest.Wait()
		// Due were 100 to 1090, and 120 to 1080, and 140 to 1050. The last two of each are done.
		if s := again.Stats(); s.Ticks != 6 || s.Coalesced != 98+23+12 || s.NowMS != 1090 || s.Lag.Sum != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(4 * time.Millisecond)
		synctest.Wait()
		if s := again.Stats(); s.Ticks != 6 {
			t.Errorf("%+v", s)
		}
		time.Sleep(27 * time.Millisecond) // until 1126: 1100, 1110, 1120; 1120; 1120
		synctest.Wait()
		if s := again.Stats(); s.Ticks != 11 || s.NowMS != 1120 || s.Lag.Sum != 0 {
			t.Errorf("%+v", s)
		}
		ahead := open(t, cfg)
		if err := ahead.Resume(kept.Snapshot, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		run(t, ahead)
		synctest.Wait()
		if s := ahead.Stats(); s.Ticks != 0 || s.Coalesced != 0 || s.NowMS != 90 {
			t.Errorf("%+v", s)
		}
		old := open(t, cfg)
		if err := old.Resume(kept.Snapshot, time.UnixMilli(0)); err != nil {
			t.Fatal(err)
		}
		run(t, old)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if s := old.Stats(); s.Failed != 0 || s.Ticks != 7 {
			t.Errorf("%+v", s)
		}
	})
}

// TestKeeperRefuses has stored bytes that are none of a network, or too much of one.
func TestKeeperRefuses(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil)})
	create(t, n, network.NodeSpec{ID: "a"}, network.NodeSpec{ID: "b"})
	if _, err := n.Connect(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		part, want string
		change     func(*state.Change)
	}{
		{"n", "was written by a newer version: has format 9, and this version reads 1", func(c *state.Change) { c.Format = 9 }},
		{"n", "created", func(c *state.Change) { c.Data = c.Data[:8] }},
		{"n", "longer", func(c *state.Change) { c.Data = append(c.Data, 0) }},
		{"n/1/n0", "refers to a part that is not stored", func(c *state.Change) { c.Delete = true }},
		{"n/1/n0", "the part has more than the head says", func(c *state.Change) { c.Data = nil }},
		{"n/1/n0", "a node's", func(c *state.Change) { c.Data = c.Data[:9] }},
		{"n/1/n0", "more than the head says", func(c *state.Change) { c.Data = append(c.Data, c.Data...) }},
		{"n/1/s0", "more than the head says", func(c *state.Change) { c.Data = append(c.Data, c.Data...) }},
		{"n/1/s0", "strength is cut off", func(c *state.Change) { c.Data = c.Data[:9] }},
		{"n/1/c0", "more than the head says", func(c *state.Change) { c.Data = append(c.Data, c.Data...) }},
		{"n/1/c0", "is of a node that is not there", func(c *state.Change) { c.Data[0] = 2 }},
	} {
		store := state.NewMemory()
		save(t, keep(t, store, "", "n"), n, "")
		r, err := store.Load(t.Context(), state.Key{Kind: state.KindNetwork, Name: c.part})
		if err != nil {
			t.Fatal(err)
		}
		change := state.Change{Record: r}
		c.change(&change)
		if err := store.Save(t.Context(), []state.Change{change}); err != nil {
			t.Fatal(err)
		}
		_, err = keep(t, store, "", "n").Load(t.Context())
		if fault := (*state.RecordError)(nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err %v, want %s", c.part, err, c.want)
		}
	}
	store := state.NewMemory()
	save(t, keep(t, store, "", "n"), n, "")
	for _, cfg := range []network.KeeperConfig{{MaxNodes: 1}, {MaxNodes: 2, MaxConnections: -1}} {
		cfg.Store, cfg.Name = store, "n"
		k, err := network.NewKeeper(cfg)
		if err == nil {
			_, err = k.Load(t.Context())
		}
		if !errors.Is(err, network.ErrFull) {
			t.Errorf("err %v", err)
		}
	}
	for _, cfg := range []network.KeeperConfig{{Name: "a"}, {Store: store}, {Store: store, Name: "a/b"}, {Store: store, Name: "a", Tenant: strings.Repeat("x", 999)}} {
		if _, err := network.NewKeeper(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// TestStoredForm holds the first format to golden files: what was stored by them is read for ever.
func TestStoredForm(t *testing.T) {
	n := open(t, network.Config{Host: inline(t, nil)})
	create(t, n, network.NodeSpec{ID: "a", Frequency: 432, Strength: 0.25, Patterns: []string{"universal_harmonics"}},
		network.NodeSpec{State: tick.Stopped, Period: time.Second})
	if _, err := n.Connect(t.Context(), "a", "node-1"); err != nil {
		t.Fatal(err)
	}
	store := state.NewMemory()
	save(t, keep(t, store, "", "n"), n, "meta")
	golden := state.NewMemory()
	for _, name := range []string{"n", "n/1/n0", "n/1/s0", "n/1/c0"} {
		r, err := store.Load(t.Context(), state.Key{Kind: state.KindNetwork, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "v1-"+strings.ReplaceAll(name, "/", "-")+".hex")
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(r.Data)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := hex.EncodeToString(r.Data) + "\n"; string(text) != want {
			t.Errorf("%s: %s, want %s", name, want, text)
		}
		if r.Data, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil {
			t.Fatal(err)
		}
		if err := golden.Save(t.Context(), []state.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, golden, "", "n", n, "meta")
}

// FuzzStored loads any bytes as the records of a network. What is taken is saved as the same again.
func FuzzStored(f *testing.F) {
	n := open(f, network.Config{Host: inline(f, nil), Capacity: 100})
	create(f, n, network.NodeSpec{ID: "a", Patterns: []string{"universal_harmonics"}}, network.NodeSpec{ID: "b", State: tick.Stopped})
	if _, err := n.Connect(f.Context(), "a", "b"); err != nil {
		f.Fatal(err)
	}
	seed := state.NewMemory()
	save(f, keep(f, seed, "", "n"), n, "meta")
	parts := []string{"n", "n/1/n0", "n/1/s0", "n/1/c0"}
	var data [4][]byte
	for i, name := range parts {
		r, err := seed.Load(f.Context(), state.Key{Kind: state.KindNetwork, Name: name})
		if err != nil {
			f.Fatal(err)
		}
		data[i] = r.Data
	}
	f.Add(data[0], data[1], data[2], data[3])
	f.Fuzz(func(t *testing.T, head, nodes, strengths, connections []byte) {
		store := state.NewMemory()
		for i, b := range [][]byte{head, nodes, strengths, connections} {
			c := state.Change{Record: state.Record{Key: state.Key{Kind: state.KindNetwork, Name: parts[i]}, Format: 1, Changed: time.UnixMilli(5), Data: b}}
			if err := store.Save(t.Context(), []state.Change{c}); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := keep(t, store, "", "n").Load(t.Context())
		if err != nil || n.Resume(kept.Snapshot, kept.At) != nil {
			return
		}
		want := n.Snapshot()
		save(t, keep(t, store, "", "n"), n, string(kept.Meta))
		again, err := keep(t, store, "", "n").Load(t.Context())
		if err != nil || fmt.Sprint(again.Snapshot) != fmt.Sprint(want) {
			t.Errorf("loaded %v, and again %v, %v", want, again, err)
		}
	})
}
