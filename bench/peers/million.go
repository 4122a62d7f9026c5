package main

import (
	"context"
	"errors"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/trial"
)

// million measures a network of a million nodes, with the trial of resonhost's command:
// the processor time of the whole process, without what a tick of one node takes.
func (b *bout) million(ctx context.Context) error {
	const nodes = 1_000_000
	t := &trial.Trial{Duration: max(b.benchtime, 2*time.Second)}
	t.Open = func(ctx context.Context, change func(*host.Config)) (*host.Host, error) {
		cfg := host.Config{Workers: b.o.workers}
		var err error
		if cfg.Plugins, err = b.o.sources(); err != nil {
			return nil, err
		}
		change(&cfg)
		h, err := host.New(cfg)
		if err != nil {
			return nil, err
		}
		err = h.Start(ctx)
		return h, err
	}
	for range min(b.rounds, 3) {
		r, err := t.Network(ctx, nodes, 100*time.Millisecond)
		if err != nil {
			return err
		}
		if len(r.NodeCosts) != 1 || r.NodeCosts[0] <= 0 {
			return errors.New("what a node of a million costs was not measured")
		}
		ns := r.NodeCosts[0]
		b.m.MillionNodesMS = append(b.m.MillionNodesMS, ns*nodes/1e6)
	}
	return nil
}
