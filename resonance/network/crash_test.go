package network_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/bolt"
)

// crashDir and crashPlugin are set in a process that TestKilled kills: where its store and its plugin
// are.
const (
	crashDir    = "RESONHOST_TEST_CRASH_DIR"
	crashPlugin = "RESONHOST_TEST_CRASH_PLUGIN"

	crashNodes = 1000
)

// telling is a store that says of each network what it is before it saves it, and that it has.
type telling struct {
	state.Store

	copy *state.Memory
}

func (t *telling) Save(ctx context.Context, changes []state.Change) error {
	if err := t.copy.Save(ctx, changes); err != nil {
		return err
	}
	head := false
	for i := range changes {
		head = head || changes[i].Key.Name == "n" && !changes[i].Delete
	}
	sum := ""
	if head {
		kept, err := loadCrash(ctx, t.copy)
		if err != nil {
			return err
		}
		sum = digest(kept)
		fmt.Fprintln(os.Stdout, "saving", sum, kept.Snapshot.NowMS)
	}
	err := t.Store.Save(ctx, changes)
	if err == nil && head {
		fmt.Fprintln(os.Stdout, "saved", sum, 0)
	}
	return err
}

func loadCrash(ctx context.Context, store state.Store) (*network.Kept, error) {
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "n"})
	if err != nil {
		return nil, err
	}
	return k.Load(ctx)
}

func digest(kept *network.Kept) string {
	b, err := json.Marshal(kept)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// runCrashing is the process that is killed. It has a network tick by the real plugin, and saves it.
func runCrashing(dir string) error {
	ctx := context.Background()
	inFile, err := bolt.Open(ctx, dir, bolt.Options{})
	if err != nil {
		return err
	}
	store := &telling{inFile, state.NewMemory()}
	err = inFile.List(ctx, state.Filter{Data: true}, func(r state.Record) error {
		return store.copy.Save(ctx, []state.Change{{Record: r}})
	})
	if err != nil {
		return err
	}
	plugin, err := os.ReadFile(os.Getenv(crashPlugin))
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{Plugins: []host.Source{{Name: "tick", WASM: plugin}}})
	if err == nil {
		err = h.Start(ctx)
	}
	if err != nil {
		return err
	}
	n, err := network.New(network.Config{Host: h})
	if err != nil {
		return err
	}
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "n"})
	if err != nil {
		return err
	}
	switch kept, err := k.Load(ctx); {
	case errors.Is(err, state.ErrNotFound):
		for i := range crashNodes {
			if _, err := n.CreateNode(network.NodeSpec{Frequency: 1e-3 * float64(1+i), Patterns: []string{"golden_ratio_harmonics"}}); err != nil {
				return err
			}
		}
	case err != nil:
		return err
	default:
		if err := n.Resume(kept.Snapshot, kept.At); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "loaded", digest(kept), kept.Snapshot.NowMS)
	}
	if err := n.Start(); err != nil {
		return err
	}
	first := n.Snapshot().Created - crashNodes
	for i := 0; ; i++ {
		if err := k.Save(ctx, n, nil); err != nil {
			return err
		}
		if s := n.Stats(); s.Failed > 0 {
			return fmt.Errorf("ticks fail: %+v", s)
		}
		// Nodes come and go, so that parts do.
		if err := n.RemoveNode(fmt.Sprintf("node-%d", first+i)); err != nil {
			return err
		}
		if _, err := n.CreateNode(network.NodeSpec{Frequency: 0.5}); err != nil {
			return err
		}
	}
}

// TestKilled kills a process at random moments, while its network ticks and is saved. The next one has
// it go on from a snapshot that it really had, no older than the last one that was saved, and its clock
// never goes back from there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	plugin := t.TempDir() + "/tick.wasm"
	if err := os.WriteFile(plugin, guesttest.Build(t, guesttest.Tick), 0o600); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"": true} // what may be loaded: the last that was saved, and those tried since
	clock := 0.0
	for life := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir, crashPlugin+"="+plugin)
		var fault strings.Builder
		cmd.Stderr = &fault
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		saves, loaded := 0, ""
		for in := bufio.NewScanner(out); in.Scan(); {
			var what, sum string
			var now float64
			if _, err := fmt.Sscan(in.Text(), &what, &sum, &now); err != nil {
				break // killed in the middle of the line
			}
			switch what {
			case "loaded":
				loaded = sum
				clock = now // what was about to be saved at the end may not have been
			case "saving":
				allowed[sum] = true
				if now < clock {
					t.Errorf("life %d: the clock went back from %v to %v", life, clock, now)
				}
				clock = now
			case "saved":
				allowed = map[string]bool{sum: true}
				if saves++; saves == 3 {
					time.AfterFunc(rand.N(200*time.Millisecond), func() { _ = cmd.Process.Kill() })
				}
			}
			if what == "loaded" && !allowed[sum] {
				t.Errorf("life %d: it loaded a network that it never had, or an older one", life)
			}
		}
		_ = cmd.Wait()
		if saves < 3 || loaded == "" && life > 0 {
			t.Fatalf("life %d: it ended by itself after %d saves: %s", life, saves, fault.String())
		}
	}
	t.Logf("the clock came to %v ms", clock)
}
