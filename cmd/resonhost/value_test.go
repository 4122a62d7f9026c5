package main

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host"
)

// TestNetworkSettings has the network granted, and private hosts listed, as they are written.
func TestNetworkSettings(t *testing.T) {
	var granted []host.Grant
	var private []string
	for _, c := range []struct {
		to      flag.Value
		s, want string // an error's beginning, or the list
	}{
		{grants{&granted}, "clock, random,network", "clock random network"},
		{grants{&granted}, "network", "network"},
		{grants{&granted}, "none", ""},
		{grants{&granted}, "net", `must be a list of clock, random, network, or "none"`},
		{hostNames{&private}, "a.internal, *.b,10.0.0.7", "a.internal *.b 10.0.0.7"},
		{hostNames{&private}, "none", ""},
		{hostNames{&private}, "a,,b", `must be a list of names of hosts or patterns such as *.internal, or "none": "" is none`},
		{hostNames{&private}, "[a", `must be a list of names of hosts or patterns such as *.internal, or "none": "[a" is none`},
	} {
		err := c.to.Set(c.s)
		got := make([]string, 0, 3)
		switch c.to.(type) {
		case grants:
			for _, g := range granted {
				got = append(got, string(g))
			}
		case hostNames:
			got = slices.Clone(private)
		}
		if text := strings.Join(got, " "); err == nil && text != c.want || err != nil && err.Error() != c.want {
			t.Errorf("%q is %q, err %v, want %s", c.s, text, err, c.want)
		}
	}
}
