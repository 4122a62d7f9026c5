package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/wait"
)

// fleetView is what a fleet does at a moment, as a terminal shows it.
type fleetView struct {
	*api.Fleet

	stale error // why it is not of now; nil if it is
}

// look looks at the fleet.
func (c *fleetClient) look(ctx context.Context) (*fleetView, error) {
	f, err := c.eye.look(ctx)
	if err != nil {
		return nil, err
	}
	return &fleetView{Fleet: f}, nil
}

// there returns how many hosts are there.
func (v *fleetView) there() (n int) {
	for i := range v.Hosts {
		if v.Hosts[i].State != api.FleetHostGone {
			n++
		}
	}
	return n
}

// ls prints a view.
func (c *fleetClient) ls(ctx context.Context) error {
	v, err := c.look(ctx)
	if err != nil {
		return err
	}
	return c.show(v, false)
}

// show prints a view as JSON, text, or text in place of what a terminal shows.
func (c *fleetClient) show(v *fleetView, live bool) error {
	if c.json {
		return terminal.Encode(c.std.out, v.Fleet)
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
	v, err := c.look(ctx)
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
		now, err := c.look(ctx)
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
	fmt.Fprintf(&b, "fleet %s: %s%s; %s wait, %d under way, %s%s; %s\n\n", v.Name, counted(v.there(), "host"), gone,
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
				faults = append(faults, fmt.Sprintf("%s: %s is not as the fleet wants it: %s", printable(h.Name), printable(p.Source), printable(p.Failure)))
			}
		}
		rate := "-"
		if h.Rate != nil {
			rate = perSecond(*h.Rate)
		}
		fmt.Fprintf(t, "%s\t%s\t%d/%d\t%d\t%d\t%d\t%d\t%s\t%.1fs ago\t%s\n", printable(h.Name), h.State, h.Active, h.Workers, h.Waiting,
			h.Frames, h.Tasks, h.Failed, rate, h.Age, dash(strings.Join(plugins, ", ")))
	}
	if err := t.Flush(); err != nil {
		return nil, err
	}
	if len(v.Plugins) > 0 {
		fmt.Fprintln(t, "\nPLUGIN\tALL SERVE\tON HOSTS\tROLL-OUT")
		for i := range v.Plugins {
			v.plugin(t, &v.Plugins[i])
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
	for i := range v.Plugins {
		if w := &v.Plugins[i]; w.Current == nil && w.Rollout.State == api.FleetStopped {
			faults = append(faults, fmt.Sprintf("%s has never been on all hosts: resonhost fleet rm %s forgets it", w.Plugin, w.Plugin))
		}
	}
	return append(strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"), faults...), nil
}

func (v *fleetView) has(name string) bool {
	for i := range v.Hosts {
		if v.Hosts[i].Name == name {
			return true
		}
	}
	return false
}

// plugin prints a row about what is wanted of a plugin.
func (v *fleetView) plugin(t *tabwriter.Writer, w *api.FleetPlugin) {
	wanted, on := "-", 0
	if w.Current != nil {
		wanted = releaseName(w.Current.Version, w.Current.Hash)
		for i := range v.Hosts {
			for _, p := range v.Hosts[i].Plugins {
				if p.Source == w.Plugin && p.Hash == w.Current.Hash && v.Hosts[i].State != api.FleetHostGone {
					on++
				}
			}
		}
	}
	r := &w.Rollout
	state := string(r.State)
	if r.State != api.FleetDone {
		state += " " + releaseName(r.Release.Version, r.Release.Hash)
	}
	switch {
	case r.State == api.FleetRolling:
		good := 0
		for i := range v.Hosts { // and not those that have gone
			if r.Places[v.Hosts[i].Instance].Step == api.FleetGood && v.Hosts[i].State != api.FleetHostGone {
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
