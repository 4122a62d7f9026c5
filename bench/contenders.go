package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/resonhost/resonhost/host"
	native "github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/resonance/cascade"
)

// batch is how many tasks a batch has.
const batch = 64

// contender is one way to run cascade.
type contender struct {
	name string
	// what says in words what is measured.
	what string
	// run runs n tasks, one after the other or in batches.
	run func(ctx context.Context, n int) error
	// one returns the record of the result of one input, by which contenders
	// are compared.
	one   func(ctx context.Context, input []byte) ([]byte, error)
	close func(ctx context.Context) error
}

// state is the input of all: five values, so the most pairs.
var state = cascade.State{
	AwarenessLevel: 0.8, CoherenceScore: 0.75, PhiValue: 0.618, EmotionalResonance: 0.9, CreativeEmergence: 0.7,
	Timestamp: 1_760_000_000_000,
}

// cascade compares ways to run cascade, and that they have the same results.
func (b *bench) cascade(ctx context.Context) error {
	all, err := b.cascades(ctx)
	if err == nil {
		err = check(ctx, all)
	}
	if err != nil {
		return errors.Join(err, closeAll(all))
	}
	measured, err := b.section(ctx, "cascade, full result", append(all, asking(all)))
	if err != nil {
		return err
	}
	pristine, fresh := over(measured, "pristine", "shared"), over(measured, "fresh", "shared")
	return b.fact("over shared, cascade", "pristine %.1f µs, fresh %.0f µs, %.0f times that", pristine/1e3, fresh/1e3, fresh/pristine)
}

// over returns how much more one contender took than another, the median over the
// rounds.
func over(measured []measurement, one, other string) float64 {
	find := func(name string) []float64 {
		return measured[slices.IndexFunc(measured, func(m measurement) bool { return m.name == name })].samples
	}
	a, b := find(one), find(other)
	more := make([]float64, len(a))
	for i := range more {
		more[i] = a[i] - b[i]
	}
	return median(more)
}

func (b *bench) cascades(ctx context.Context) ([]*contender, error) {
	wasm, err := b.cascadeGuest()
	if err != nil {
		return nil, err
	}
	input, err := state.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	all := []*contender{nativeContender()}
	add := func(c *contender, err2 error) {
		if err2 != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, err2))
			return
		}
		all = append(all, c)
	}
	add(hosted(ctx, "inline", "the host without a sandbox, Host.Run", "cascade", input, false,
		host.Config{Mode: host.ModeInline, Native: []host.Native{native.New()}}))
	for _, c := range []struct {
		name      string
		isolation host.Isolation
		interrupt host.Interrupt
		batched   bool
	}{
		{"pristine", host.IsolationPristine, host.InterruptMetered, false},
		{"shared", host.IsolationShared, host.InterruptMetered, false},
		{"pristine, not metered", host.IsolationPristine, host.InterruptOff, false},
		{"shared, not metered", host.IsolationShared, host.InterruptOff, false},
		{"shared, wazero's interrupts", host.IsolationShared, host.InterruptRuntime, false},
		{"fresh", host.IsolationFresh, host.InterruptMetered, false},
		{"pristine, batched", host.IsolationPristine, host.InterruptMetered, true},
		{"frame, batched", host.IsolationFrame, host.InterruptMetered, true},
		{"shared, batched", host.IsolationShared, host.InterruptMetered, true},
	} {
		cfg := host.Config{
			Plugins:  []host.Source{{Name: "cascade", WASM: wasm}},
			Defaults: host.PluginConfig{Isolation: c.isolation, Interrupt: c.interrupt},
		}
		what := "the sandbox, Host.Run"
		if c.batched {
			cfg.Workers = 1 // so that one caller is one worker's load, as with the others
			what = fmt.Sprintf("the sandbox, Host.RunBatch of %d", batch)
		}
		add(hosted(ctx, c.name, what, "cascade", input, c.batched, cfg))
	}
	return all, err
}

// asking is the contender shared, with what the reset of a pristine instance asks the kernel after
// each task. A system call takes a tenth of a microsecond on one machine and more than one on
// another, and what it drops from the processor's caches of addresses is as much again: by this
// contender a bound of pristine tasks holds on both.
func asking(all []*contender) *contender {
	shared := all[slices.IndexFunc(all, func(c *contender) bool { return c.name == "shared" })]
	return &contender{
		name: "shared, and getrusage", what: "with the system call of a pristine task",
		run: func(ctx context.Context, n int) error {
			var u syscall.Rusage
			for range n {
				if err := errors.Join(shared.run(ctx, 1), syscall.Getrusage(syscall.RUSAGE_SELF, &u)); err != nil {
					return err
				}
			}
			return nil
		},
		close: func(context.Context) error { return nil }, // shared is closed by itself
	}
}

func (b *bench) cascadeGuest() ([]byte, error) {
	wasm, err := os.ReadFile(filepath.Join(b.dir, "cascade.wasm"))
	if err != nil {
		return nil, fmt.Errorf("%w; make guests builds it", err)
	}
	return wasm, nil
}

func closeAll(all []*contender) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, c.close(context.Background()))
	}
	return errors.Join(errs...)
}

func nativeContender() *contender {
	var history cascade.History
	var result cascade.Result
	return &contender{
		name: "native", what: "the transform alone, in Go",
		run: func(_ context.Context, n int) error {
			for range n {
				history.Length, history.Patterns = 0, history.Patterns[:0]
				native.Analyze(&state, &history, &result)
			}
			return nil
		},
		one: func(_ context.Context, input []byte) ([]byte, error) {
			var s cascade.State
			if err := s.UnmarshalBinary(input); err != nil {
				return nil, err
			}
			native.Analyze(&s, new(cascade.History), &result)
			return result.AppendBinary(nil)
		},
		close: func(context.Context) error { return nil },
	}
}

func hosted(ctx context.Context, name, what, transform string, input []byte, batched bool, cfg host.Config) (*contender, error) {
	c := &contender{name: name, what: what}
	cfg.Defaults.CompileTimeout = time.Hour // on a machine with other work, too
	h, err := host.New(cfg)
	if err != nil {
		return c, err
	}
	if err := h.Start(ctx); err != nil {
		return c, err
	}
	c.close = h.Close
	c.one = func(ctx context.Context, input []byte) ([]byte, error) { return h.Run(ctx, transform, input) }
	c.run = func(ctx context.Context, n int) error {
		for range n {
			if _, err := h.Run(ctx, transform, input); err != nil {
				return err
			}
		}
		return nil
	}
	if batched {
		inputs := make([][]byte, batch)
		for i := range inputs {
			inputs[i] = input
		}
		c.run = func(ctx context.Context, n int) error {
			for ; n > 0; n -= batch {
				for _, r := range h.RunBatch(ctx, transform, inputs[:min(n, batch)]) {
					if r.Err != nil {
						return r.Err
					}
				}
			}
			return nil
		}
	}
	return c, nil
}

// check runs inputs of every shape over all contenders, and wants the same
// results of all.
func check(ctx context.Context, all []*contender) error {
	for values := range 1 << 5 {
		s := cascade.State{Timestamp: int64(values)}
		for i, v := range []*float64{&s.AwarenessLevel, &s.CoherenceScore, &s.PhiValue, &s.EmotionalResonance, &s.CreativeEmergence} {
			if values>>i&1 == 1 {
				*v = 0.3 + float64(i)/7
			}
		}
		input, err := s.AppendBinary(nil)
		if err != nil {
			return err
		}
		var want []byte
		for i, c := range all {
			got, err := c.one(ctx, input)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if i == 0 {
				want = got
			} else if !bytes.Equal(got, want) {
				return fmt.Errorf("%s has another result than %s for %+v", c.name, all[0].name, s)
			}
		}
	}
	return nil
}
