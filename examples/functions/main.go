// Functions offers a function of the program's own to a plugin.
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
	plugins := flag.String("plugins", "bin/examples/invoice", "directory of plugins, which make examples fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "functions:", err)
		os.Exit(1)
	}
}

// prices stand for what a plugin cannot reach, such as a database.
var prices = map[string]int{"tea": 250, "cake": 410}

// price may be called concurrently. Its context ends with the task that calls it.
func price(_ context.Context, item string) (cents int, err error) {
	cents, ok := prices[item]
	if !ok {
		return 0, fmt.Errorf("%s has no price", item)
	}
	return cents, nil
}

func run(ctx context.Context, plugins, cache string) (err error) {
	h, err := host.New(host.Config{
		PluginDir: plugins, CacheDir: cache,
		Defaults: host.PluginConfig{Functions: []host.Function{host.FunctionJSON("price", price)}},
	})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	type total struct {
		Cents int `json:"cents"`
	}
	bill, err := host.CallJSON[total](ctx, h, "invoice", map[string]int{"tea": 2, "cake": 1})
	if err != nil {
		return err
	}
	fmt.Println(bill.Cents, "cents")

	// The plugin returns the function's error, which fails the task.
	_, err = host.CallJSON[total](ctx, h, "invoice", map[string]int{"coffee": 1})
	fmt.Println(err)

	for _, f := range h.Stats().Plugins[0].Functions {
		fmt.Printf("%s was called %d times and failed %d times\n", f.Name, f.Calls, f.Failed)
	}
	return nil
}
