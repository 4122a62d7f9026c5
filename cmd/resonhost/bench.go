package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/internal/workload"
	"github.com/resonhost/resonhost/resonance/network"
)

// bench are the settings of a workload.
type bench struct {
	duration time.Duration
	nodes    int
	swaps    int
	period   time.Duration
	clients  string
	rounds   int
	against  string
	html     string
	quiet    bool
}

// measurement is what bench can measure.
type measurement struct {
	name     string
	duration time.Duration // by default
	run      func(context.Context, *options, *workload.Bench, *bench) (*workload.Report, error)
}

var measurements = []measurement{
	{"lag", 10 * time.Second, func(ctx context.Context, _ *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		if b.period != 0 {
			return nil, usagef("--period: is for bench network")
		}
		if b.nodes == 0 {
			b.nodes = 144
		}
		return t.Lag(ctx, b.nodes)
	}},
	{"network", 15 * time.Second, func(ctx context.Context, _ *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		if b.period == 0 {
			b.period = network.DefaultNodePeriod
		} else if b.nodes == 0 {
			return nil, usagef("--period: needs --nodes")
		}
		return t.Network(ctx, b.nodes, b.period)
	}},
	{"load", 30 * time.Second, func(ctx context.Context, _ *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		if b.nodes != 0 || b.period != 0 {
			return nil, usagef("--nodes and --period: are for bench lag and bench network")
		}
		return t.Load(ctx)
	}},
	{"serve", 2 * time.Second, func(ctx context.Context, o *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		return o.serving(ctx, t, b)
	}},
	{"hostile", 3 * time.Second, func(ctx context.Context, o *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		return o.hostile(ctx, t, b)
	}},
	{"swap", 10 * time.Second, func(ctx context.Context, _ *options, t *workload.Bench, b *bench) (*workload.Report, error) {
		if b.nodes != 0 || b.period != 0 {
			return nil, usagef("--nodes and --period: are for bench lag and bench network")
		}
		if b.swaps == 0 {
			b.swaps = 1000
		}
		return t.Swap(ctx, b.swaps)
	}},
}

const benchExitCodes = `Exit codes: 0 all aims were met; 1 one was missed or could not be measured, or a
write failed; 2 wrong usage or configuration; 3 a plugin could not be loaded; 130
interrupted by a signal.`

func benchCommand(std stdio) *cli.Command {
	o, b := newOptions(), &bench{}
	settings := []setting{
		{"duration", "measure for `TIME` at most at a time", "10s, of load 30s, of serve 2s, of hostile 3s", value.Duration(&b.duration)},
		{"swaps", "swap `N` times, of swap", "1000", value.Count(&b.swaps)},
		{"nodes", "have `N` nodes, of lag and network", "144 of lag, 1000 to 1000000 of network", value.Count(&b.nodes)},
		{"period", "tick the nodes of network every `TIME`", network.DefaultNodePeriod.String(), value.Duration(&b.period)},
		{"clients", "have hostile clients of `LIST`, with commas, of hostile", "all kinds", value.Text(&b.clients)},
		{"rounds", "measure `N` times, of serve and hostile", "31 of serve, 3 of hostile", value.Count(&b.rounds)},
		{"against", "compare with another build of resonhost, a `PROGRAM`, of serve", "this one, without tokens", value.Text(&b.against)},
		{"html", "write the report with a plot to `FILE`, as a page", "", value.Text(&b.html)},
		{"quiet", "do not say on stderr what goes on", "", value.Toggle{P: &b.quiet}},
	}
	// The others are what is measured.
	hosts := slices.DeleteFunc(o.hostSettings(""), func(s setting) bool {
		return !slices.Contains([]string{"plugins", "workers", "memory-budget"}, s.name)
	})
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure how a host bears load, on this machine",
		UsageText: "resonhost bench lag|network|load|serve|hostile|swap --plugins DIR [options]",
		Description: "lag       how late nodes tick while cascades are offered at twice the capacity\n" +
			"network   what a thousand to a million nodes cost, and whether they tick on time\n" +
			"load      latency and throughput beyond the capacity, and a tenant that floods\n" +
			"serve     what tokens and an open dashboard cost those who send tasks over HTTP\n" +
			"hostile   what hostile clients of a server do to others: slow ones, floods, bombs and so on\n" +
			"swap      what swapping a plugin costs while it serves, and how soon the new one answers\n\n" +
			"Load comes when it is due, however busy the host is, and latency counts from\n" +
			"then. Figures are of this machine and moment: compare within a run.\n\n" +
			"A file of configuration has settings of the host and its plugins alone: what to\n" +
			"measure is said by flags or the environment.\n\n" + benchExitCodes,
		Flags: append(flags(settings, hosts, o.processSettings(), pluginSettings(&o.host.Defaults), o.config()),
			jsonFlag("print JSON", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.bench(c.Context, std, b, c.Args().Slice())
		},
	}
}

func (o *options) bench(ctx context.Context, std stdio, b *bench, args []string) error {
	m, err := b.measurement(args)
	if err != nil {
		return err
	}
	if err := o.benchEffects(m.name); err != nil {
		return err
	}
	if o.host.PluginDir == "" {
		return usagef("say where the plugins are: --plugins DIR")
	}
	if err := checkPluginDir(o.host.PluginDir); err != nil {
		return err
	}
	if err := o.setTimeSlice(o.logger(std.err)); err != nil {
		return err
	}
	page, err := newPage(b.html) // before anything is measured
	if err != nil {
		return usagef("--html %s: %w", b.html, reason(err))
	}
	defer page.discard()
	r, err := o.measure(ctx, std, m, b)
	if err != nil {
		if ctx.Err() != nil {
			return &exit{api.ExitInterrupted, errInterrupted}
		}
		return err
	}
	if o.json {
		err = terminal.Encode(std.out, r)
	} else {
		err = r.WriteText(std.out)
	}
	if e := page.publish(r.WriteHTML); e != nil {
		err = errors.Join(err, fmt.Errorf("--html %s: %w", b.html, reason(e)))
	}
	return errors.Join(err, missed(r))
}

// measurement is what the arguments name. Its error says so if the settings are not for it.
func (b *bench) measurement(args []string) (*measurement, error) {
	names := make([]string, len(measurements))
	for i := range measurements {
		names[i] = measurements[i].name
	}
	if len(args) != 1 {
		return nil, usagef("say what to measure: resonhost bench %s", strings.Join(names, "|"))
	}
	name := args[0]
	which := slices.Index(names, name)
	if which < 0 {
		return nil, usagef("bench: there is no measurement %q%s", name, thereAre(name, names))
	}
	if b.swaps != 0 && name != "swap" {
		return nil, usagef("--swaps: is for bench swap")
	}
	if name != "hostile" && b.clients != "" {
		return nil, usagef("--clients: is for bench hostile")
	}
	if name != "hostile" && name != "serve" && b.rounds != 0 {
		return nil, usagef("--rounds: is for bench serve and bench hostile")
	}
	if name != "serve" && b.against != "" {
		return nil, usagef("--against: is for bench serve")
	}
	if (name == "hostile" || name == "serve") && (b.nodes != 0 || b.period != 0) {
		return nil, usagef("--nodes and --period: are for bench lag and bench network")
	}
	for kind := range strings.SplitSeq(b.clients, ",") {
		if kinds := workload.Attacks(); b.clients != "" && !slices.Contains(kinds, kind) {
			return nil, usagef("--clients: there are none of the kind %q%s", kind, thereAre(kind, kinds))
		}
	}
	if b.nodes > network.MaxCapacity {
		return nil, usagef("--nodes: must be at most %d", network.MaxCapacity)
	}
	if b.period != 0 && (b.period < network.MinPeriod || b.period > network.MaxPeriod) {
		return nil, usagef("--period: must be %v to %v", network.MinPeriod, network.MaxPeriod)
	}
	return &measurements[which], nil
}

// benchEffects refuses flags that do nothing since the servers that are measured are processes of their own, with defaults.
func (o *options) benchEffects(name string) error {
	if name != "serve" && name != "hostile" {
		return nil
	}
	names := []string{"memory-budget", "time-slice"}
	for _, s := range pluginSettings(new(host.PluginConfig)) {
		names = append(names, s.name)
	}
	if w := o.given.without("on bench "+name+", whose servers have defaults", byFlag, names...); w != "" {
		return usagef("%s", w)
	}
	return nil
}

// measure does a measurement.
func (o *options) measure(ctx context.Context, std stdio, m *measurement, b *bench) (*workload.Report, error) {
	t := &workload.Bench{Duration: b.duration, Open: o.openBenched}
	if t.Duration == 0 {
		t.Duration = m.duration
	}
	if !b.quiet {
		t.Progress = func(format string, args ...any) { fmt.Fprintf(std.err, format+"\n", args...) }
	}
	return m.run(ctx, o, t, b)
}

// openBenched starts a host that has the plugins which are measured.
func (o *options) openBenched(ctx context.Context, change func(*host.Config)) (*host.Host, error) {
	opened := *o
	change(&opened.host)
	h, err := opened.startHost(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	for _, name := range workload.Transforms {
		if _, err := h.Lookup(name); err != nil {
			err = fmt.Errorf("bench needs the plugins cascade and tick: %w", err)
			return nil, &exit{api.ExitPlugins, errors.Join(err, h.Close(ctx))}
		}
	}
	return h, nil
}

// missed is an error if not all aims were met.
func missed(r *workload.Report) error {
	n := 0
	for _, f := range r.Findings {
		if !f.Met {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d aims were missed or could not be measured", n, len(r.Findings))
}

// page is a file that appears once it is whole; nil is none.
type page struct {
	name string
	file *os.File
}

func newPage(name string) (*page, error) {
	if name == "" {
		return nil, nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("must be a file")
	}
	f, err := os.Create(name + ".new")
	if err != nil {
		return nil, err
	}
	return &page{name, f}, nil
}

func (p *page) publish(write func(io.Writer) error) error {
	if p == nil {
		return nil
	}
	if err := errors.Join(write(p.file), p.file.Close()); err != nil {
		return err
	}
	return os.Rename(p.file.Name(), p.name)
}

// discard removes what was not published.
func (p *page) discard() {
	if p != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name()) // which publish has renamed
	}
}
