package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/wait"
)

// fleetView is what a fleet does at a moment.
type fleetView struct {
	Time    time.Time            `json:"time"`
	Fleet   string               `json:"fleet"`
	Queue   fleetQueue           `json:"queue"`
	Hosts   []fleetHost          `json:"hosts"`
	Plugins []*fleet.Wanted      `json:"plugins"`
	Drained []string             `json:"drained"` // names of hosts that are to take no frames, there or not
	stale   error                // why it is not of now; nil if it is
	before  map[string]fleetHost // by the number of their process
}

// fleetQueue is what waits in the fleet.
type fleetQueue struct {
	Waiting  uint64  `json:"waiting"`
	UnderWay int     `json:"under_way"`
	Bytes    uint64  `json:"bytes"`
	Oldest   float64 `json:"oldest_seconds"`
	Dead     uint64  `json:"dead_letters"`
}

// fleetHost is a host in a view.
type fleetHost struct {
	fleet.HostInfo
	// Age is how old what the host says is, in seconds.
	Age float64 `json:"age_seconds"`
	// Gone is whether the process has ended for all that is known: it is silent, and another has its name.
	Gone bool `json:"gone"`
	// Rate is how many of its tasks end a second; nil if that is not known.
	Rate *float64 `json:"tasks_per_second"`

	read time.Time
}

// look looks at the fleet. Of hosts that were there before it has the rates since then.
func (c *fleetClient) look(ctx context.Context, before map[string]fleetHost) (*fleetView, error) {
	v := &fleetView{Time: time.Now(), Fleet: c.name, Hosts: []fleetHost{}, Drained: []string{}, before: make(map[string]fleetHost)}
	hosts, err := c.control.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		now := fleetHost{HostInfo: h, Age: h.Age.Seconds(), Gone: replaced(&h, hosts, c.control.BeatEvery()), read: v.Time.Add(-h.Age)}
		if was, ok := before[h.Instance]; ok {
			if passed := now.read.Sub(was.read).Seconds(); passed > 0.1 {
				rate := float64(grown(h.Tasks, was.Tasks)) / passed
				now.Rate = &rate
			} else {
				now.Rate, now.read = was.Rate, was.read // it has said nothing since
			}
		}
		v.Hosts = append(v.Hosts, now)
		v.before[h.Instance] = now
	}
	if v.Plugins, err = c.control.Plugins(ctx); err != nil {
		return nil, err
	}
	drained, err := c.control.Drained(ctx)
	if err != nil {
		return nil, err
	}
	v.Drained = append(v.Drained, drained...)
	q, err := c.control.Queue(ctx)
	v.Queue = fleetQueue{q.Waiting, q.UnderWay, q.Bytes, q.Oldest.Seconds(), q.Dead}
	return v, err
}

// silentBeats is how many signs of life a host must have missed to count as silent.
const silentBeats = 3

// replaced reports whether a host is silent and another of its name has joined since it did.
func replaced(h *fleet.HostInfo, hosts []fleet.HostInfo, beatEvery time.Duration) bool {
	return h.Age > silentBeats*beatEvery && slices.ContainsFunc(hosts, func(o fleet.HostInfo) bool {
		return o.Host == h.Host && o.Since.After(h.Since) && o.Age < h.Age
	})
}

// there returns how many hosts are there.
func (v *fleetView) there() (n int) {
	for i := range v.Hosts {
		if !v.Hosts[i].Gone {
			n++
		}
	}
	return n
}

// ls prints a view.
func (c *fleetClient) ls(ctx context.Context) error {
	v, err := c.look(ctx, nil)
	if err != nil {
		return err
	}
	return c.show(v, false)
}

// show prints a view as JSON, text, or text in place of what a terminal shows.
func (c *fleetClient) show(v *fleetView, live bool) error {
	if c.json {
		return terminal.Encode(c.std.out, v)
	}
	lines, err := v.lines()
	if err != nil {
		return err
	}
	if live {
		return showLive(c.std.out, lines)
	}
	_, err = fmt.Fprintln(c.std.out, strings.Join(lines, "\n"))
	return err
}

// top shows one view after the other.
func (c *fleetClient) top(ctx context.Context) error {
	live := !c.opts.once && !c.json
	if live && !term.IsTerminal(int(c.std.out.Fd())) {
		return usagef("fleet top: standard output is no terminal; --once prints one view, --json one a line")
	}
	v, err := c.look(ctx, nil)
	if err != nil {
		return err
	}
	for {
		if live {
			if err := c.show(v, true); err != nil {
				return err
			}
		}
		if err := wait.For(ctx, topEvery); err != nil {
			if c.opts.once {
				return err
			}
			return nil
		}
		now, err := c.look(ctx, v.before)
		switch {
		case err == nil:
			v = now
		case ctx.Err() != nil && !c.opts.once:
			return nil
		case !live:
			return err
		default:
			v.stale = err
		}
		if !live {
			if err := c.show(v, false); err != nil || c.opts.once {
				return err
			}
		}
	}
}

// state is what a host does, in a word.
func (h *fleetHost) state() string {
	switch {
	case h.Unreadable != "":
		return "unreadable"
	case h.Gone:
		return "gone"
	case h.Drained():
		return "drained"
	case h.Draining:
		return "draining"
	}
	return "serving"
}

// lines are the view as text.
func (v *fleetView) lines() ([]string, error) {
	q := &v.Queue
	oldest := ""
	if q.Oldest > 0 {
		oldest = fmt.Sprintf(", the oldest for %.1f s", q.Oldest)
	}
	var b strings.Builder
	gone := ""
	if n := len(v.Hosts) - v.there(); n > 0 {
		gone = fmt.Sprintf(", %d gone", n)
	}
	fmt.Fprintf(&b, "fleet %s: %s%s; %s wait, %d under way, %s%s; %s\n\n", v.Fleet, counted(v.there(), "host"), gone,
		counted(int(min(q.Waiting, 1<<31)), "frame"), q.UnderWay, humanize.IBytes(q.Bytes), oldest, counted(int(min(q.Dead, 1<<31)), "dead letter"))
	if v.stale != nil {
		fmt.Fprintf(&b, "NOT READ for %.0f s: %s\n\n", time.Since(v.Time).Seconds(), printable(v.stale.Error()))
	}
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tSTATE\tACTIVE\tWAITING\tFRAMES\tTASKS\tFAILED\tTASKS/S\tSEEN\tPLUGINS")
	var faults []string
	for i := range v.Hosts {
		h := &v.Hosts[i]
		plugins := make([]string, 0, len(h.Plugins))
		for _, p := range h.Plugins {
			name := printable(p.Source + " " + dash(p.Version))
			if p.Canary != "" {
				name += " (canary)"
			}
			plugins = append(plugins, name)
			if p.Failure != "" {
				faults = append(faults, fmt.Sprintf("%s: %s is not as the fleet wants it: %s", printable(h.Host), printable(p.Source), printable(p.Failure)))
			}
		}
		rate := "-"
		if h.Rate != nil {
			rate = perSecond(*h.Rate)
		}
		fmt.Fprintf(t, "%s\t%s\t%d/%d\t%d\t%d\t%d\t%d\t%s\t%.1fs ago\t%s\n", printable(h.Host), h.state(), h.Active, h.Workers, h.Waiting,
			h.Frames, h.Tasks, h.Failed, rate, h.Age, dash(strings.Join(plugins, ", ")))
	}
	if err := t.Flush(); err != nil {
		return nil, err
	}
	if len(v.Plugins) > 0 {
		fmt.Fprintln(t, "\nPLUGIN\tALL SERVE\tON HOSTS\tROLL-OUT")
		for _, w := range v.Plugins {
			v.plugin(t, w)
		}
		if err := t.Flush(); err != nil {
			return nil, err
		}
	}
	for _, name := range v.Drained {
		if !v.has(name) {
			faults = append(faults, fmt.Sprintf("%s is drained, and not there: resonhost fleet drain %s --undo forgets it", printable(name), printable(name)))
		}
	}
	for _, w := range v.Plugins {
		if w.Current == nil && w.Rollout.State == fleet.RolloutStopped {
			faults = append(faults, fmt.Sprintf("%s has never been on all hosts: resonhost fleet rm %s forgets it", w.Plugin, w.Plugin))
		}
	}
	return append(strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"), faults...), nil
}

func (v *fleetView) has(name string) bool {
	for i := range v.Hosts {
		if v.Hosts[i].Host == name {
			return true
		}
	}
	return false
}

// plugin prints a row about what is wanted of a plugin.
func (v *fleetView) plugin(t *tabwriter.Writer, w *fleet.Wanted) {
	wanted, on := "-", 0
	if w.Current != nil {
		wanted = releaseName(w.Current)
		for i := range v.Hosts {
			for _, p := range v.Hosts[i].Plugins {
				if p.Source == w.Plugin && p.Hash == w.Current.Hash && !v.Hosts[i].Gone {
					on++
				}
			}
		}
	}
	r := &w.Rollout
	state := string(r.State)
	if r.State != fleet.RolloutDone {
		state += " " + releaseName(&r.Release)
	}
	switch {
	case r.State == fleet.RolloutRolling:
		good := 0
		for i := range v.Hosts { // and not those that have gone
			if r.Places[v.Hosts[i].Instance].Step == fleet.StepGood && !v.Hosts[i].Gone {
				good++
			}
		}
		state += fmt.Sprintf(", good on %d of %d", good, v.there())
	case r.Reason != "":
		state += ": " + printable(r.Reason)
	}
	fmt.Fprintf(t, "%s\t%s\t%d of %d\t%s\n", w.Plugin, wanted, on, v.there(), state)
}

// showLive shows lines in place of what a terminal shows.
func showLive(out *output, lines []string) error {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width < 1 || height < 2 {
		width, height = 80, 24
	}
	if more := len(lines) - (height - 1); more > 0 {
		lines = append(lines[:max(height-2, 0)], fmt.Sprintf("… %d lines more", more+1))
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // to the first line; what is right of and below the text is cleared
	for _, line := range lines {
		b.WriteString(terminal.Cut(line, width) + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	_, err = fmt.Fprint(out, b.String())
	return err
}
