package network_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/host"
	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/state"
)

// resume has a network go on from what a store has of it, if that is anything.
func resume(ctx context.Context, n *network.Network, store state.Store) (*network.Keeper, error) {
	k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "demo"})
	if err != nil {
		return nil, err
	}
	switch kept, err := k.Load(ctx); {
	case err == nil:
		return k, n.Resume(kept.Snapshot, kept.At) // before n.Start
	case !errors.Is(err, state.ErrNotFound):
		return nil, err
	}
	return k, nil
}

// ExampleNewKeeper has a network outlive its program, which here is a turn of the loop.
func ExampleNewKeeper() {
	ctx, store := context.Background(), state.NewMemory() // or one of package state/bolt
	for range 2 {
		h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{ticks.New()}})
		if err != nil {
			fmt.Println(err)
			return
		}
		n, err := network.New(network.Config{Host: h})
		if err != nil {
			fmt.Println(err)
			return
		}
		k, err := resume(ctx, n, store)
		if err != nil {
			fmt.Println(err)
			return
		}
		if n.Len() == 0 {
			_, err = n.CreateNode(network.NodeSpec{Frequency: 432})
		}
		fmt.Println(n.Len(), err, k.Save(ctx, n, nil))
		_, _ = n.Close(ctx), h.Close(ctx)
	}
	// Output:
	// 1 <nil> <nil>
	// 1 <nil> <nil>
}
