// Typed calls a transform with Go values in place of bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/resonance/cascade"
)

func main() {
	plugins := flag.String("plugins", "bin/plugins", "directory of plugins, which make build fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "typed:", err)
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

	// Any type will do that has AppendBinary, and a result whose pointer has UnmarshalBinary.
	state := &cascade.State{AwarenessLevel: 0.8, PhiValue: 0.618}
	result, err := host.Call[cascade.Result](ctx, h, "cascade", state)
	if err != nil {
		return err
	}
	fmt.Printf("score %.3f, %s, %s\n", result.HarmonicScore, result.ResonanceQuality, result.DominantEmotion.Emotion)

	// Call asks the state to validate itself before it costs a worker's time. The error
	// names the field.
	_, err = host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{PhiValue: 1e13})
	var field *abi.FieldError
	if !errors.As(err, &field) {
		return fmt.Errorf("want the fault of a field, got %w", err)
	}
	fmt.Printf("%s %s\n", field.Field, field.Rule)
	return nil
}
