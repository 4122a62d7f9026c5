// Network advances resonance nodes on time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/resonance/network"
)

func main() {
	plugins := flag.String("plugins", "bin/plugins", "directory of plugins, which make build fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, cache string) (err error) {
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()
	bus := event.New(0)
	defer func() { err = errors.Join(err, bus.Close(ctx)) }()

	// Ticks are urgent tasks of the plugin tick, in the same host as all others.
	n, err := network.New(network.Config{Host: h, Events: bus, NodePeriod: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	a, errA := n.CreateNode(network.NodeSpec{Frequency: 432, Strength: 0.5, Patterns: []string{"golden_ratio_harmonics"}})
	b, errB := n.CreateNode(network.NodeSpec{Frequency: 528, Strength: 0.5})
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	c, err := n.Connect(ctx, a, b)
	if err != nil {
		return err
	}
	fmt.Printf("%s and %s are connected, with strength %.3f and quality %.2f\n", c.A, c.B, c.Strength, c.Quality)

	progress := bus.Subscribe(0, event.KindNodesProgressed) // before the first tick
	defer progress.Close()
	if err := n.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close(ctx)) }()

	// Nodes get stronger with each tick, until they are at 1.
	for whole := 0; whole < 2; {
		e, err := progress.Next(ctx)
		if err != nil {
			return err
		}
		whole = 0
		for _, p := range e.Body.(event.NodesProgressed).Nodes {
			if p.Strength == 1 {
				whole++
			}
		}
	}
	fmt.Printf("all %d nodes resonate with strength 1\n", n.Len())
	return nil
}
