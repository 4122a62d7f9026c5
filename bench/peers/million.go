package main

import (
	"context"
	"errors"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/workload"
)

// million measures a network of a million nodes, with the workload of the resonhost command:
// the processor time of the whole process, without what a tick of one node takes. Native is
// without a sandbox, the least that a guest could come to which is compiled as Go is.
func (b *bout) million(ctx context.Context) error {
	simd := b.o
	simd.plugins = simd.simd
	for range min(b.rounds, 3) {
		for _, c := range []struct {
			o      options
			native bool
			to     *[]float64
		}{{b.o, false, &b.m.MillionNodesMS}, {simd, false, &b.m.MillionNodesSIMD}, {b.o, true, &b.m.MillionNodesNative}} {
			ms, err := b.millionOf(ctx, c.o, c.native)
			if err != nil {
				return err
			}
			*c.to = append(*c.to, ms)
		}
	}
	return nil
}

// millionOf returns what a tick takes with a host's plugins, or native, in ms.
func (b *bout) millionOf(ctx context.Context, o options, native bool) (float64, error) {
	const nodes = 1_000_000
	t := &workload.Bench{Duration: max(b.benchtime, 2*time.Second)}
	t.Open = func(ctx context.Context, change func(*host.Config)) (*host.Host, error) {
		cfg := host.Config{Workers: o.workers, Defaults: host.PluginConfig{CompileTimeout: compileTimeout}}
		if native {
			cfg = host.Config{Mode: host.ModeInline, Native: natives()}
		} else {
			var err error
			if cfg.Plugins, err = o.sources(); err != nil {
				return nil, err
			}
		}
		change(&cfg)
		h, err := host.New(cfg)
		if err != nil {
			return nil, err
		}
		err = h.Start(ctx)
		return h, err
	}
	r, err := t.Network(ctx, nodes, 100*time.Millisecond)
	if err != nil {
		return 0, err
	}
	if len(r.NodeCosts) != 1 || r.NodeCosts[0] <= 0 {
		return 0, errors.New("what a node of a million costs was not measured")
	}
	return r.NodeCosts[0] * nodes / 1e6, nil
}
