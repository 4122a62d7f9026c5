package network_test

import (
	"context"
	"math"
	"testing"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	ticks "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
)

// native is the plugin "tick" with something put before its calls, and what they
// return.
type native struct {
	*guest.Plugin

	before func(transform uint32) error
	after  func(transform uint32, frame []byte) []byte
}

const (
	nodeTransform = iota
	networkTransform
)

func (p *native) Run(transform uint32, frame []byte) ([]byte, error) {
	if p.before != nil {
		if err := p.before(transform); err != nil {
			return nil, err
		}
	}
	out, err := p.Plugin.Run(transform, frame)
	if p.after != nil && err == nil {
		out = p.after(transform, out)
	}
	return out, err
}

// inline starts a host that runs p, natively; plugin "tick" as it is for nil.
func inline(tb testing.TB, p *native) *host.Host {
	tb.Helper()
	if p == nil {
		p = &native{}
	}
	p.Plugin = ticks.New()
	return hosted.Start(tb, host.Config{Mode: host.ModeInline, Native: []host.Native{p}})
}

// open makes a network, which the test closes before its host.
func open(tb testing.TB, cfg network.Config) *network.Network {
	tb.Helper()
	n, err := network.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return n
}

func create(tb testing.TB, n *network.Network, specs ...network.NodeSpec) {
	tb.Helper()
	for _, spec := range specs {
		if _, err := n.CreateNode(spec); err != nil {
			tb.Fatal(err)
		}
	}
}

func run(tb testing.TB, n *network.Network) {
	tb.Helper()
	if err := n.Start(); err != nil {
		tb.Fatal(err)
	}
}

// strengths are those of all nodes by ID.
func strengths(n *network.Network) map[string]float64 {
	all := make(map[string]float64)
	for node := range n.Nodes() {
		all[node.ID] = node.Strength
	}
	return all
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= eps) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
