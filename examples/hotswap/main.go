// Hotswap deploys a second version of a plugin while tasks run, and goes back to the first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/host"
)

func main() {
	plugins := flag.String("plugins", "bin/examples/shout", "directory of plugins, which make examples fills")
	next := flag.String("next", "bin/examples/louder/shout.wasm", "the second version")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *next, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "hotswap:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, next, cache string) (err error) {
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	// Tasks run all the time; done has the error of the first that fails.
	calling, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- call(calling, h) }()
	defer func() { stop(); err = errors.Join(err, <-done) }()

	if err := show(ctx, h, "at first"); err != nil {
		return err
	}
	source, err := host.ReadSource(ctx, next, host.DefaultMaxModule)
	if err != nil {
		return err
	}
	// Deploy returns once the second version serves. If it failed its self-tests, say, the
	// error would be a *host.LoadError, and the first would serve on.
	if _, err := h.Deploy(ctx, source); err != nil {
		return err
	}
	if err := show(ctx, h, "deployed"); err != nil {
		return err
	}
	if err := h.Rollback(ctx, "shout", host.StateDefault); err != nil {
		return err
	}
	return show(ctx, h, "rolled back")
}

func show(ctx context.Context, h *host.Host, when string) error {
	out, err := h.Run(ctx, "shout", []byte("hello"))
	if err != nil {
		return err
	}
	fmt.Printf("%s: version %s serves, and answers %s\n", when, h.Plugins()[0].Version, out)
	return nil
}

// call runs tasks until ctx ends. None may fail.
func call(ctx context.Context, h *host.Host) error {
	for ctx.Err() == nil {
		// The task that runs at the end is to succeed, too.
		if _, err := h.Run(context.WithoutCancel(ctx), "shout", []byte("hello")); err != nil {
			return err
		}
	}
	return nil
}
