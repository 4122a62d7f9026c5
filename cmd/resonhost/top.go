package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
)

// How far apart top's looks at a host are, and how long one may take.
const (
	topEvery   = 2 * time.Second
	topTimeout = 10 * time.Second
)

func topCommand(std stdio) *cli.Command {
	o := newOptions()
	var once bool
	return &cli.Command{
		Name:      "top",
		Usage:     "show live what a running host does",
		UsageText: "resonhost top [options]",
		Description: "Shows the workers, and for each transform its tasks a second, the failed ones among them,\n" +
			"those that wait, and how long tasks took, every 2 s and of these 2 s. Times are the upper\n" +
			"bounds of the buckets in which they are counted. It goes on until SIGINT or SIGTERM, also\n" +
			"while the host is away.\n\n" + exitCodes,
		Flags: append(append(o.remote.flags(), flags(o.config())...),
			setting{name: "once", usage: "print 2 s, and end", value: value.Toggle{P: &once}}.flag(),
			jsonFlag("print JSON, a line for every 2 s", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("top takes no arguments, got %q", c.Args().First())
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.top(c.Context, std, once, topEvery)
		},
	}
}

// top shows views of a host. The first look must succeed.
func (o *options) top(ctx context.Context, std stdio, once bool, every time.Duration) error {
	live := !once && !o.json
	if live && !term.IsTerminal(int(std.out.Fd())) {
		return usagef("top: standard output is no terminal; --once prints one view, --json one a line")
	}
	host, err := o.remote.open(std.err)
	if err != nil {
		return err
	}
	defer host.close()
	before, err := host.stats(ctx)
	if err != nil {
		return err
	}
	view := viewOf(&before, &before) // of no time, until there is more to show
	if live {
		if err := view.print(std.out, false, true); err != nil {
			return err
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if once {
				return &exit{api.ExitInterrupted, errInterrupted}
			}
			return nil
		}
		now, err := host.stats(ctx)
		switch {
		case err == nil:
			view = viewOf(&before, &now)
			before = now
		case ctx.Err() != nil && !once:
			return nil
		case live:
			view.away = err
		default:
			return err
		}
		if err := view.print(std.out, o.json, live); err != nil || once {
			return err
		}
	}
}

// stats asks for the statistics of a host, within a time.
func (c *client) stats(ctx context.Context) (s api.Stats, err error) {
	limited, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	err = c.ask(limited, http.MethodGet, c.base.JoinPath("v1", "stats"), &s)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = &exit{api.ExitFailed, fmt.Errorf("the host at %s: no answer within %v", c.base.Host, topTimeout)}
	}
	return s, err
}

// topView is what a host did between two looks at it.
type topView struct {
	Time time.Time `json:"time"`
	// Seconds is how long that was.
	Seconds      float64        `json:"seconds"`
	Draining     bool           `json:"draining"`
	Workers      int            `json:"workers"`
	Active       int            `json:"active"`
	QueueDepth   int            `json:"queue_depth"`
	Memory       uint64         `json:"memory_bytes"`
	MemoryBudget uint64         `json:"memory_budget_bytes"`
	Transforms   []topTransform `json:"transforms"`
	Plugins      []topPlugin    `json:"plugins"`

	away error // why the host could not be asked again
}

// topTransform is a transform, of which the times are nil if no task ended.
type topTransform struct {
	Transform string    `json:"transform"`
	Plugin    string    `json:"plugin"`
	Tasks     float64   `json:"tasks_per_second"` // those that failed included
	Failed    float64   `json:"failed_per_second"`
	Queued    int       `json:"queued"`
	P50       *topBound `json:"p50"`
	P99       *topBound `json:"p99"`
}

// topBound is the bound of a bucket in seconds. Above is that it is the last, and the time is longer.
type topBound struct {
	Seconds float64 `json:"seconds"`
	Above   bool    `json:"above,omitempty"`
}

type topPlugin struct {
	Plugin    string `json:"plugin"`
	Instances int    `json:"instances"`
	InUse     int    `json:"instances_in_use"`
	Broken    uint64 `json:"instances_broken"` // since the host began
}

// viewOf compares two looks. A host that was started anew in between counts from 0.
func viewOf(before, now *api.Stats) topView {
	if !before.Started.Equal(now.Started) {
		before = &api.Stats{Time: now.Started}
	}
	v := topView{
		Time: now.Time, Seconds: max(now.Time.Sub(before.Time).Seconds(), 0), Draining: now.Draining,
		Workers: now.Workers, Active: now.Active, QueueDepth: now.QueueDepth, Memory: now.Memory, MemoryBudget: now.MemoryBudget,
		Transforms: []topTransform{}, Plugins: []topPlugin{},
	}
	old, queued := make(map[string]*api.TransformStats), make(map[string]int)
	for i := range before.Plugins {
		for j := range before.Plugins[i].Transforms {
			t := &before.Plugins[i].Transforms[j]
			old[t.Name] = t
		}
	}
	for _, q := range now.Queues {
		queued[q.Transform] += q.Tasks
	}
	for i := range now.Plugins {
		p := &now.Plugins[i]
		v.Plugins = append(v.Plugins, topPlugin{p.Name, p.Instances, p.InUse, p.Broken})
		for j := range p.Transforms {
			t := &p.Transforms[j]
			was := old[t.Name]
			if was == nil {
				was = &api.TransformStats{}
			}
			ok, failed := grown(t.OK, was.OK), grown(failedTasks(t), failedTasks(was))
			row := topTransform{Transform: t.Name, Plugin: p.Name, Queued: queued[t.Name]}
			if v.Seconds > 0 {
				row.Tasks, row.Failed = float64(ok+failed)/v.Seconds, float64(failed)/v.Seconds
			}
			counts := slices.Clone(t.Latency.Counts)
			for i := range counts {
				if i < len(was.Latency.Counts) {
					counts[i] = grown(counts[i], was.Latency.Counts[i])
				}
			}
			row.P50, row.P99 = quantile(counts, now.Bounds, 0.5), quantile(counts, now.Bounds, 0.99)
			v.Transforms = append(v.Transforms, row)
		}
	}
	slices.SortFunc(v.Transforms, func(a, b topTransform) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Transform, b.Transform))
	})
	return v
}

// grown is by how much a counter has grown, all of it if it counts anew.
func grown(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

func failedTasks(t *api.TransformStats) (n uint64) {
	for _, k := range t.Errors {
		n += k
	}
	return n
}

// quantile is the bucket that a quantile of what was counted falls into, nil of nothing.
func quantile(counts []uint64, bounds []float64, q float64) *topBound {
	var all, seen float64
	for _, n := range counts {
		all += float64(n)
	}
	if all == 0 || len(bounds) == 0 {
		return nil
	}
	for i, n := range counts[:min(len(counts), len(bounds))] {
		if seen += float64(n); seen >= q*all {
			return &topBound{Seconds: bounds[i]}
		}
	}
	return &topBound{bounds[len(bounds)-1], true}
}

// String is the bound in a table.
func (b *topBound) String() string {
	if b == nil {
		return "-"
	}
	d := time.Duration(b.Seconds * float64(time.Second)).Round(time.Microsecond)
	if b.Above {
		return "> " + d.String()
	}
	return d.String()
}

// print prints JSON, text, or text in place of what a terminal shows.
func (v *topView) print(out *output, asJSON, live bool) error {
	if asJSON {
		return terminal.Encode(out, v)
	}
	lines := v.lines()
	if !live {
		_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
		return err
	}
	return showLive(out, lines)
}

// lines are the view as text.
func (v *topView) lines() []string {
	state := ""
	if v.Draining {
		state = ", draining"
	}
	lines := []string{fmt.Sprintf("%s  workers %d of %d active, %d tasks wait, memory %s of %s%s",
		v.Time.Local().Format(time.TimeOnly), v.Active, v.Workers, v.QueueDepth, humanize.IBytes(v.Memory), humanize.IBytes(v.MemoryBudget), state)}
	if e := (*exit)(nil); errors.As(v.away, &e) {
		lines = append(lines, "since then: "+printable(strings.Join(strings.Fields(e.Error()), " ")))
	}
	const row, plugin = "%s %10s %10s %8s %10s %10s", "%s %10s %10s %8s"
	lines = append(lines, "", fmt.Sprintf(row, terminal.Pad("TRANSFORM", 24), "TASKS/S", "FAILED/S", "WAITING", "P50", "P99"))
	for i := range v.Transforms {
		t := &v.Transforms[i]
		lines = append(lines, fmt.Sprintf(row, terminal.Pad(printable(t.Transform), 24), perSecond(t.Tasks), perSecond(t.Failed), fmt.Sprint(t.Queued), t.P50, t.P99))
	}
	lines = append(lines, "", fmt.Sprintf(plugin, terminal.Pad("PLUGIN", 24), "INSTANCES", "IN USE", "BROKEN"))
	for _, p := range v.Plugins {
		lines = append(lines, fmt.Sprintf(plugin, terminal.Pad(printable(p.Plugin), 24), fmt.Sprint(p.Instances), fmt.Sprint(p.InUse), fmt.Sprint(p.Broken)))
	}
	return lines
}

func perSecond(n float64) string { return fmt.Sprintf("%.1f", n) }
