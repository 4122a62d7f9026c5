// Json calls a transform whose payloads are JSON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/invoke"
)

func main() {
	plugins := flag.String("plugins", "bin/examples/greet", "directory of plugins, which make examples fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "json:", err)
		os.Exit(1)
	}
}

type (
	person struct {
		Name string `json:"name"`
	}
	answer struct {
		Greeting string `json:"greeting"`
	}
)

func run(ctx context.Context, plugins, cache string) (err error) {
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	// Go values become JSON, and the output a Go value.
	a, err := host.CallJSON[answer](ctx, h, "greet", person{Name: "Ann"})
	if err != nil {
		return err
	}
	fmt.Println(a.Greeting)

	// A document that is JSON already, from a client say, goes by package invoke. It does for
	// a transform of any media type that the codecs know, and refuses what is not JSON before
	// it costs a worker's time.
	greet, err := invoke.Find(h, codec.New(), "greet")
	if err != nil {
		return err
	}
	for _, doc := range []string{`{"name": "Bob"}`, `{"name": `} {
		task, err := greet.Decode([]byte(doc), "")
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		output, err := task.Run(ctx, h.Client("", host.PriorityNormal))
		if err != nil {
			return err
		}
		line, err := task.Encode(output)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", line)
	}
	return nil
}
