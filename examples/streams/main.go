// Streams shows state that survives tasks, and their order.
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
		fmt.Fprintln(os.Stderr, "streams:", err)
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

	// Submit takes the task's place in the stream before it returns. So the tasks run in this
	// order, though nobody waits for one before the next. Streams run beside each other.
	ann, bob := h.Stream("ann"), h.Stream("bob")
	tasks := []*host.Pending{
		ann.Submit(ctx, "shout.count", []byte("one two three")),
		bob.Submit(ctx, "shout.count", []byte("one")),
		ann.Submit(ctx, "shout.count", []byte("four five")),
		bob.Submit(ctx, "shout.count", []byte("two")),
		ann.Submit(ctx, "shout.count", []byte("six")),
	}
	for i, who := range []string{"ann", "bob", "ann", "bob", "ann"} {
		words, err := tasks[i].Wait()
		if err != nil {
			return err
		}
		fmt.Printf("%s has said %s\n", who, words)
	}

	// Without a stream each task begins anew: the sandbox forgets all else after a task.
	words, err := h.Run(ctx, "shout.count", []byte("seven"))
	if err != nil {
		return err
	}
	fmt.Printf("nobody has said %s\n", words)
	return nil
}
