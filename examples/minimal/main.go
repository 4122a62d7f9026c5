// Minimal embeds a host and runs one task.
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
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "minimal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, cache string) (err error) {
	// Compiling a plugin takes seconds. With CacheDir only the first start does it.
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	// A host that does not start has closed itself.
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	out, err := h.Run(ctx, "shout", []byte("hello"))
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", out)

	// The kind of an error says whose fault it is. This one is the caller's.
	_, err = h.Run(ctx, "shout", nil)
	if host.KindOf(err) != host.KindInvalidArgument {
		return fmt.Errorf("want an invalid argument, got %w", err)
	}
	fmt.Println(err)
	return nil
}
