package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// measurement is what one contender needed for a task, a sample a turn.
type measurement struct {
	name    string
	what    string
	samples []time.Duration
}

// measure gives each contender as many turns as there are rounds, in another
// order each round, and as long as slice each.
func measure(ctx context.Context, all []*contender, rounds int, slice time.Duration) ([]measurement, error) {
	measured := make([]measurement, len(all))
	sizes := make([]int, len(all))
	for i, c := range all {
		measured[i] = measurement{name: c.name, what: c.what}
		n, err := calibrate(ctx, c, slice)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		sizes[i] = n
	}
	for range rounds {
		for _, i := range rand.Perm(len(all)) {
			took, err := timed(ctx, all[i], sizes[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[i].name, err)
			}
			measured[i].samples = append(measured[i].samples, took/time.Duration(sizes[i]))
		}
	}
	return measured, nil
}

// calibrate returns how many tasks take about as long as slice. It warms up what
// it measures.
func calibrate(ctx context.Context, c *contender, slice time.Duration) (int, error) {
	for n := batch; ; {
		took, err := timed(ctx, c, n)
		if err != nil {
			return 0, err
		}
		if took >= slice/2 {
			return max(batch, int(float64(n)*float64(slice)/float64(took))), nil
		}
		n *= 2
	}
}

func timed(ctx context.Context, c *contender, n int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := c.run(ctx, n)
	return time.Since(began), err
}

// median is of a list that is not empty.
func median(samples []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// report writes a Markdown table; the ratios are of medians, to the first.
func report(w io.Writer, rounds int, measured []measurement) {
	fmt.Fprintf(w, "%s, GOMAXPROCS %d, %s, wazero %s; one caller, %d rounds in turns, median (least–most)\n\n",
		cpu(), runtime.GOMAXPROCS(0), runtime.Version(), wazero(), rounds)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(t, "\t cascade, full result\t time a task\t ratio\t how\t")
	fmt.Fprintln(t, "\t ---\t ---\t ---\t ---\t")
	first := median(measured[0].samples)
	for _, m := range measured {
		mid := median(m.samples)
		fmt.Fprintf(t, "\t %s\t %s (%s–%s)\t %.2f\t %s\t\n", m.name, micros(mid), micros(slices.Min(m.samples)), micros(slices.Max(m.samples)),
			float64(mid)/float64(first), m.what)
	}
	_ = t.Flush() // to a terminal or a pipe, whose reader has gone if it fails
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

func cpu() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				return strings.Trim(name, "\t\n :")
			}
		}
	}
	return runtime.GOARCH
}

func wazero() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/tetratelabs/wazero" {
				return m.Version
			}
		}
	}
	return "of unknown version"
}
