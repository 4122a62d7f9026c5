package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/terminal"
)

func whoamiCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "whoami",
		Usage:     "say who a running host takes the caller for, and what they may do",
		UsageText: "resonhost whoami [options]",
		Description: "Shows the host the token or client certificate of the options, and prints what it says.\n" +
			"So it tells whether a token holds, and what its line allows.\n\n" + exitCodes,
		Flags:        append(append(o.remote.flags(), flags(o.config())...), jsonFlag("print JSON", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("whoami takes no arguments, got %q", c.Args().First())
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.whoami(c.Context, std)
		},
	}
}

func (o *options) whoami(ctx context.Context, std stdio) error {
	host, err := o.remote.open(std.err)
	if err != nil {
		return err
	}
	defer host.close()
	var self api.Self
	if err := host.ask(ctx, http.MethodGet, host.base.JoinPath("v1", "self"), &self); err != nil {
		return err
	}
	if o.json {
		return terminal.Encode(std.out, self)
	}
	name, rate := printable(self.Name), "no limit"
	if self.Anonymous {
		name = "(nobody is asked who they are)"
	}
	if self.Rate > 0 {
		rate = fmt.Sprintf("%.4g/s, %d at once", self.Rate, self.Burst)
	}
	tenant := printable(self.Tenant)
	if self.AnyTenant {
		tenant = "* (each request names one)"
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"name", name}, {"scopes", printable(scopeList(self.Scopes))}, {"tenant", tenant},
		{"transforms", printable(strings.Join(self.Transforms, ","))}, {"priorities", printable(strings.Join(self.Priorities, ","))}, {"rate", rate},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], dash(row[1]))
	}
	return t.Flush()
}
