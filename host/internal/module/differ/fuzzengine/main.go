// Command fuzzengine looks for programs that wazero's compiler computes otherwise than its
// interpreter, as the host compiles them. See package differ.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/differ"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	flags := flag.NewFlagSet("fuzzengine", flag.ContinueOnError)
	flags.SetOutput(stderr)
	limit := flags.Duration("time", time.Minute, "how long to look")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "how many processes to look with")
	guards := flags.String("guards", "on", "what the host does against faults of the compiler: on, off, or names with commas")
	favor := flags.String("favor", "any", "the type that most functions have to do with: any, i32, i64, f32, f64, v128, f32x4, f64x2")
	seed := flags.Uint64("seed", 0, "the seed to begin with, if there is no report to go on from")
	report := flags.String("report", "", "a file for the report, NAME.json, beside which NAME.txt has it in words; a report that is there goes on")
	findings := flags.String("findings", "", "a directory for the first program of each kind, made small")
	shrink := flags.Duration("shrink", 15*time.Second, "how long to make a program smaller")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	set, err := differ.ParseGuards(*guards)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	kind, err := differ.ParseFavor(*favor)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	opts := differ.Options{Guards: set, Favor: kind, Shrink: *shrink}
	if differ.IsWorker() {
		if err := differ.Serve(context.Background(), stdin, stdout, opts); err != nil { // the parent is interrupted as well, and lets it end
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	r := &differ.Report{Next: *seed, Guards: *guards}
	if err := load(*report, r); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	const patience = 2 * time.Minute
	var written time.Time
	c := &differ.Campaign{
		Worker: append([]string{self}, args...), Workers: *workers, Patience: *shrink + patience, Findings: *findings, Log: stderr,
		Each: func(r *differ.Report) {
			if time.Since(written) > time.Minute {
				written = time.Now()
				if err := save(*report, r); err != nil {
					fmt.Fprintln(stderr, err)
				}
			}
		},
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	err = errors.Join(c.Run(ctx, r, 0), save(*report, r))
	fmt.Fprint(stdout, r)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if r.Failed() && r.Guards == "on" {
		return 1
	}
	return 0
}

func load(name string, r *differ.Report) error {
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	guards := r.Guards
	if err := json.Unmarshal(b, r); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if r.Guards != guards {
		return fmt.Errorf("%s is the report of a search with guards %s: begin another one", name, r.Guards)
	}
	return nil
}

func save(name string, r *differ.Report) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(name, append(b, '\n'), 0o644), os.WriteFile(strings.TrimSuffix(name, ".json")+".txt", []byte(r.String()), 0o644))
}
