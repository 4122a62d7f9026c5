package main

import (
	"context"
	"encoding/json"
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

// measurement is what one contender needed for a task, in nanoseconds, a sample a
// turn.
type measurement struct {
	name    string
	what    string
	samples []float64
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
			measured[i].samples = append(measured[i].samples, float64(took)/float64(sizes[i]))
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
func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// report is what was measured, and where.
type report struct {
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	GOMAXPROCS int       `json:"gomaxprocs"`
	Go         string    `json:"go"`
	Wazero     string    `json:"wazero"`
	Rounds     int       `json:"rounds"`
	Sections   []section `json:"sections"`
	Facts      []fact    `json:"facts"`
}

// section is a group of contenders, of which each is compared with the first.
type section struct {
	Title   string   `json:"title"`
	Results []result `json:"results"`
}

// fact is a figure that is no time a task.
type fact struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// result is of one contender: nanoseconds a task.
type result struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Median float64 `json:"median_ns"`
	Min    float64 `json:"min_ns"`
	Max    float64 `json:"max_ns"`
	// Ratio is the median, over the rounds, of the time to the first contender's:
	// what slows the machine down for longer than a round is in both.
	Ratio float64 `json:"ratio"`
}

func newReport(rounds int) *report {
	return &report{
		CPU: cpu(), Cores: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), Go: runtime.Version(), Wazero: wazero(), Rounds: rounds,
	}
}

func (r *report) add(title string, measured []measurement) {
	s := section{Title: title}
	for _, m := range measured {
		ratios := make([]float64, len(m.samples))
		for i, sample := range m.samples {
			ratios[i] = sample / measured[0].samples[i]
		}
		s.Results = append(s.Results, result{m.name, m.what, median(m.samples), slices.Min(m.samples), slices.Max(m.samples), median(ratios)})
	}
	r.Sections = append(r.Sections, s)
}

// writeHead says where it was measured, and how.
func (r *report) writeHead(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, %d cores, GOMAXPROCS %d, %s, wazero %s; one caller, %d rounds in turns, median (least–most)\n",
		r.CPU, r.Cores, r.GOMAXPROCS, r.Go, r.Wazero, r.Rounds)
	return err
}

// writeTable writes a section as a Markdown table.
func (s *section) writeTable(w io.Writer) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintf(t, "\t %s\t time a task\t ratio\t how\t\n", s.Title)
	fmt.Fprintln(t, "\t ---\t ---\t ---\t ---\t")
	for _, c := range s.Results {
		fmt.Fprintf(t, "\t %s\t %s (%s–%s)\t %.2f\t %s\t\n", c.Name, micros(c.Median), micros(c.Min), micros(c.Max), c.Ratio, c.What)
	}
	return t.Flush()
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func micros(ns float64) string { return fmt.Sprintf("%.1f µs", ns/1e3) }

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
