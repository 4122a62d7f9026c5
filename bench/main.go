// Command bench measures the same tasks over several ways to run them, side by
// side: in turns within one run, so that a slow moment of the machine meets all
// alike. What counts are the ratios.
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
	rounds := flags.Int("rounds", 101, "how many turns each contender has")
	asJSON := flags.Bool("json", false, "print JSON, for machines, in place of the table")
	guests := flags.String("guests", "../testdata/guests", "the directory of busy.wasm and hostile.wasm")
	soak := flags.Int("soak", 0, "how many tasks a last part has, of which many fail; 0 leaves it out")
	gate := flags.String("gate", "", "a file of bounds; measure what they concern, and fail if it exceeds them")
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
	b := &bench{dir: *plugins, guests: *guests, rounds: *rounds, benchtime: *benchtime, soak: *soak, report: newReport(*rounds), measured: make(map[string][]measurement)}
	if !*asJSON {
		b.table = stdout
	}
	err := b.runOrGate(ctx, *gate)
	if err == nil && *asJSON {
		err = b.report.writeJSON(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// bench is one run of all parts.
type bench struct {
	dir, guests string
	rounds      int
	benchtime   time.Duration
	soak        int
	report      *report
	measured    map[string][]measurement // by section
	table       io.Writer                // nil for none
}

func (b *bench) runOrGate(ctx context.Context, gate string) error {
	if gate == "" {
		return b.run(ctx)
	}
	bounds, err := readGate(gate)
	if err != nil {
		return err
	}
	return b.gate(ctx, bounds)
}

func (b *bench) run(ctx context.Context) error {
	if b.table != nil {
		if err := b.report.writeHead(b.table); err != nil {
			return err
		}
	}
	parts := []func(context.Context) error{b.cascade, b.interrupts, b.noop, b.streams, b.responsiveness}
	if b.soak > 0 {
		parts = append(parts, b.soaked)
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// section measures contenders, closes them, and reports.
func (b *bench) section(ctx context.Context, title string, all []*contender) (measured []measurement, err error) {
	defer func() {
		for _, c := range all {
			if closed := c.close(context.Background()); closed != nil {
				err = errors.Join(err, fmt.Errorf("closing %s: %w", c.name, closed))
			}
		}
	}()
	measured, err = measure(ctx, all, b.rounds, b.benchtime/time.Duration(b.rounds))
	if err != nil {
		return nil, err
	}
	b.measured[title] = measured
	b.report.add(title, measured)
	if b.table == nil {
		return measured, nil
	}
	return measured, b.report.Sections[len(b.report.Sections)-1].writeTable(b.table)
}

// fact reports a figure.
func (b *bench) fact(what, format string, args ...any) error {
	f := fact{what, fmt.Sprintf(format, args...)}
	b.report.Facts = append(b.report.Facts, f)
	if b.table == nil {
		return nil
	}
	_, err := fmt.Fprintf(b.table, "- %s: %s\n", f.What, f.Value)
	return err
}
