// Command bench measures the same cascade tasks over several ways to run them,
// side by side: in turns within one run, so that a slow moment of the machine
// meets all alike. What counts are the ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	benchtime := flags.Duration("benchtime", time.Second, "how long each contender runs altogether")
	rounds := flags.Int("rounds", 11, "how many turns each contender has")
	asJSON := flags.Bool("json", false, "print JSON, for machines, in place of the table")
	plugins := flags.String("plugins", "../bin/plugins", "the directory of cascade.wasm")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *rounds < 1 || *benchtime <= 0 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "bench: -rounds and -benchtime must be positive, and there are no arguments")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	all, err := contenders(ctx, *plugins)
	if err == nil {
		defer closeAll(all, stderr)
		err = check(ctx, all)
	}
	var measured []measurement
	if err == nil {
		measured, err = measure(ctx, all, *rounds, *benchtime/time.Duration(*rounds))
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	r := newReport(*rounds, measured)
	if *asJSON {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeTable(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}
