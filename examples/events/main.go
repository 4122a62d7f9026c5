// Events prints what happens in a host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
)

func main() {
	plugins := flag.String("plugins", "bin/examples/shout", "directory of plugins, which make examples fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "events:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, cache string) (err error) {
	// A subscriber that is slower than the events loses the oldest, and holds up nobody. Close
	// waits until print has had all that the subscription holds.
	bus := event.New(0)
	bus.Handle(0, func(_ context.Context, e event.Event) { show(e) }, event.KindPluginChanged, event.KindTaskCompleted)
	defer func() { err = errors.Join(err, bus.Close(ctx)) }()

	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache, Events: bus})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	// The host is closed before its bus.
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	if _, err := h.Client("ann", host.PriorityNormal).Run(ctx, "shout", []byte("hello")); err != nil {
		return err
	}
	if _, err := h.Run(ctx, "shout", nil); err == nil {
		return errors.New("an empty text is shouted")
	}
	if err := h.Pause(ctx, "shout"); err != nil {
		return err
	}
	return h.Resume(ctx, "shout")
}

func show(e event.Event) {
	switch b := e.Body.(type) {
	case event.PluginChanged:
		fmt.Printf("plugin %s %s is %s\n", b.Plugin, b.Version, b.Change)
	case event.TaskCompleted:
		if b.Error != "" {
			fmt.Printf("task of %s fails: %s\n", b.Transform, b.Error)
			return
		}
		fmt.Printf("task of %s for %q: %s\n", b.Transform, b.Tenant, b.Output)
	}
}
