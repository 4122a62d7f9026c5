package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/terminal"
)

// eventKinds returns the kinds of events that --kinds names, none for all.
func (f *fleetCommands) eventKinds() (kinds []string, err error) {
	if f.kinds == "" {
		return nil, nil
	}
	var all []string
	for _, k := range event.Kinds() {
		all = append(all, k.String())
	}
	for name := range strings.SplitSeq(f.kinds, ",") {
		if !slices.Contains(all, name) {
			return nil, usagef("--kinds: %q is no kind of events%s", name, thereAre(name, all))
		}
		kinds = append(kinds, name)
	}
	return kinds, nil
}

// events prints what happens in the hosts, until ctx ends.
func (c *fleetClient) events(ctx context.Context, kinds []string) error {
	r, err := c.fleet.Events(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		e, err := r.Next(ctx)
		switch {
		case errors.Is(err, fleet.ErrMalformed):
			fmt.Fprintln(c.std.err, "resonhost:", printable(err.Error()))
			continue
		case err != nil:
			return err
		}
		if err := c.showEvent(&e, kinds); err != nil {
			return err
		}
	}
}

// showEvent prints an event if it is of the kinds, and how many are missing before it.
func (c *fleetClient) showEvent(e *fleet.HostEvent, kinds []string) error {
	if e.Missed > 0 && !c.json {
		fmt.Fprintf(c.std.err, "resonhost: %d events of the host %s are missing here\n", e.Missed, printable(e.Host))
	}
	kind := strings.TrimSuffix(e.Type, api.EventVersion)
	switch {
	case len(kinds) > 0 && !slices.Contains(kinds, kind):
		return nil
	case c.json:
		return terminal.Encode(c.std.out, e)
	}
	_, err := fmt.Fprintf(c.std.out, "%s  %s  %s  %s\n", e.Time.Local().Format("15:04:05.000"), printable(e.Host), printable(kind), terminal.JSON(e.Data))
	return err
}
