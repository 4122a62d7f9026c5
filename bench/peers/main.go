// Command peers measures resonhost beside others who run code on behalf of a program:
// the same tasks on the same cores, by turns, with the same results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
)

// Commands by which the program is its own contenders.
const (
	childCommand       = "child"
	servePluginCommand = "serve-plugin"
)

// heapFloor is what every process in Go takes and never touches, as resonhost's command
// does: garbage is collected each time the heap has doubled, which is a few MiB in some
// contenders, and in others has the memory of guests in it.
const heapFloor = 64 << 20

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	command := ""
	if len(args) > 0 && (args[0] == childCommand || args[0] == servePluginCommand) {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var c config
	flags.IntVar(&c.o.workers, "workers", 2, "how many tasks each contender does at once")
	flags.StringVar(&c.o.plugins, "plugins", "../bin/plugins", "the directory of cascade.wasm and tick.wasm")
	flags.StringVar(&c.o.simd, "simd", "../bin/plugins-simd", "the directory of their builds in Rust")
	flags.StringVar(&c.o.guests, "guests", "../bin/peers", "the directory of the other guests")
	flags.BoolVar(&c.o.cold, "cold", false, "of a child: leave out what a first cascade does not need")
	kind := flags.String("kind", "", "of a child: which it is")
	c.flags(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if command != "" {
		defer runtime.KeepAlive(make([]byte, heapFloor))
	}
	var err error
	switch command {
	case servePluginCommand:
		servePlugin(c.o)
	case childCommand:
		err = runChild(ctx, *kind, c.o, stdin, stdout)
	default:
		if err := c.validate(); err != nil || flags.NArg() > 0 {
			fmt.Fprintln(stderr, "peers:", errors.Join(err, unexpected(flags.Args())))
			return 2
		}
		err = c.run(ctx, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

func unexpected(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}
